"""How learners in lockstep come to know, in one and the same step, that one of them has a wish, and nobody waits."""

import torch

from asrpar.parallel.comm import Comm
from asrpar.parallel.comm.base import Pending

# Steps between two looks, at least and at most: a wish is known to all within twice as many.
LEAST, MOST = 5, 20


class Look:
    """Adds up the wishes of all learners, now and then, behind their steps.

    The sum that begins after one step is taken in so many steps later: the others have begun it by then, unless one is
    as many steps behind. Where the algorithm lets learners be no further apart than that, nobody ever waits.

    Args:
        comm: the learners. All of them call `step` after each of their steps.
        apart: steps that the algorithm lets them be apart from each other; see `Strategy.apart`.
    """

    def __init__(self, comm: Comm, apart: int) -> None:
        self.comm, self.every = comm, min(max(apart, LEAST), MOST)
        self.wishes = torch.zeros(1, dtype=torch.int64)
        self.sum: Pending | None = None
        self.steps = 0

    def step(self, wish: bool) -> bool:
        """Whether anybody had a wish some steps ago: True in the same step on all learners."""
        if self.comm.size == 1:
            return wish
        self.steps += 1
        if self.steps % self.every:
            return False
        if self.settle():
            return True
        self.wishes[0] = wish
        self.sum = self.comm.allreduce_begin(self.wishes)
        return False

    def settle(self) -> bool:
        """Take in the sum that is on its way, if one is; whether there was a wish in it. Collective."""
        if self.sum is None:
            return False
        self.sum.wait()
        self.sum = None
        return bool(self.wishes.item())
