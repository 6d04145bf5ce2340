"""The local optimizer: torch's, over one flat vector, whose momenta can be forgotten."""

from typing import Any

import torch
from torch import Tensor, nn

from asrpar.train.config import OptimizerConfig


class AdamW(torch.optim.AdamW):
    """torch's AdamW with a first moment that may begin anew.

    The first moment is zero at its beginning, and divided by 1 − β₁ᵗ for that. torch has one count t for both moments.
    If the first begins anew after b steps, its count is t − b: else the k-th step after it would be only 1 − β₁ᵏ of a
    step. Before any `reset_momenta` it is torch's own, to the bit.
    """

    def step(self, closure: Any = None) -> None:
        """One step."""
        group = self.param_groups[0]
        state = self.state[group["params"][0]]
        begun = state.get("begun", 0.0)
        if not begun:
            super().step(closure)
            return
        rate, decay = group["lr"], group["weight_decay"]
        steps, beta = state["step"].item() + 1.0, group["betas"][0]
        factor = (1.0 - beta**steps) / (1.0 - beta ** (steps - begun))
        # The step is longer, but not what weight decay takes, the product of the two.
        group["lr"], group["weight_decay"] = rate * factor, decay / factor
        super().step(closure)
        group["lr"], group["weight_decay"] = rate, decay


def make_optimizer(config: OptimizerConfig, flat: Tensor, grad: Tensor) -> torch.optim.Optimizer:
    """A torch optimizer over one flat vector (P,)."""
    parameter = nn.Parameter(flat)
    parameter.grad = grad
    if config.name == "sgd":
        return torch.optim.SGD(
            [parameter],
            lr=config.lr,
            momentum=config.momentum,
            nesterov=config.nesterov and config.momentum > 0,
            weight_decay=config.weight_decay,
            fused=True,
        )
    return AdamW(
        [parameter],
        lr=config.lr,
        betas=(config.betas[0], config.betas[1]),
        eps=config.eps,
        weight_decay=config.weight_decay,
        fused=True,
    )


def reset_momenta(optimizer: torch.optim.Optimizer) -> None:
    """Forget momenta: SGD's buffer, AdamW's first moment with its count of steps. Its second one is no momentum."""
    for state in optimizer.state.values():
        for name in ("momentum_buffer", "exp_avg"):
            if state.get(name) is not None:
                state[name].zero_()
        if "exp_avg" in state:
            state["begun"] = state["step"].item()
