"""What makes two trainings the same one: digests of settings and weights, and how settings differ."""

import hashlib
import json
from dataclasses import asdict
from typing import Any

from asrpar.choices import choices_of
from asrpar.parallel.faults import FaultsConfig
from asrpar.train.config import FREE_ON_RESUME, TrainConfig

# Settings that versions before did not have, and that mean nothing at 0: their trainings are the same as ours.
NEUTRAL_AT_ZERO = ("overlap_steps", "ema.warmup", "data.ali", "data.tree", "warm_start_epochs", "compile")
# The same, of settings with which others mean nothing.
NEUTRAL = {
    "batch.pieces": "utterances", "batch.window": 21, "batch.context": [0, 0], "batch.pool_frames": 500000,
    "input.deltas": 0, "input.delta_window": 2, "input.splice": [0, 0], "models.blstm.front_end": "layers",
}  # fmt: skip


def leaves(config: TrainConfig) -> dict[str, Any]:
    """All settings that matter for the result, as ``{"optimizers.adamw.lr": 0.004, ...}``."""

    def walk(tree: dict[str, Any], prefix: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in tree.items():
            path = f"{prefix}{key}"
            # Settings of choices that are not made cannot matter.
            if path in FREE_ON_RESUME or (prefix in chosen and key != chosen[prefix]):
                continue
            if (key in NEUTRAL_AT_ZERO or path in NEUTRAL_AT_ZERO) and not value:
                continue
            if path in NEUTRAL and value == NEUTRAL[path]:
                continue
            found |= walk(value, f"{path}.") if isinstance(value, dict) else {path: value}
        return found

    chosen = choices_of(config)
    return walk(asdict(config), "")


def config_digest(config: TrainConfig) -> str:
    """Equal for two trainings that differ in seed and place alone."""
    kept = {
        k: v for k, v in leaves(config).items() if k not in ("seed", "data.feats", "data.lang", "data.ali", "data.tree")
    }
    if config.faults != FaultsConfig():  # they may go on without, but are no repetition of a run without
        kept["faults"] = asdict(config.faults)
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:16]


def differences(old: TrainConfig, new: TrainConfig) -> list[str]:
    """Keys whose values differ and matter for the result, as ``key: old -> new``."""
    a, b = leaves(old), leaves(new)
    return [f"{k}: {a.get(k)} -> {b.get(k)}" for k in sorted(a.keys() | b.keys()) if a.get(k) != b.get(k)]


def checksum(weights: Any) -> str:
    """SHA-256 of a weight vector's bytes: equal if and only if two trainings ended bit-identically."""
    return hashlib.sha256(weights.detach().cpu().contiguous().numpy().tobytes()).hexdigest()
