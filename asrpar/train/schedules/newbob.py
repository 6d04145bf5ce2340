"""Halving on dev loss with rollback, "newbob": Li et al. 2017 (arXiv 1703.05880), as nnet1 of Kaldi does.

The rate stays at its peak until an epoch gains less than 1 % in dev loss, then it is halved after each epoch; an epoch
after which the dev loss is no lower is taken back; the training ends when an epoch gains less than 0.1 %.
"""

from dataclasses import dataclass

from asrpar.train.schedules.watching import WatchingSchedule, WatchSettings


@dataclass
class Settings(WatchSettings):
    """Those of schedules that watch the dev loss."""

    rollback: bool = True
    stop_gain: float = 0.001


class Schedule(WatchingSchedule):
    """Newbob."""
