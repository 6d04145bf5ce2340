"""Momenta of torch's optimizers that can be forgotten, as block algorithms do where a new block starts."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch.optim import Adam, Adamax, Optimizer, RAdam


class AdamW(torch.optim.AdamW):
    """torch's AdamW with a first moment that may begin anew.

    The first moment is zero at its beginning, and divided by 1 − β₁ᵗ for that. torch has one count t for both moments.
    If the first begins anew after b steps, its count is t − b: else the k-th step after it would be only 1 − β₁ᵏ of a
    step. Before any `reset_momenta` it is torch's own, to the bit.
    """

    def step(self, closure: Any = None) -> None:
        """One step."""
        with _whole(self):
            super().step(closure)


def whole_steps(optimizer: Optimizer) -> AbstractContextManager[None]:
    """Within, a step of anybody's optimizer whose first moment began anew is as long as `AdamW`'s."""
    return nullcontext() if isinstance(optimizer, AdamW) else _whole(optimizer)


@contextmanager
def _whole(optimizer: Optimizer) -> Iterator[None]:
    """Rates of the next step make up for the count of a first moment that began anew."""
    before = []
    for group in optimizer.param_groups if isinstance(optimizer, Adam | Adamax | RAdam) else ():
        # Of an update all parameters take their step.
        state = optimizer.state.get(group["params"][0], {}) if group["params"] else {}
        begun = state.get("begun", 0.0)
        if not begun:
            continue
        rate, decay = group["lr"], group["weight_decay"]
        before.append((group, rate, decay))
        steps, beta = float(state["step"]) + 1.0, group["betas"][0]
        factor = (1.0 - beta**steps) / (1.0 - beta ** (steps - begun))
        group["lr"] = rate * factor
        if group.get("decoupled_weight_decay", isinstance(optimizer, torch.optim.AdamW)):
            # The step is longer, but not what weight decay takes, the product of the two.
            group["weight_decay"] = decay / factor
    try:
        yield
    finally:
        for group, rate, decay in before:
            group["lr"], group["weight_decay"] = rate, decay


def reset_momenta(optimizer: Optimizer) -> None:
    """Forget momenta: SGD's buffer, Adam's first moment with its count of steps. Its second one is no momentum."""
    for state in optimizer.state.values():
        for name in ("momentum_buffer", "exp_avg"):
            if state.get(name) is not None:
                state[name].zero_()
        # Optimizers that are not torch's may not count, or in a plain number.
        if "exp_avg" in state and "step" in state:
            state["begun"] = float(state["step"])
        if "mu_product" in state:  # NAdam's count
            state["mu_product"].fill_(1.0)
