"""What all schedules have in common: the linear warm-up that they begin with, and what they say at an epoch's end."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from asrpar.rules import fraction


@dataclass
class WarmUp:
    """Settings of all schedules.

    Attributes:
        warmup: fraction of the whole training in which the rate rises to its peak, in [0, 1].
        start: first rate as a fraction of the peak.
    """

    warmup: float = 0.2
    start: float = 0.04

    def validate(self) -> None:
        fraction(self, "warmup", "start")


class Verdict(NamedTuple):
    """What a schedule says of an epoch that has ended.

    Attributes:
        best: its model is the best so far, and is to be kept in case that a later one is worse.
        back: training goes on from the best model instead of this one.
        over: training ends, with the model that this leaves.
    """

    best: bool = False
    back: bool = False
    over: bool = False


class WarmUpSchedule(ABC):
    """A learning rate.

    Args:
        settings: of this schedule.
        peak: highest rate.
        frames_per_epoch: of the whole training set.
        epochs: that the schedule is laid out for.

    Attributes:
        watches: it is told of each epoch's end; what it then says is done, and its state is kept in checkpoints.
    """

    watches: ClassVar[bool] = False

    def __init__(self, settings: Any, peak: float, frames_per_epoch: float, epochs: int) -> None:
        self.settings, self.peak, self.frames_per_epoch, self.epochs = settings, peak, frames_per_epoch, epochs

    def rate(self, frames: float) -> float:
        """The rate for the next step, when all learners together have seen so many ``frames``."""
        s, progress = self.settings, self.progress(frames)
        if progress < s.warmup:
            return self.peak * (s.start + (1.0 - s.start) * progress / s.warmup)
        return self.peak * self.after(progress, frames)

    def progress(self, frames: float) -> float:
        """That of the training, from 0 to 1."""
        return min(frames / (self.frames_per_epoch * self.epochs), 1.0)

    @abstractmethod
    def after(self, progress: float, frames: float) -> float:
        """The rate after the warm-up as a fraction of the peak; ``progress`` is that of the training, from 0 to 1."""

    def epoch_ended(self, epoch: int, dev_loss: float, frames: float) -> Verdict:
        """After the ``epoch``-th epoch (from 1) and ``frames`` in all, the dev loss is this: what now?

        Only of schedules that watch; all learners are told the same.
        """
        return Verdict()

    def state_dict(self) -> dict[str, float] | None:
        """What it has learnt from dev losses; None of a schedule that does not watch."""
        return None

    def load_state_dict(self, state: dict[str, float]) -> None:
        """Go on from there."""
