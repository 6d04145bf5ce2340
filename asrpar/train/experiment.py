"""An experiment's folder: its settings, its logs, its summary; and the run of one training in it."""

import json
import platform
from dataclasses import asdict
from pathlib import Path
from typing import Any

from asrpar.config import load_config, save_config
from asrpar.errors import ConfigError, replacing, require_file
from asrpar.log import get_logger, setup_logging
from asrpar.parallel.comm import Comm
from asrpar.parallel.strategies import STRATEGIES, settings_class
from asrpar.train.config import FREE_ON_RESUME, TrainConfig, check_config

log = get_logger(__name__)


def strategy_settings(config: TrainConfig) -> Any:
    """The validated settings of the strategy in use; `ConfigError` names a wrong key of any strategy's block."""
    for name, block in config.strategies.items():
        schema = settings_class(name)
        if block is not None and not isinstance(block, dict):
            raise ConfigError(f"strategies.{name} must be 'key: value' lines, not {block!r}")
        loaded = load_config(schema, None, [f"{k}={'null' if v is None else v}" for k, v in (block or {}).items()])
        if name == config.strategy:
            return_value = loaded
    if config.strategy in config.strategies:
        return return_value
    return settings_class(config.strategy)()


def differences(old: TrainConfig, new: TrainConfig) -> list[str]:
    """Keys whose values differ and matter for the result, as ``key: old -> new``."""

    def leaves(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in tree.items():
            path = f"{prefix}{key}"
            if path in FREE_ON_RESUME:
                continue
            # Settings of strategies that are not in use cannot matter.
            if prefix == "strategies." and key != new.strategy:
                continue
            found |= leaves(value, f"{path}.") if isinstance(value, dict) else {path: value}
        return found

    a, b = leaves(asdict(old)), leaves(asdict(new))
    return [f"{k}: {a.get(k)} -> {b.get(k)}" for k in sorted(a.keys() | b.keys()) if a.get(k) != b.get(k)]


def train(config: TrainConfig, comm: Comm, *, allow_learner_change: bool = False) -> int:
    """Train, or go on training, in ``config.exp``. Returns 0, or the signal number that stopped the run.

    Raises:
        AsrparError: settings or data that cannot be used; training that cannot go on.
    """
    import torch

    check_config(config)
    settings = strategy_settings(config)
    if config.strategy not in STRATEGIES:
        raise ConfigError(f"no strategy '{config.strategy}'")
    exp = Path(config.exp)
    require_file(config.data.feats, "stage 2 (asrpar extract-features)")
    require_file(config.data.lang, "stage 3 (asrpar prepare-lang)")
    exp.mkdir(parents=True, exist_ok=True)
    setup_logging(exp / "log" / f"train.{comm.rank}.log", rank=comm.rank)
    if config.threads:
        torch.set_num_threads(config.threads)
    if done(exp, config):
        log.info("%s is trained already; remove the folder or choose another --set exp=... to train anew", exp)
        comm.barrier()
        return 0
    comm.barrier()
    if comm.rank == 0:
        save_config(config, exp / "config.yaml")

    from asrpar.train.trainer import Trainer

    trainer = Trainer(config, settings, comm)
    log.info(
        "%s of %d parameters, strategy %s on %d learner(s), %d frames an epoch, device %s, %d torch threads",
        config.model.type, len(trainer.learner.flat), config.strategy, comm.size,
        trainer.loader.frames_per_epoch, trainer.device, torch.get_num_threads(),
    )  # fmt: skip
    number = trainer.run(allow_learner_change)
    if comm.rank == 0:
        write_summary(exp, config, trainer, complete=not number)
    # The first rank that exits with an error code ends the others.
    comm.barrier()
    if number:
        log.warning("stopped by signal %d after saving a checkpoint; run the same command again to go on", number)
    else:
        log.info("wrote %s", exp / "final.pt")
    return number


def done(exp: Path, config: TrainConfig) -> bool:
    """Whether ``exp`` holds this very training, finished; refuses a folder that belongs to another one."""
    previous = exp / "config.yaml"
    if not previous.exists():
        return False
    try:
        changed = differences(load_config(TrainConfig, previous), config)
    except ConfigError as e:
        raise ConfigError(f"{exp} holds a training that cannot be continued ({e}): choose another exp folder") from e
    if changed:
        raise ConfigError(
            f"{exp} holds a training with other settings ({'; '.join(changed[:5])}"
            f"{' ...' if len(changed) > 5 else ''}): choose another exp folder, or remove this one"
        )
    summary = exp / "train.json"
    finished = summary.exists() and json.loads(summary.read_text(encoding="utf-8")).get("complete", False)
    return finished and (exp / "final.pt").exists()


def write_summary(exp: Path, config: TrainConfig, trainer: Any, *, complete: bool) -> None:
    """``train.json``: what was trained, how long it took, how it went; other commands read it."""
    import sys

    from asrpar.info import git_hash, versions

    p = trainer.position
    last = p.history[-1] if p.history else {}
    value = {
        "complete": complete and not config.stop_after_epochs,
        "model": config.model.type,
        "parameters": len(trainer.learner.flat),
        "strategy": config.strategy,
        "learners": trainer.comm.size,
        "seed": config.seed,
        "epochs": p.epoch,
        "frames": p.frames,
        "steps": p.steps,
        "train_seconds": round(p.seconds, 3),
        "frames_per_second": round(p.frames / max(p.seconds, 1e-9), 1),
        "dev_loss": last.get("dev_loss"),
        "dev_ter": last.get("dev_ter"),
        "ema": config.ema.enabled,
        "checksum": checksum(trainer.shipped()),
        "host": platform.node(),
        "command": " ".join(sys.argv),
        "versions": versions(),
        "git": git_hash(),
        "history": p.history,
    }
    with replacing(exp / "train.json") as temporary:
        temporary.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


def checksum(weights: Any) -> str:
    """SHA-256 of a weight vector's bytes: equal if and only if two trainings ended bit-identically."""
    import hashlib

    return hashlib.sha256(weights.detach().cpu().contiguous().numpy().tobytes()).hexdigest()
