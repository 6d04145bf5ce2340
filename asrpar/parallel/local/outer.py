"""The outer optimizer of local SGD, BMUF, SlowMo and DiLoCo: what the mean displacement G of a block does to W.

    Δ(t) = μ Δ(t−1) + a G                W(t) = W(t−1) + r Δ(t)
    W_g(t) = W(t), or, looking ahead,    W_g(t) = W(t) + μ r Δ(t)

−G is the gradient of an SGD with momentum μ, of Nesterov's kind if it looks ahead. The algorithms differ in (μ, a, r):

    local SGD (0, 1, 1)    BMUF (η, ζ, 1)    SlowMo (β, 1/γ, αγ)    DiLoCo (0.9, 0.7, 1), looking ahead

Memory: 2 P, looking ahead 3 P.
"""

import torch
from torch import Tensor

from asrpar.parallel.flat import all_finite


class OuterOptimizer:
    """W, and where the next block starts from.

    Args:
        like: (P,) a vector of the model's size, type and device.
        look_ahead: whether W_g is not W.

    Attributes:
        w: (P,) the model.
        w_g: (P,) the base of the next block.
        delta: (P,) Δ.
    """

    def __init__(self, like: Tensor, *, look_ahead: bool) -> None:
        self.w = torch.empty_like(like)
        self.w_g = torch.empty_like(like) if look_ahead else self.w
        self.delta = torch.zeros_like(like)

    def begin(self, weights: Tensor) -> None:
        """W(0) = W_g(0) = ``weights``."""
        self.w.copy_(weights)
        self.w_g.copy_(weights)

    def step(self, total: Tensor, frames: float, momentum: float, gain: float, rate: float) -> bool:
        """One step with (μ, a, r) and G = ``total`` (P,) / ``frames``; False, and nothing changed, if not finite."""
        if not all_finite(total):
            return False
        self.delta.mul_(momentum).add_(total, alpha=gain / max(frames, 1.0))
        self.w.add_(self.delta, alpha=rate)
        if self.w_g is not self.w:
            self.w_g.copy_(self.w).add_(self.delta, alpha=momentum * rate)
        return True
