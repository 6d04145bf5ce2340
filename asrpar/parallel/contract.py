"""The contract between a strategy, the learner that it drives, and the training loop that drives it."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Protocol

import torch
from torch import Size, Tensor

from asrpar.errors import TrainingError
from asrpar.parallel.comm import Comm
from asrpar.parallel.compress.wire import Wire
from asrpar.parallel.flat import all_finite


class Learner(Protocol):
    """What a strategy may do with the model, the data and the optimizer of one rank.

    Attributes:
        weights: (P,) the flat parameters, changed in place; after `move` another tensor.
        grad: (P,) the flat gradient.
        message: (P + 1,) ``grad`` and one slot behind it.
        shapes: of the parameters, in their order in ``weights``.
        lr: rate of the next `apply`.
    """

    weights: Tensor
    grad: Tensor
    message: Tensor
    shapes: list[Size]
    lr: float

    def gradient(self, batch: Any | None) -> float:
        """Fill ``grad`` with the gradient at ``weights``, *summed* over the batch's frames; return those frames.

        ``None`` or an empty batch (the learner has no more data in this epoch) gives zeros and 0.0.
        """

    def move(self, weights: Tensor) -> None:
        """From now on ``weights`` (P,), and what is in it, are this learner's."""

    def on_gradient(self, done: Callable[[int, int], None]) -> None:
        """From now on `gradient` calls ``done(begin, end)`` when ``grad[begin:end]``, one parameter's, is complete."""

    def apply(self, frames: float) -> bool:
        """One step of the local optimizer with the mean gradient, ``grad`` / ``frames`` (> 0), which ``grad`` becomes.

        False if it was not finite: counted, and skipped.
        """

    def reset_optimizer(self) -> None:
        """Forget the local optimizer's momenta."""

    def count_nonfinite(self) -> None:
        """Count an update that was not finite and is left out; raises once there were too many."""


