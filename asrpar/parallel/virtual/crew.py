"""Lets the learners of a virtual cluster die, as its description says."""

from collections.abc import Iterator

from asrpar.errors import TrainingError
from asrpar.numbers import ratio
from asrpar.parallel.virtual.failures import Failures
from asrpar.parallel.virtual.group import Shared


class Crew:
    """Whoever of a run's learners lives.

    Args:
        shared: theirs.
        failures: what they die of.
        size: how many there are at the beginning.

    Attributes:
        losses: learners that died so far.
        lived: virtual seconds that they all lived, by `count`.
    """

    def __init__(self, shared: Shared, failures: Failures, size: int) -> None:
        self.shared, self.failures = shared, failures
        self.losses = 0
        self.size, self.lived, self.since = size, 0.0, shared.scheduler.now
        self.lives: list[Iterator[float]] = [failures.lives(rank) for rank in range(size)]
        # How often each has begun: a death that was to come belongs to one of its lives.
        self.begun = [0] * size
        for rank in range(size):
            self.born(rank)
        for failure in failures.at:
            shared.scheduler.at(failure.second, lambda _, rank=failure.rank: self.die(rank))

    def born(self, rank: int) -> None:
        """A learner lives from now on."""
        self.begun[rank] += 1
        seconds, begun = next(self.lives[rank], None), self.begun[rank]
        if seconds is not None:
            self.shared.scheduler.at(seconds, lambda _: self.die(rank) if self.begun[rank] == begun else None)

    def count(self) -> None:
        """Count the time that learners have lived; whenever their number is about to change."""
        now, family = self.shared.scheduler.now, self.shared.family
        self.lived += (now - self.since) * (len(family.ranks) - len(family.lost))
        self.since = now

    def summary(self) -> dict[str, float]:
        """Losses, and the share of the learners' time in which they were there."""
        self.count()
        return {"losses": self.losses, "present_share": ratio(self.lived, self.size * self.since)}

    def die(self, rank: int) -> None:
        """A learner dies, unless it has ended before.

        Raises:
            TrainingError: it was the last one.
        """
        scheduler, family = self.shared.scheduler, self.shared.family
        if rank in family.lost or rank not in family.ranks or not scheduler.lives(rank):
            return
        self.count()
        self.losses += 1
        scheduler.mark(rank, "lost")
        scheduler.end_all(rank)
        family.lose(rank, self.failures.detect_seconds)
        if len(family.lost) == len(family.ranks):
            raise TrainingError(
                f"cluster: all learners are lost at virtual second {scheduler.now:g}: set failures.mean_seconds higher"
            )
