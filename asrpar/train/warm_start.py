"""A training whose first epochs are those of one learner alone, as Zhang et al. 2019 and Li et al. 2017 begin theirs.

The first learner trains by itself, with the whole of each batch, while the others wait; then all begin with its
weights, its optimizer's state and its average over time, and the strategy with them.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from torch import Tensor

from asrpar.feats import BatchLoader
from asrpar.parallel.comm import Comm
from asrpar.parallel.contract import Strategy
from asrpar.parallel.look import Look
from asrpar.train.average import Average
from asrpar.train.course import cloned
from asrpar.train.dealing import OnDemand
from asrpar.train.epochs import EqualShares
from asrpar.train.learner import AcousticLearner


class Work(NamedTuple):
    """How learners work together.

    Attributes:
        strategy: the algorithm.
        loader: of this learner's batches.
        shares: how batches are dealt.
        look: how learners come to know each other's wishes.
    """

    strategy: Strategy
    loader: BatchLoader
    shares: EqualShares | OnDemand
    look: Look

    @classmethod
    def of(cls, strategy: Strategy, loader: BatchLoader, shares: EqualShares | OnDemand, comm: Comm) -> "Work":
        """With a look of its own."""
        return cls(strategy, loader, shares, Look(comm, strategy.apart))


class Alone(Strategy):
    """x ← x − γ g(x) on the first learner; the others take the same steps with nothing in them."""

    def step(self, batch: Any | None) -> bool:
        if batch is None:
            return False
        if self.comm.rank == 0 and (frames := self.learner.gradient(batch)):
            self.learner.apply(frames)
        # Nobody is to be more than a step ahead of it.
        self.comm.barrier()
        return True

    def finish(self) -> None:
        """Let all have its weights, so that all share what is to be done with the model."""
        self.comm.broadcast(self.learner.weights, root=0)

    def consensus(self, x: Tensor) -> Tensor:
        """The first learner's."""
        first = x.clone()
        self.comm.broadcast(first, root=0)
        return first


def first_alone(strategy: Strategy, load: Callable[[int, int], BatchLoader], comm: Comm) -> Work:
    """How the first learner of a ``strategy`` works before the others join it.

    Args:
        strategy: that all are to follow then.
        load: the batches of a rank, for so many workers.
        comm: the learners as the strategy sees them.
    """
    return Work.of(Alone(None, strategy.learner, comm, strategy.wire), load(1, comm.rank), EqualShares(load), comm)


def begin_together(strategy: Strategy, learner: AcousticLearner, average: Average, comm: Comm) -> None:
    """All that the first learner has, to all; the ``strategy`` begins with that. Collective."""
    optimizer, updates = comm.broadcast_object((cloned(learner.optimizer.state_dict()), learner.updates))
    learner.optimizer.load_state_dict(cloned(optimizer))
    learner.updates = updates
    strategy.start()
    if average.ema is not None:
        comm.broadcast(average.ema.mean, root=0)