class Strategy(ABC):
    """A parallel training algorithm, seen from one learner.

    It owns its state, and saves and restores all of it. Subclasses set `synchronised` whenever a step ends with a model
    that observers may look at.

    Args:
        settings: the dataclass of the algorithm's settings.
        learner: this rank's model, gradient and local optimizer.
        comm: the learners.
        wire: how vectors travel.

    Attributes:
        lockstep: learners take their k-th step together, some of them or all, and the data end in the same step for
            all. Else `step` without a batch returns False at once, and only `finish`, to which all must come, brings
            them together.
        apart: in lockstep, steps that a learner may have taken more than another one, at most; what all are to know in
            one step travels for so long without keeping anybody waiting.
        lag: steps that the model of a synchronised moment lacks, which all have taken since it was summed.
        own_pace: every single learner may take any number of steps between two `finish`.
        rejoins: `survive` also takes in learners that come in the places of lost ones, with the mean of the weights.
        together: the learners that take as many steps between two `finish` as this one, some with empty batches, since
            none of these steps finds the end of the data by itself; None where ``step(None)`` does, or nobody need.
        alike: the learners that hold the same weights as this one at all times, for which their optimizers need the
            same rates; None where each goes its own way.
        kept: names of the attributes that make up the strategy's state in a synchronised moment.
    """

    lockstep: ClassVar[bool] = True
    own_pace: ClassVar[bool] = False
    rejoins: ClassVar[bool] = False
    kept: ClassVar[tuple[str, ...]] = ()

    def __init__(self, settings: Any, learner: Learner, comm: Comm, wire: Wire | None = None) -> None:
        self.settings, self.learner, self.comm, self.wire = settings, learner, comm, wire or Wire()
        self.synchronised, self.apart, self.lag = True, 1, 0
        self.together: Comm | None = None
        self.alike: Comm | None = None

    @classmethod
    def workers(cls, settings: Any, size: int) -> int:
        """How many of ``size`` ranks, the first ones, are given data; the others serve."""
        return size

    def start(self) -> None:
        """Before the first step of a fresh run: everybody begins with rank 0's weights."""
        self.comm.broadcast(self.learner.weights, root=0)

    @abstractmethod
    def step(self, batch: Any | None) -> bool:
        """Consume one batch, which may be empty; None at the epoch's end.

        In lockstep the end comes to all in the same step. False once no learner had a batch.
        """

    def epoch(self, batches: Iterable[Any]) -> None:
        """All steps of an epoch with this learner's ``batches``, and `finish`; for loops with no more in them."""
        left = iter(batches)
        while self.step(next(left, None)):
            pass
        self.finish()

    def should_sync(self, wish: bool) -> bool:
        """Whether to come to `finish` between two steps, where ``wish`` is what this learner alone would do."""
        return wish

    def finish(self) -> None:
        """Come to a synchronised state, nothing in flight; at each epoch's end. The next `step` goes on from there."""

    def close(self) -> None:
        """The training is over."""

    def survive(self, comm: Comm) -> "Strategy":
        """Go on among the learners of ``comm``, who are left; `TrainingError` if the algorithm cannot.

        In lockstep the step in which the loss came counts as taken, and all are at the same step again.
        """
        raise TrainingError("a learner was lost, and this strategy cannot go on without it; run again to resume")

    def finite_or_zero(self, x: Tensor) -> bool:
        """Whether ``x``, which is to be sent, is finite; else zero it, for it must not reach the others, and count."""
        finite = all_finite(x)
        if not finite:
            self.learner.count_nonfinite()
            x.zero_()
        return finite

    def observed(self) -> Tensor:
        """(P,) what observers of this learner, such as an average over time, look at; not to be changed."""
        return self.learner.weights

    def consensus(self, x: Tensor) -> Tensor:
        """The vector of all learners that belongs to ``x``, which each of them has observed in its own place.

        The same on every rank. Collective; only in synchronised moments.
        """
        return x

    def model(self) -> Tensor:
        """(P,) the model: evaluated, and saved as the final weights. Collective; only in synchronised moments."""
        return self.consensus(self.observed())

    def state_dict(self) -> dict[str, Any]:
        """All that the strategy needs to go on, but the learner's own state; tensors and plain values."""
        return {name: getattr(self, name) for name in self.kept}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict`'s result. Tensors of this class are overwritten in place."""
        for name in self.kept:
            own = getattr(self, name)
            if isinstance(own, Tensor):
                own.copy_(state[name])
            else:
                setattr(self, name, state[name])


def mean_of(x: Tensor, comm: Comm, *, counts: bool = True) -> Tensor:
    """(P,) the mean of all learners' ``x`` (P,) that are finite, and that ``counts``; NaN of none. Collective."""
    mean, number = x.clone(), torch.ones(1)
    if not (counts and all_finite(mean)):
        mean.zero_()
        number.zero_()
    comm.allreduce(number)
    comm.allreduce(mean)
    return mean.div_(number.item())


class Gossip(Strategy):
    """A strategy without a centre: learners hold different weights, and the model is their mean."""

    def consensus(self, x: Tensor) -> Tensor:
        """The mean over the learners."""
        return mean_of(x, self.comm)

    def take_in(self, x: Tensor, moved: Tensor, finite: bool, scale: float = 1.0) -> None:
        """Add what mixing has ``moved`` to ``x`` (P,), or take it, ``scale`` times, in place of what had overflowed."""
        if finite:
            x.add_(moved)
        else:
            self.learner.count_nonfinite()
            torch.mul(moved, scale, out=x)

    def add_up(self, x: Tensor, fraction: float) -> Tensor:
        """Σ x, in place. A learner whose ``x``, a ``fraction`` of 1, is not finite counts as the others' mean."""
        lost = torch.zeros(1, dtype=torch.float64)
        if not all_finite(x):
            x.zero_()
            lost.fill_(fraction)
        self.comm.allreduce(lost)
        self.comm.allreduce(x)
        if not lost.item():
            return x
        left = 1.0 - lost.item()
        # Where nobody has a model, NaN says so.
        return x.div_(left) if left > 1e-9 else x.fill_(torch.nan)

    def model(self) -> Tensor:
        """The mean of the learners' weights; records how far this learner is from it, relative to its norm."""
        own = self.observed()
        mean = self.consensus(own)
        self.comm.trace.count("consensus_distance", ((own - mean).norm() / mean.norm().clamp(min=1e-30)).item())
        return mean
