"""``train.json``: what was trained, how long it took, how it went."""

import platform
import shlex
import sys
from pathlib import Path
from typing import Any

from asrpar.files.json_files import write_json
from asrpar.numbers import ratio
from asrpar.train.config import TrainConfig
from asrpar.train.digests import checksum, config_digest


def write_summary(exp: Path, config: TrainConfig, trainer: Any, times: dict[str, Any], *, complete: bool) -> None:
    """``train.json``: what was trained, how long it took, how it went; other commands read it."""
    from asrpar.info import git_hash, versions

    p = trainer.position
    last = p.history[-1] if p.history else {}
    value = {
        "complete": complete and p.epoch >= config.epochs,
        "model": config.model,
        "parameters": len(trainer.learner.flat),
        "strategy": config.strategy,
        "learners": trainer.comm.size,
        "seed": config.seed,
        "epochs": p.epoch,
        "frames": p.frames,
        "steps": p.steps,
        "train_seconds": round(p.seconds, 3),
        "frames_per_second": round(ratio(p.frames, p.seconds), 1),
        "dev_loss": last.get("dev_loss"),
        "dev_ter": last.get("dev_ter"),
        "ema": config.ema.enabled,
        "autocast": config.autocast,
        "config_digest": config_digest(config),
        "data_digest": trainer.identity.digest(),
        "checksum": checksum(trainer.result),
        "host": platform.node(),
        "command": shlex.join(sys.argv),
        "versions": versions(),
        "git": git_hash(),
        "time": times,
        "history": p.history,
        **trainer.parts.facts(),
    }
    write_json(exp / "train.json", value)
