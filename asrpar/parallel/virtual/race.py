"""What learners do together until enough batches are done, and what became of each: of timing."""

import dataclasses

from asrpar.parallel.virtual.clock import Scheduler


class Race:
    """Learners that go through batches together, and how far they have come.

    Args:
        scheduler: the clock.
        quota: batches of all of them until time is taken.

    Attributes:
        batches: that are done.
        begin, end: when the first one began, and when the quota was reached.
    """

    def __init__(self, scheduler: Scheduler, quota: int) -> None:
        self.scheduler, self.quota, self.through = scheduler, quota, 0
        self.batches, self.begin, self.end = 0, float("inf"), 0.0

    def over(self, learners: int) -> None:
        """One of so many learners is through; the last one ends it all, without the farewells of a training's end."""
        self.through += 1
        if self.through == learners:
            self.scheduler.stop()

    def stepped(self) -> bool:
        """A step is done; whether that was enough for all."""
        self.batches += 1
        if self.batches == self.quota:
            self.end = self.scheduler.now
        return self.batches >= self.quota


@dataclasses.dataclass
class Pace:
    """What became of one learner between the beginning and the end of its steps: seconds, and bytes."""

    steps: int = 0
    seconds: float = 0.0
    busy: float = 0.0
    sent: float = 0.0
