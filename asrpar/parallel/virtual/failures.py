"""Learners of a virtual cluster that die, and that come back."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random

from asrpar.config import check
from asrpar.errors import ConfigError
from asrpar.rules import not_negative


@dataclass
class Failure:
    """One learner dies at a stated moment.

    Attributes:
        rank: of the learner.
        second: of virtual time since the beginning.
    """

    rank: int = 0
    second: float = 0.0

    def validate(self) -> None:
        not_negative(self, "rank", "second")


@dataclass
class Failures:
    """What kills learners. Nothing by default.

    Attributes:
        mean_seconds: of virtual time that a learner lives, exponentially distributed; 0 for ever.
        seed: of these times; each learner has a stream of its own.
        at: single deaths besides.
        detect_seconds: until the others know of a death.
        restart_seconds: from a death until the learner can join again, at the same place; 0 for never.
        join_seconds: that it takes to let one in, while all wait.
        gather_seconds: for which whoever is ready to join waits for others who are on the way, for a join stops all.
    """

    mean_seconds: float = 0.0
    seed: int = 0
    at: list[Failure] = field(default_factory=list)
    detect_seconds: float = 0.01
    restart_seconds: float = 0.0
    join_seconds: float = 0.01
    gather_seconds: float = 0.0

    def validate(self) -> None:
        not_negative(self, "mean_seconds", "detect_seconds", "restart_seconds", "join_seconds", "gather_seconds")
        for i, failure in enumerate(self.at):
            check(failure, f"at.{i}.")
        if not self and (self.restart_seconds or self.gather_seconds):
            raise ConfigError("restart_seconds and gather_seconds are for learners that die: set mean_seconds or at")

    def __bool__(self) -> bool:
        """Whether any learner may die."""
        return bool(self.mean_seconds or self.at)

    def check_size(self, size: int) -> None:
        """Raise `ConfigError` unless those whose deaths are stated are among ``size`` learners."""
        for failure in self.at:
            if failure.rank >= size:
                raise ConfigError(f"cluster: failures.at: {failure.rank} is no rank of {size} learners")

    def lives(self, rank: int) -> Iterator[float]:
        """Seconds that learner ``rank`` lives each time, from its beginning or return on."""
        random = Random(f"failures {self.seed} {rank}")
        while self.mean_seconds:
            yield random.expovariate(1.0 / self.mean_seconds)
