"""What strategies without a centre share."""

import torch
from torch import Tensor

from asrpar.parallel.contract import Strategy
from asrpar.parallel.flat import all_finite


class Gossip(Strategy):
    """A strategy without a centre: learners hold different weights, and the model is their mean."""

    def consensus(self, x: Tensor) -> Tensor:
        """The mean over the learners."""
        return self.add_up(x.clone(), 1.0 / self.comm.size).div_(self.comm.size)

    def take_in(self, x: Tensor, moved: Tensor, finite: bool, scale: float = 1.0) -> None:
        """Add what mixing has ``moved`` to ``x`` (P,), or take it, ``scale`` times, in place of what had overflowed."""
        if finite:
            x.add_(moved)
        else:
            self.learner.count_nonfinite()
            torch.mul(moved, scale, out=x)

    def add_up(self, x: Tensor, fraction: float) -> Tensor:
        """Σ x, in place. A learner whose ``x``, a ``fraction`` of 1, is not finite counts as the others' mean."""
        lost = torch.zeros(1, dtype=torch.float64)
        if not all_finite(x):
            x.zero_()
            lost.fill_(fraction)
        self.comm.allreduce(lost)
        self.comm.allreduce(x)
        if not lost.item():
            return x
        left = 1.0 - lost.item()
        # Where nobody has a model, NaN says so.
        return x.div_(left) if left > 1e-9 else x.fill_(torch.nan)

    def model(self) -> Tensor:
        """The mean of the learners' weights; records how far this learner is from it, relative to its norm."""
        own = self.observed()
        mean = self.consensus(own)
        self.comm.trace.count("consensus_distance", ((own - mean).norm() / mean.norm().clamp(min=1e-30)).item())
        return mean
