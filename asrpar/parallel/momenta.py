"""Momenta of torch's optimizers that can be forgotten, as block algorithms do where a new block starts."""

from typing import Any

import torch


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


def reset_momenta(optimizer: torch.optim.Optimizer) -> None:
    """Forget momenta: SGD's buffer, AdamW's first moment with its count of steps. Its second one is no momentum."""
    for state in optimizer.state.values():
        for name in ("momentum_buffer", "exp_avg"):
            if state.get(name) is not None:
                state[name].zero_()
        if "exp_avg" in state:
            state["begun"] = state["step"].item()
