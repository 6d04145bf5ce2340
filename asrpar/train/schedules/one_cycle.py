"""A cosine from the peak to a small rate: one cycle of Smith & Topin 2017 (arXiv 1708.07120)."""

import math
from dataclasses import dataclass

from asrpar.rules import fraction
from asrpar.train.schedules.common import WarmUp, WarmUpSchedule


@dataclass
class Settings(WarmUp):
    """Settings of one cycle, those of all schedules and:

    Attributes:
        final: last rate as a fraction of the peak.
    """

    final: float = 0.001

    def validate(self) -> None:
        super().validate()
        fraction(self, "final")


class Schedule(WarmUpSchedule):
    """Annealed."""

    def after(self, progress: float, frames: float) -> float:
        s = self.settings
        done = (progress - s.warmup) / max(1.0 - s.warmup, 1e-9)
        return s.final + (1.0 - s.final) * 0.5 * (1.0 + math.cos(math.pi * done))
