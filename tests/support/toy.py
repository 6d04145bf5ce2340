"""A least-squares problem as a `Learner`, in float64: small enough for exact comparisons between algorithms."""

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from asrpar.parallel.compress import COMPRESSIONS, make_wire
from asrpar.parallel.compress.wire import Wire
from asrpar.parallel.learner import FlatLearner


class ToyLearner(FlatLearner):
    """Linear regression y = A x with squared loss; a batch is (inputs (n, d), targets (n,)), a frame is a row."""

    def __init__(self, seed: int = 0, dim: int = 5, lr: float = 0.05, momentum: float = 0.0) -> None:
        torch.manual_seed(seed)
        module = nn.Linear(dim, 1, dtype=torch.float64)
        super().__init__(module, partial(torch.optim.SGD, lr=lr, momentum=momentum), squared_error)


def squared_error(module: nn.Module, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, int]:
    """Summed over rows, and their number."""
    inputs, targets = batch
    return (0.5 * (module(inputs).squeeze(1) - targets) ** 2).sum(), len(inputs)


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
        learner.apply(learner.gradient(batch))


def wire_of(name: str, shapes: list[torch.Size], like: Tensor, **settings: Any) -> Wire:
    """The wire of a compression."""
    return make_wire(name, COMPRESSIONS.settings_class(name)(**settings), shapes, like)
