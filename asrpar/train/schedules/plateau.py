"""Constant until the dev loss stands still, then times 1/√2 after each epoch (Zhang et al. 2019, arXiv 1907.05701)."""

from dataclasses import dataclass

from asrpar.train.schedules.watching import WatchingSchedule, WatchSettings


@dataclass
class Settings(WatchSettings):
    """Those of schedules that watch the dev loss."""

    factor: float = 0.7071


class Schedule(WatchingSchedule):
    """Plateau."""
