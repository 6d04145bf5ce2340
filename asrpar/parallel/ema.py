"""Exponential moving average of the model: Tian et al. 2017 (arXiv 1703.01024).

    θ̄ ← a θ̄ + (1 − a) θ        after each synchronisation, θ the synchronised model

It is never sent back ("non-interference"): training with and without it is bit-identical. The first weights count
exp(−F / T) after F frames. With a warm-up they do not: of n more frames

    a = min(exp(−n / T), ((F − n) / F)⁹)

The second is the mean in which the models of frame f count f⁸ (polynomial decay, Shamir & Zhang 2013, arXiv 1212.1824):
it spans the last ninth of the training so far, until that is T. TensorFlow's min(a, (1 + t) / (10 + t)) of step t is
the same but for its first steps.

θ̄ is kept in 64 bits: in 32 a step that adds less than 2⁻²⁵ of it adds nothing, and θ̄ stalls where T has 10⁵ steps.
"""

import math
from typing import Any

import torch
from torch import Tensor

from asrpar.parallel.flat import all_finite

# 1 / the fraction of the training so far that the average spans in its warm-up.
SPAN = 9
# Numbers taken at a time, so that what is in between stays in the cache.
_CHUNK = 1 << 17


class Ema:
    """θ̄ of a strategy's model.

    Args:
        model: (P,) where the average begins.
        decay_frames: time constant T in frames seen by all learners, a = exp(−frames / T); so the average spans the
            same speech whatever N and the block size are.
        warmup: forget where it began, see above.

    Attributes:
        mean: (P,) θ̄, float64.
        frames: F.
    """

    def __init__(self, model: Tensor, decay_frames: float, *, warmup: bool = False) -> None:
        self.mean = model.to(torch.float64, copy=True)
        self.type = model.dtype
        self.decay_frames, self.warmup, self.frames = decay_frames, warmup, 0.0
        self.scratch = self.mean.new_empty(min(_CHUNK, self.mean.numel()))

    def update(self, model: Tensor, frames: float) -> None:
        """Take in the model after ``frames`` more frames; not one that is not finite, which would stay for ever."""
        self.frames += frames
        if not all_finite(model):
            return
        weight = -math.expm1(-frames / self.decay_frames)
        if self.warmup:
            weight = max(weight, 1.0 - (1.0 - frames / self.frames) ** SPAN)
        for mean, part in zip(self.mean.split(_CHUNK), model.split(_CHUNK), strict=True):
            mean.lerp_(self.scratch[: len(part)].copy_(part), weight)

    def model(self) -> Tensor:
        """(P,) θ̄ in the model's type."""
        return self.mean.to(self.type)

    def state_dict(self) -> dict[str, Any]:
        """θ̄ and F."""
        return {"mean": self.mean, "frames": self.frames}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore θ̄; earlier versions had neither 64 bits nor F."""
        self.mean.copy_(state["mean"])
        self.frames = state.get("frames", 0.0)


def too_short(epochs: float, decay_epochs: float, warmup: bool) -> str | None:
    """What to tell of an average whose training has less than its time constant; None of others."""
    if epochs >= decay_epochs:
        return None
    effect = (
        f"the average spans the last 1/{SPAN} of the training instead"
        if warmup
        else f"{100 * math.exp(-epochs / decay_epochs):.0f} % of the final weights are those that it begins with"
    )
    return (
        f"ema.decay_epochs is {decay_epochs:g}, but the training has {epochs:g} epochs: {effect}; set it to a part of "
        "them, such as a quarter of an epoch" + ("" if warmup else ", or ema.warmup=true")
    )
