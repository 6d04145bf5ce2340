"""A rate that is multiplied by the same factor after each epoch, once the warm-up is over."""

from dataclasses import dataclass

from asrpar.rules import fraction
from asrpar.train.schedules.common import WarmUp, WarmUpSchedule


@dataclass
class Settings(WarmUp):
    """Settings of the exponential schedule, those of all schedules and:

    Attributes:
        decay: the factor.
    """

    decay: float = 0.7071

    def validate(self) -> None:
        super().validate()
        fraction(self, "decay")


class Schedule(WarmUpSchedule):
    """Steps down."""

    def after(self, progress: float, frames: float) -> float:
        s = self.settings
        return s.decay ** max(0, int(frames / self.frames_per_epoch - s.warmup * self.epochs))
