"""All parameters of a module as views on one flat vector, all gradients as views on a second."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn


class FlatParameters:
    """Moves a module's parameters into contiguous storage.

    Strategies, compression, averages and checkpoints see only the flat vectors, so that each of them is a few lines of
    tensor arithmetic and one message.

    Args:
        module: what to move.
        zeros: `Comm.zeros` of the learners that will add up the gradients; None for ordinary memory.

    Attributes:
        weights: (P,) all parameters, in the order of ``module.parameters()``; the module computes with these.
        grad: (P,) all gradients; backward adds into it.
        message: (P + 1,) the gradient and one slot behind it, so that a gradient and the number of frames it was
            summed over travel in one message without a copy.
        shapes: of the parameters.
    """

    def __init__(self, module: nn.Module, zeros: Callable[[int, Tensor], Tensor] | None = None) -> None:
        parameters = list(module.parameters())
        if not parameters:
            raise ValueError("the module has no parameters")
        first = parameters[0]
        if any(p.dtype != first.dtype or p.device != first.device for p in parameters):
            raise ValueError("all parameters must share one type and one device")
        size = sum(p.numel() for p in parameters)
        self.module = module
        self.shapes = [p.shape for p in parameters]
        self.weights = torch.empty(size, dtype=first.dtype, device=first.device)
        self.message = zeros(size + 1, self.weights) if zeros else self.weights.new_zeros(size + 1)
        self.grad = self.message[:size]
        at = 0
        for p in parameters:
            end = at + p.numel()
            self.weights[at:end].copy_(p.detach().reshape(-1))
            p.data = self.weights[at:end].view(p.shape)
            p.grad = self.grad[at:end].view(p.shape)
            at = end

    def move(self, weights: Tensor) -> None:
        """From now on the parameters are views on ``weights`` (P,), and have the values that are there."""
        sizes = [shape.numel() for shape in self.shapes]
        for p, part, shape in zip(self.module.parameters(), weights.split(sizes), self.shapes, strict=True):
            p.data = part.view(shape)
        self.weights = weights

    def on_gradient(self, done: Callable[[int, int], None]) -> None:
        """In each backward call ``done(begin, end)`` when ``grad[begin:end]``, one parameter's, is complete."""
        end = 0
        for p in self.module.parameters():
            begin, end = end, end + p.numel()
            p.register_post_accumulate_grad_hook(lambda _, begin=begin, end=end: done(begin, end))

    def __len__(self) -> int:
        return self.weights.numel()


def all_finite(x: Tensor) -> bool:
    """Whether all elements of ``x`` are finite; in one pass, where a mask takes ten times as long."""
    if not x.numel():
        return True
    low, high = x.aminmax()
    return math.isfinite(low.item()) and math.isfinite(high.item())


def marked_if_not_finite(x: Tensor) -> bool:
    """Whether ``x``, which is about to be sent, is finite; else its first element becomes NaN.

    So whoever sends reads a vector once, and whoever gets it asks `is_marked`.
    """
    finite = all_finite(x)
    if not finite:
        x[0] = math.nan
    return finite


def is_marked(x: Tensor) -> bool:
    """Whether the sender of ``x`` found that it is not finite."""
    return bool(x[:1].isnan().any())
