"""Exponential moving average of the model, P4 (Tian et al. 2017, arXiv 1703.01024).

    θ̄ ← a θ̄ + (1 − a) θ        after each synchronisation, θ the synchronised model

It is never sent back ("non-interference"): training with and without it is bit-identical.
"""

import math
from typing import Any

from torch import Tensor


class Ema:
    """θ̄ of a strategy's model.

    Args:
        model: (P,) where the average begins.
        decay_frames: time constant T in frames seen by all learners, a = exp(−frames / T); so the average spans the
            same speech whatever N and the block size are.
    """

    def __init__(self, model: Tensor, decay_frames: float) -> None:
        self.mean = model.clone()
        self.decay_frames = decay_frames

    def update(self, model: Tensor, frames: float) -> None:
        """Take in the model after ``frames`` more frames."""
        self.mean.lerp_(model, -math.expm1(-frames / self.decay_frames))

    def state_dict(self) -> dict[str, Any]:
        """θ̄."""
        return {"mean": self.mean}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore θ̄."""
        self.mean.copy_(state["mean"])
