"""Lets the learners of a virtual cluster die, and come back, as its description says."""

from collections.abc import Callable, Iterator
from typing import Any, Protocol

from greenlet import GreenletExit

from asrpar.errors import TrainingError
from asrpar.numbers import ratio
from asrpar.parallel.virtual.clock import Activity, Scheduler
from asrpar.parallel.virtual.failures import Failures


class Members(Protocol):
    """Those learners that are among the others; see `asrpar.parallel.virtual.group.Family`."""

    ranks: list[int]
    lost: set[int]

    def lose(self, rank: int, detect_seconds: float) -> None:
        """One of them is gone."""


class Crew:
    """Whoever of a run's learners lives, is dead, or is on the way back.

    Args:
        scheduler: the clock.
        failures: what they die of.

    Attributes:
        members: those that are among the others.
        start: begins learner ``seat`` anew, with a brief, as `Comm.call_back` says.
        losses, returns: so far.
        lived: virtual seconds that they all were among the others, by `count`.
    """

    def __init__(self, scheduler: Scheduler, failures: Failures) -> None:
        self.scheduler, self.failures = scheduler, failures
        self.members: Members | None = None
        self.start: Callable[[int, Any], None] | None = None
        self.losses = self.returns = self.size = 0
        self.lived = self.since = 0.0
        self.lives: dict[int, Iterator[float]] = {}
        # How often each has begun: a death that was to come belongs to one of its lives.
        self.begun: dict[int, int] = {}
        # By seat: the number of its call; and who is ready to join, since the first of these was.
        self.called: dict[int, int] = {}
        self.calls, self.caller = 0, 0
        self.waiting: dict[int, Activity] = {}
        self.ready_since = 0.0

    def begin(self, members: Members) -> None:
        """The run begins with these."""
        self.members, self.size, self.since = members, len(members.ranks), self.scheduler.now
        for rank in members.ranks:
            self.lives[rank] = self.failures.lives(rank)
            self.begun[rank] = 0
            self._born(rank)
        for failure in self.failures.at:
            self.scheduler.at(failure.second, lambda _, rank=failure.rank: self.die(rank))

    def _born(self, rank: int) -> None:
        self.begun[rank] += 1
        seconds, begun = next(self.lives[rank], None), self.begun[rank]
        if seconds is not None:
            self.scheduler.at(seconds, lambda _: self.die(rank) if self.begun[rank] == begun else None)

    def count(self) -> None:
        """Count the time that learners have lived; whenever their number is about to change."""
        now = self.scheduler.now
        self.lived += (now - self.since) * (len(self.members.ranks) - len(self.members.lost))
        self.since = now

    def summary(self) -> dict[str, float]:
        """Losses, returns, and the share of the learners' time in which they were among the others."""
        self.count()
        present = ratio(self.lived, self.size * self.since)
        return {"losses": self.losses, "returns": self.returns, "present_share": present}

    def die(self, rank: int) -> None:
        """A learner dies, if it is among the others.

        Raises:
            TrainingError: it was the last one.
        """
        scheduler, members = self.scheduler, self.members
        if rank in members.lost or rank not in members.ranks or not scheduler.lives(rank):
            return
        self.count()
        self.losses += 1
        scheduler.mark(rank, "lost")
        scheduler.end_all(rank)
        members.lose(rank, self.failures.detect_seconds)
        if rank == self.caller:
            # Newcomers talk to none but who has called them.
            self.dismiss()
        if len(members.lost) == len(members.ranks):
            raise TrainingError(
                f"cluster: all learners are lost at virtual second {scheduler.now:g}: set failures.mean_seconds higher"
            )

    def call(self, seats: list[int], brief: Any, caller: int) -> None:
        """Learner ``caller`` begins to start others; see `Comm.call_back`."""
        if not self.failures.restart_seconds or self.start is None:
            return
        self.caller = caller
        for seat in seats:
            if seat not in self.called:
                self.calls += 1
                self.called[seat] = self.calls
                self.scheduler.at(self.failures.restart_seconds, self._starter(seat, brief, self.calls))

    def _starter(self, seat: int, brief: Any, call: int) -> Callable[[object], None]:
        def begin(_: object) -> None:
            if self.called.get(seat) == call:
                self.start(seat, brief)

        return begin

    def wait(self, seat: int) -> None:
        """A newcomer is ready; returns when it is one of the members."""
        if seat not in self.called:
            raise GreenletExit
        if not self.waiting:
            self.ready_since = self.scheduler.now
        self.waiting[seat] = self.scheduler.current()
        self.scheduler.park("the others, to join them")

    def ready(self) -> list[int]:
        """Seats of those who are to be let in now; see `Failures.gather_seconds`."""
        gathering = self.scheduler.now - self.ready_since < self.failures.gather_seconds
        if gathering and len(self.waiting) < len(self.called):
            return []
        return sorted(self.waiting)

    def let_in(self, seats: list[int], members: Members) -> list[Activity]:
        """Those whose learners were waiting on ``seats`` are among ``members`` from now on; who is to be woken."""
        self.count()
        self.members = members
        self.returns += len(seats)
        for seat in seats:
            del self.called[seat]
            self.scheduler.mark(seat, "back")
            self._born(seat)
        return [self.waiting.pop(seat) for seat in seats]

    def dismiss(self) -> None:
        """Nobody lets in those who are on the way."""
        self.called.clear()
        while self.waiting:
            self.scheduler.end(self.waiting.popitem()[1])
