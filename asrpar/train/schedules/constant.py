"""The peak rate after the warm-up, to the end."""

from dataclasses import dataclass

from asrpar.train.schedules.common import WarmUp, WarmUpSchedule


@dataclass
class Settings(WarmUp):
    """Those of all schedules, no others."""


class Schedule(WarmUpSchedule):
    """Constant."""

    def after(self, progress: float, frames: float) -> float:
        return 1.0
