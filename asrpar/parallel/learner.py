"""Learners for any PyTorch module: flat vectors, a loss, and one of torch's optimizers; and one around another."""

import math
from abc import abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Size, Tensor, nn

from asrpar.errors import TrainingError
from asrpar.parallel.contract import Learner
from asrpar.parallel.flat import FlatParameters
from asrpar.parallel.momenta import reset_momenta
from asrpar.parallel.trace import Trace, timed


class ModuleLearner(Learner):
    """The flat vectors of a module, and what is done with them whoever computes the gradient and takes the step.

    Args:
        module: on its device. Its parameters become views on ``weights``.
        zeros: `Comm.zeros` of all learners, where sums are fastest; None for ordinary memory.
        clip_norm: longest gradient of an update, longer ones are scaled down to it; 0 for no limit.
        max_nonfinite: raise after so many gradients that were not finite.

    Attributes:
        optimizer: the local one; subclasses set it.
        device: of the module.
        trace: where it is recorded what the time went to.
        grad_norm: of the mean gradient that was applied last, before it was clipped.
        nonfinite, updates: left out, and done.
        advice: what to do where too many gradients are not finite.
    """

    advice: ClassVar[str] = "lower the learning rate, or clip gradients"
    optimizer: torch.optim.Optimizer

    def __init__(
        self,
        module: nn.Module,
        zeros: Callable[[int, Tensor], Tensor] | None = None,
        *,
        clip_norm: float = 0.0,
        max_nonfinite: float = math.inf,
    ) -> None:
        self.module, self.clip_norm, self.max_nonfinite = module, clip_norm, max_nonfinite
        self.flat = FlatParameters(module, zeros)
        self.weights, self.grad, self.message = self.flat.weights, self.flat.grad, self.flat.message
        self.shapes, self.device = self.flat.shapes, self.flat.weights.device
        self.trace = Trace()
        self.grad_norm = 0.0
        self.nonfinite = self.updates = 0

    @timed("compute")
    def gradient(self, batch: Any | None) -> float:
        return self.compute(batch)

    @abstractmethod
    def compute(self, batch: Any | None) -> float:
        """What `gradient` does."""

    @timed("apply")
    def apply(self, frames: float) -> bool:
        """Divide, clip and step; False, and no weight changed, if the gradient is not finite."""
        norm = self.grad_norm = self.grad.div_(frames).norm().item()
        if norm - norm != 0:
            self.count_nonfinite()
            return False
        self.update(norm)
        self.updates += 1
        self.updated()
        return True

    @abstractmethod
    def update(self, norm: float) -> None:
        """Clip ``grad``, which is the mean and so long, and let the optimizer take its step."""

    def updated(self) -> None:
        """Called after each update; for constraints on the weights."""

    def move(self, weights: Tensor) -> None:
        self.flat.move(weights)
        self.weights = weights

    def on_gradient(self, done: Callable[[int, int], None]) -> None:
        self.flat.on_gradient(done)

    def count_nonfinite(self) -> None:
        """Count an update that is left out; `TrainingError` at the ``max_nonfinite``-th."""
        self.nonfinite += 1
        if self.nonfinite >= self.max_nonfinite:
            raise TrainingError(f"{self.nonfinite} gradients were not finite (max_nonfinite): {self.advice}")

    def reset_optimizer(self) -> None:
        reset_momenta(self.optimizer)

    def state_dict(self) -> dict[str, Any]:
        """Weights, optimizer and counters."""
        return {
            "weights": self.weights,
            "optimizer": self.optimizer.state_dict(),
            "counters": [self.nonfinite, self.updates],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore in place, so that all views stay valid."""
        self.weights.copy_(state["weights"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.nonfinite, self.updates = state["counters"][:2]


class FlatLearner(ModuleLearner):
    """What a strategy drives; see `asrpar.parallel.contract.Learner`.

    Args:
        module: see `ModuleLearner`, as for the other arguments.
        optimizer: makes the local optimizer of the list of parameters, which has the flat one in it; such as
            ``functools.partial(torch.optim.SGD, lr=0.1)``. Gradients are zeroed, and rates set, by the learner.
        loss: of the module and a batch, ``(sum over frames (), frames)``, whatever is counted as a frame: utterances,
            images. Classes that override `compute` need none.

    Attributes:
        lr: rate of the next `apply`; at first the optimizer's.
    """

    def __init__(
        self,
        module: nn.Module,
        optimizer: Callable[[list[nn.Parameter]], torch.optim.Optimizer],
        loss: Callable[[nn.Module, Any], tuple[Tensor, float]] | None = None,
        *,
        zeros: Callable[[int, Tensor], Tensor] | None = None,
        clip_norm: float = 0.0,
        max_nonfinite: float = math.inf,
    ) -> None:
        super().__init__(module, zeros, clip_norm=clip_norm, max_nonfinite=max_nonfinite)
        self.loss = loss
        parameter = nn.Parameter(self.weights)
        parameter.grad = self.grad
        self.optimizer = optimizer([parameter])
        self.lr = self.optimizer.param_groups[0]["lr"]

    def compute(self, batch: Any | None) -> float:
        """The gradient of the summed loss."""
        self.grad.zero_()
        if batch is None:
            return 0.0
        loss, frames = self.loss(self.module, batch)
        if frames:
            loss.backward()
        return float(frames)

    def update(self, norm: float) -> None:
        """At the rate ``lr``."""
        if self.clip_norm and norm > self.clip_norm:
            self.grad.mul_(self.clip_norm / norm)
        for group in self.optimizer.param_groups:
            group["lr"] = self.lr
        self.optimizer.step()

    def move(self, weights: Tensor) -> None:
        super().move(weights)
        self.optimizer.param_groups[0]["params"][0].data = weights


class ForwardingLearner(Learner):
    """Does what ``inner`` does; the base of learners around another one, which change a few of its methods.

    Args:
        inner: the learner that does the work.
    """

    def __init__(self, inner: Learner) -> None:
        self.inner = inner

    @property
    def weights(self) -> Tensor:
        """(P,)"""
        return self.inner.weights

    @property
    def grad(self) -> Tensor:
        """(P,)"""
        return self.inner.grad

    @property
    def message(self) -> Tensor:
        """(P + 1,)"""
        return self.inner.message

    @property
    def shapes(self) -> list[Size]:
        """Of the parameters."""
        return self.inner.shapes

    @property
    def lr(self) -> float:
        """Rate of the next `apply`."""
        return self.inner.lr

    @lr.setter
    def lr(self, rate: float) -> None:
        self.inner.lr = rate

    def gradient(self, batch: Any | None) -> float:
        return self.inner.gradient(batch)

    def move(self, weights: Tensor) -> None:
        self.inner.move(weights)

    def on_gradient(self, done: Callable[[int, int], None]) -> None:
        self.inner.on_gradient(done)

    def apply(self, frames: float) -> bool:
        return self.inner.apply(frames)

    def reset_optimizer(self) -> None:
        self.inner.reset_optimizer()

    def count_nonfinite(self) -> None:
        self.inner.count_nonfinite()
