"""The contract between a strategy, the learner that it drives, and the trainer that drives it."""

from abc import ABC, abstractmethod
from typing import Any, Protocol

from torch import Tensor

from asrpar.parallel.comm import Comm


class Learner(Protocol):
    """What a strategy may do with the model, the data and the optimizer of one rank.

    Attributes:
        weights: (P,) the flat parameters, changed in place.
        grad: (P,) the flat gradient.
        message: (P + 1,) ``grad`` and one slot behind it.
    """

    weights: Tensor
    grad: Tensor
    message: Tensor

    def gradient(self, batch: Any | None) -> float:
        """Fill ``grad`` with the gradient at ``weights``, *summed* over the batch's frames; return those frames.

        ``None`` or an empty batch (the learner has no more data in this epoch) gives zeros and 0.0.
        """

    def apply(self) -> bool:
        """One step of the local optimizer with ``grad``, a mean over frames; False if it was not finite: skipped."""

    def reset_optimizer(self) -> None:
        """Forget the local optimizer's momenta."""

    def count_nonfinite(self) -> None:
        """Count an update that was not finite and is left out; raises once there were too many."""


class Strategy(ABC):
    """A parallel training algorithm, seen from one learner.

    It owns its state, and saves and restores all of it. Subclasses set `synchronised` whenever a step ends with all
    learners agreeing on the model: only then may observers look at it.

    Args:
        settings: the dataclass of the algorithm's settings.
        learner: this rank's model, gradient and local optimizer.
        comm: the learners.
    """

    def __init__(self, settings: Any, learner: Learner, comm: Comm) -> None:
        self.settings = settings
        self.learner = learner
        self.comm = comm
        self.synchronised = True

    def start(self) -> None:
        """Before the first step of a fresh run: everybody begins with rank 0's weights."""
        self.comm.broadcast(self.learner.weights, root=0)

    @abstractmethod
    def step(self, batch: Any | None) -> bool:
        """Consume one batch (None: this learner has none left). False once *no* learner had any: the epoch's end."""

    @abstractmethod
    def model(self) -> Tensor:
        """(P,) the model: what is evaluated, averaged, saved and shipped. The same on every rank; not to be changed."""

    def finish(self) -> None:
        """Come to a quiet state, nothing in flight, all learners agreeing on `model`. Called at each epoch's end."""

    def state_dict(self) -> dict[str, Any]:
        """All that the strategy needs to go on, but the learner's own state; tensors and plain values."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict`'s result. Tensors of this class are overwritten in place."""
