"""All that a run is made of at one moment: what a checkpoint of one rank holds."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from asrpar.errors import ConfigError
from asrpar.log import get_logger
from asrpar.parallel.contract import Gossip
from asrpar.train.identity import Identity, other_data

if TYPE_CHECKING:
    from asrpar.train.trainer import Trainer

log = get_logger(__name__)


@dataclass
class Position:
    """Where a run is: finished epochs, consumed steps of the current one, and totals over all learners.

    Where shares are dealt on demand, ``done`` are the shares of later steps that have been consumed already.
    """

    epoch: int = 0
    step: int = 0
    steps: int = 0
    frames: int = 0
    ema_frames: int = 0
    seconds: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)
    done: list[int] = field(default_factory=list)


def whole_state(trainer: "Trainer") -> dict[str, Any]:
    """Everything that this rank needs to go on as if nothing had happened; tensors and plain values."""
    cuda = trainer.device.type == "cuda"
    return {
        "strategy_name": trainer.config.strategy,
        "identity": trainer.identity.state(),
        "position": {**vars(trainer.position)},
        "learner": trainer.learner.state_dict(),
        "strategy": trainer.strategy.state_dict(),
        "consensus": consensus(trainer),
        "wire": trainer.strategy.wire.state_dict(),
        "ema": trainer.ema.state_dict() if trainer.ema is not None else None,
        "timing": trainer.timing.state_dict(),
        "threads": torch.get_num_threads(),
        "device": trainer.device.type,
        "random": torch.get_rng_state(),
        "cuda_random": torch.cuda.get_rng_state(trainer.device) if cuda else None,
    }


def consensus(trainer: "Trainer") -> dict[str, Any] | None:
    """Of learners that hold different weights, what another number of learners would begin with; only on rank 0.

    Collective. None where that is not possible, within an epoch, or not needed.
    """
    p, strategy = trainer.position, trainer.strategy
    if p.step or p.done or not isinstance(strategy, Gossip):
        return None
    found = {"weights": strategy.consensus(strategy.observed())}
    if trainer.ema is not None:
        found["ema"] = strategy.consensus(trainer.ema.mean)
    return found if trainer.comm.rank == 0 else None


def check_same_data(trainer: "Trainer", before: Identity | None) -> None:
    """Raise `ConfigError` unless a training goes on with the data that it was begun with."""
    if before is None:
        if trainer.comm.rank == 0:
            log.warning(
                "the checkpoint, of an earlier version, does not say which data it is of: see that they are these"
            )
        return
    changed = before.other_data(trainer.identity)
    if changed:
        raise ConfigError(other_data(trainer.exp, changed))


def restore(trainer: "Trainer", state: dict[str, Any]) -> None:
    """Take up a state of `whole_state`, which another number of learners may have saved at an epoch's end."""
    check_same_data(trainer, Identity.from_state(state.get("identity")))
    trainer.position = Position(**state["position"])
    before, now = (state["device"], state["threads"]), (trainer.device.type, torch.get_num_threads())
    if before != now:
        log.warning("resuming on %s with %d threads what ran on %s with %d: last bits may differ", *now, *before)
    trainer.learner.load_state_dict(state["learner"])
    # Checkpoints of earlier versions do not have it.
    mean = state.get("consensus") if state["learners"] != trainer.comm.size else None
    if mean is not None:
        trainer.learner.weights.copy_(mean["weights"])
    trainer.strategy.load_state_dict(state["strategy"])
    trainer.strategy.wire.load_state_dict(state["wire"])
    if state["ema"] is not None:
        trainer.ema = trainer.average()
        trainer.ema.load_state_dict(state["ema"])
        if mean is not None:
            trainer.ema.mean.copy_(mean["ema"])
    trainer.watchdog.beat(trainer.position.steps)
    if state["learners"] == trainer.comm.size:
        if "timing" in state:
            trainer.timing.load_state_dict(state["timing"])
        torch.set_rng_state(state["random"])
        if state["cuda_random"] is not None and trainer.device.type == "cuda":
            torch.cuda.set_rng_state(state["cuda_random"], trainer.device)
