"""A least-squares problem as a `Learner`, in float64: small enough for exact comparisons between algorithms."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from asrpar.parallel.flat import FlatParameters


class ToyLearner:
    """Linear regression y = A x with squared loss; a batch is (inputs (n, d), targets (n,)), a frame is a row."""

    def __init__(self, seed: int = 0, dim: int = 5, lr: float = 0.05, momentum: float = 0.0) -> None:
        torch.manual_seed(seed)
        self.module = nn.Linear(dim, 1, dtype=torch.float64)
        self.flat = FlatParameters(self.module)
        self.weights, self.grad, self.message = self.flat.weights, self.flat.grad, self.flat.message
        parameter = nn.Parameter(self.weights)
        parameter.grad = self.grad
        self.shapes, self.lr = self.flat.shapes, lr
        self.optimizer = torch.optim.SGD([parameter], lr=lr, momentum=momentum)

    def gradient(self, batch: tuple[Tensor, Tensor] | None) -> float:
        self.grad.zero_()
        if batch is None or len(batch[0]) == 0:
            return 0.0
        inputs, targets = batch
        (0.5 * (self.module(inputs).squeeze(1) - targets) ** 2).sum().backward()
        return float(len(inputs))

    def apply(self) -> bool:
        if not torch.isfinite(self.grad).all():
            return False
        self.optimizer.step()
        return True

    def move(self, weights: Tensor) -> None:
        self.flat.move(weights)
        self.weights = weights
        self.optimizer.param_groups[0]["params"][0].data = weights

    def on_gradient(self, done: Callable[[int, int], None]) -> None:
        self.flat.on_gradient(done)

    def count_nonfinite(self) -> None:
        self.skipped = getattr(self, "skipped", 0) + 1

    def reset_optimizer(self) -> None:
        for state in self.optimizer.state.values():
            state["momentum_buffer"].zero_()


def data(steps: int, rows: int, seed: int = 1, dim: int = 5) -> list[tuple[Tensor, Tensor]]:
    """``steps`` batches of ``rows`` rows."""
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(steps, rows, dim, generator=g, dtype=torch.float64)
    truth = torch.arange(1, dim + 1, dtype=torch.float64)
    y = x @ truth + 0.1 * torch.randn(steps, rows, generator=g, dtype=torch.float64)
    return list(zip(x, y, strict=True))


def sgd(learner: ToyLearner, batches: list[tuple[Tensor, Tensor]]) -> None:
    """The reference: one learner, one step a batch."""
    for batch in batches:
        learner.grad.div_(learner.gradient(batch))
        learner.apply()
