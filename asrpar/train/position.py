"""Where a run is."""

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Position:
    """Where a run is: finished epochs, consumed steps of the current one, and totals over all learners.

    Attributes:
        epoch: finished ones.
        step: of the current epoch, consumed.
        steps: of the whole run.
        frames: of all learners, in the whole run.
        ema_frames: those whose model the average over time has taken in.
        seconds: of training.
        history: what was told about each finished epoch.
        done: where shares are dealt on demand, those of later steps that have been consumed already.
    """

    epoch: int = 0
    step: int = 0
    steps: int = 0
    frames: int = 0
    ema_frames: int = 0
    seconds: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)
    done: list[int] = field(default_factory=list)

    @property
    def within_epoch(self) -> bool:
        """Whether an epoch has begun that has not ended."""
        return bool(self.step or self.done)

    def advance(self, frames: int) -> None:
        """One step more, of so many ``frames``."""
        self.step += 1
        self.steps += 1
        self.frames += frames

    def end_epoch(self) -> None:
        """One epoch more."""
        self.epoch += 1
        self.step, self.done = 0, []

    def state_dict(self) -> dict[str, Any]:
        """All of it."""
        return {**vars(self)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on there; what an earlier version did not keep is as at the beginning."""
        vars(self).update(vars(Position(**state)))
