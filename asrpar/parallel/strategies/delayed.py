"""ADPSGD's third form, delay-by-one (Zhang et al. 2020, arXiv 2002.01119).

    x_i(t + 1) = (1/N) Σ_j x_j(t) − γ g_i(x_i(t))

The models are averaged over all learners while the next gradient is computed, so the staleness is exactly 1 and the
consensus is perfect but for one update of each.

When to use: learners of equal speed whose models take about as long to average as a gradient takes to compute. It has
no tolerance of a slow learner: all wait for it, as in `ssgd`, but for no message.
Cost of a step: one allreduce of P + 2 numbers, hidden behind computing. Extra memory: P + 2.
"""

from dataclasses import dataclass
from typing import Any

from asrpar.parallel.comm import Comm
from asrpar.parallel.compress.wire import Wire, need_plain_wire
from asrpar.parallel.contract import Gossip, Learner


@dataclass
class Settings:
    """No settings."""


class Algorithm(Gossip):
    """Uniform averaging, overlapped with the gradient."""

    def __init__(self, settings: Settings, learner: Learner, comm: Comm, wire: Wire | None = None) -> None:
        super().__init__(settings, learner, comm, wire)
        need_plain_wire(self.wire, "delayed", "or take dpsgd with topology complete, which is the same algorithm")
        self.apart = 2
        # Σ x_j over the learners whose x_j is finite, how many these are, and how many have a batch.
        self.sum = comm.zeros(learner.weights.numel() + 2, learner.weights)

    def step(self, batch: Any | None) -> bool:
        """Average the models of before this step, meanwhile compute a gradient, then update."""
        weights, models = self.learner.weights, self.sum[:-2]
        models.copy_(weights)
        self.sum[-2], self.sum[-1] = self.finite_or_zero(models), batch is not None
        averaging = self.comm.allreduce_begin(self.sum)
        frames = self.learner.gradient(batch)
        averaging.wait()
        if self.sum[-1].item() == 0:
            return False
        weights.copy_(models.div_(self.sum[-2].item()))
        if frames:
            self.learner.apply(frames)
        self.comm.trace.count("staleness", 1)
        return True
