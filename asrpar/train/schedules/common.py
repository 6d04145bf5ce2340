"""The linear warm-up that all schedules begin with."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

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


class WarmUpSchedule(ABC):
    """A learning rate.

    Args:
        settings: of this schedule.
        peak: highest rate.
        frames_per_epoch: of the whole training set.
        epochs: that the schedule is laid out for.
    """

    def __init__(self, settings: Any, peak: float, frames_per_epoch: float, epochs: int) -> None:
        self.settings, self.peak, self.frames_per_epoch, self.epochs = settings, peak, frames_per_epoch, epochs

    def rate(self, frames: float) -> float:
        """The rate for the next step, when all learners together have seen so many ``frames``."""
        s, progress = self.settings, min(frames / (self.frames_per_epoch * self.epochs), 1.0)
        if progress < s.warmup:
            return self.peak * (s.start + (1.0 - s.start) * progress / s.warmup)
        return self.peak * self.after(progress, frames)

    @abstractmethod
    def after(self, progress: float, frames: float) -> float:
        """The rate after the warm-up as a fraction of the peak; ``progress`` is that of the training, from 0 to 1."""
