"""Whom a learner exchanges with: neighbours on a ring in turn, or any learner of the other parity."""

import random

from asrpar.parallel.comm import Comm


class Peers:
    """The partners of an active learner.

    Args:
        channel: over which learners exchange.
        fixed: the two neighbours on a ring in turn, else a random even rank.
        seed: of the random ones.

    Attributes:
        left: those who are there.
    """

    def __init__(self, channel: Comm, fixed: bool, seed: int) -> None:
        self.channel, self.fixed, self.seed = channel, fixed, seed
        rank, size = channel.rank, channel.size
        self.left = [(rank + 1) % size, rank - 1] if fixed else list(range(0, size, 2))

    def partner(self, exchanges: int) -> int:
        """Of the exchange after so many. A function of place alone, so that a resumed run goes on with the same."""
        if self.fixed:
            return self.left[exchanges % len(self.left)]
        return random.Random(f"{self.seed} {self.channel.rank} {exchanges}").choice(self.left)

    def pass_over(self) -> set[int]:
        """Go on exchanging without those who are gone, until all regroup; returns them.

        What an exchange with one of them has brought stays; one that did not come to its end brings nothing.
        """
        gone = set(self.channel.pass_over())
        self.left = [peer for peer in self.left if peer not in gone]
        return gone
