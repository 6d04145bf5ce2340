"""``train.json``: what was trained, how long it took, how it went."""

import platform
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from asrpar.files.json_files import write_json
from asrpar.numbers import ratio
from asrpar.parallel.comm import Comm
from asrpar.train.config import TrainConfig
from asrpar.train.digests import checksum, config_digest
from asrpar.train.identity import Identity
from asrpar.train.position import Position


@dataclass
class Result:
    """What a training came to.

    Attributes:
        weights: (P,) of the final model.
        position: where it ended.
        comm: the learners that were there at the end.
        times: see `Timing.summary`.
        stopped: the signal that ended it early, else 0.
        cause: of that, in words.
        saved: whether all that it did is in its checkpoints.
        over: whether the schedule ended it.
    """

    weights: Tensor
    position: Position
    comm: Comm
    times: dict[str, Any]
    stopped: int = 0
    cause: str = ""
    saved: bool = True
    over: bool = False


def write_summary(exp: Path, config: TrainConfig, result: Result, identity: Identity, facts: dict[str, Any]) -> None:
    """Write ``train.json``, which other commands read.

    Args:
        exp: folder of the experiment.
        config: of the training.
        result: its outcome.
        identity: what it was trained on.
        facts: entries besides.
    """
    from asrpar.info import git_hash, versions

    p = result.position
    last = p.history[-1] if p.history else {}
    if "back_to" in last:  # the model is that epoch's
        last = p.history[int(last["back_to"]) - 1]
    value = {
        "complete": not result.stopped and (result.over or p.epoch >= config.epochs),
        "model": config.model,
        "parameters": result.weights.numel(),
        "strategy": config.strategy,
        "learners": result.comm.size,
        "seed": config.seed,
        "epochs": p.epoch,
        "frames": p.frames,
        "steps": p.steps,
        "train_seconds": round(p.seconds, 3),
        "frames_per_second": round(ratio(p.frames, p.seconds), 1),
        "dev_loss": last.get("dev_loss"),
        "dev_error_rate": last.get("dev_error_rate"),
        "ema": config.ema.enabled,
        "autocast": config.autocast,
        "config_digest": config_digest(config),
        "data_digest": identity.digest(),
        "checksum": checksum(result.weights),
        "host": platform.node(),
        "command": shlex.join(sys.argv),
        "versions": versions(),
        "git": git_hash(),
        "time": result.times,
        "history": p.history,
        **facts,
    }
    write_json(exp / "train.json", value)
