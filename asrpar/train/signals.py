"""Stopping in good order: a signal or a time limit is noticed by one learner and agreed on by all."""

import signal
import time
from types import FrameType
from typing import Any

import torch

from asrpar.parallel.comm import Comm

# Schedulers announce the end of a job's time with one of the first three, as the user or the site has chosen; a
# terminal that is lost sends the last.
SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP)
# What is told in place of a signal where others are ready to come in.
NEWCOMERS = -1


class StopRequest:
    """Remembers a stop signal until the learners agree at a step boundary.

    Args:
        comm: all learners.
        time_limit_minutes: stop after that, counted from `listen`; 0 for none.
        signals: that are remembered.

    Attributes:
        joining: whether, when learners last `agreed`, nobody was to stop, and others were ready to come in.
    """

    def __init__(self, comm: Comm, time_limit_minutes: float, signals: tuple[int, ...] = SIGNALS) -> None:
        self.comm, self.minutes, self.signals = comm, time_limit_minutes, signals
        self.number, self.joining = 0, False
        self.deadline: float | None = None
        self._before: dict[int, Any] = {}

    def listen(self) -> None:
        """From now on, until `close`, signals are remembered."""
        if self.minutes:
            self.deadline = time.monotonic() + 60.0 * self.minutes
        # What nohup has switched off stays so.
        heard = [s for s in self.signals if s != signal.SIGHUP or signal.getsignal(s) != signal.SIG_IGN]
        self._before = {s: signal.signal(s, self._remember) for s in heard}

    def regroup(self, comm: Comm) -> None:
        """Go on among the learners of ``comm`` after others were lost, or came."""
        self.comm, self.joining = comm, False

    def _remember(self, number: int, frame: FrameType | None) -> None:
        self.number = number

    def seen(self) -> int:
        """The signal that this learner has seen (SIGUSR1 for the time limit), else 0."""
        if self.deadline is not None and time.monotonic() > self.deadline and not self.number:
            self.number = int(signal.SIGUSR1)
        return self.number

    def cause(self, number: int) -> str:
        """Why the learners agreed to stop by a signal, in words."""
        if number == signal.SIGUSR1 and self.deadline is not None and time.monotonic() > self.deadline:
            return f"its time limit of {self.minutes:g} minutes"
        return signal.Signals(number).name

    def noticed(self) -> bool:
        """Whether this learner, or another as far as known here, has seen a signal, or newcomers. Never waits."""
        wish = self.wish()
        if self.comm.posted()[self.comm.rank] != wish:
            self.comm.post(wish)
        return any(self.comm.posted())

    def wish(self) -> int:
        """The signal that this learner has seen, else `NEWCOMERS` if it knows of some, else 0."""
        return self.seen() or (NEWCOMERS if self.comm.newcomers() else 0)

    def agreed(self) -> int:
        """The greatest number that any learner has `seen`; sets `joining`. Collective."""
        seen = torch.zeros(self.comm.size, dtype=torch.int64)
        seen[self.comm.rank] = self.wish()
        self.comm.allreduce(seen)
        stopped = max(int(seen.max()), 0)
        self.joining = not stopped and int(seen.min()) < 0
        return stopped

    def ignore(self) -> None:
        """What has been heard, and is being done, may be said again: no reason to end before all is written.

        For the rest of this process, which is to end. Signals that were not heard are left alone.
        """
        for number in self._before:
            signal.signal(number, signal.SIG_IGN)

    def close(self) -> None:
        """Give the signals back to whoever had them."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
