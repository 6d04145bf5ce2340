"""Warm-up, constant for so many epochs, then times 1/√2 after each epoch: Zhang et al. 2019 (arXiv 1907.05701).

Their 16 epochs: 10 at the peak, or in which the rate rises to it where batches are large (``warmup: 0.625``), then
times 1/√2 in each of the other six.
"""

from dataclasses import dataclass

from asrpar.rules import fraction, not_negative
from asrpar.train.schedules.common import WarmUp, WarmUpSchedule


@dataclass
class Settings(WarmUp):
    """Settings of annealing, those of all schedules and:

    Attributes:
        warmup: as elsewhere.
        hold: epochs before the first that is trained at a lower rate, those of the warm-up among them.
        factor: what the rate is multiplied by after the last of them, and after each epoch from then on.
    """

    warmup: float = 0.0
    hold: int = 10
    factor: float = 0.7071

    def validate(self) -> None:
        super().validate()
        not_negative(self, "hold")
        fraction(self, "factor")


class Schedule(WarmUpSchedule):
    """Annealed by steps."""

    def after(self, progress: float, frames: float) -> float:
        s = self.settings
        return s.factor ** max(0, int(frames / self.frames_per_epoch) - s.hold + 1)
