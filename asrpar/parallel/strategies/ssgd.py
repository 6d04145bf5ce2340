"""Synchronous SGD, "BSP": P1 (Cui et al. 2020, arXiv 2002.10502), P2 (Zhang et al. 2019, arXiv 1907.05701).

    g = Σ_i n_i g_i(x) / Σ_i n_i        x ← x − γ g       on every learner alike

n_i are the frames behind g_i, so that N learners with batches of b frames take exactly the step that one learner
takes with N·b frames, also where shares are uneven.

When to use: equally fast learners, few enough that the global batch still converges. The slowest learner sets the pace.
Cost of a step: one allreduce of P + 1 numbers, 2 (N − 1) / N · 4 (P + 1) bytes sent by each learner on a ring.
"""

from dataclasses import dataclass
from typing import Any

from asrpar.parallel.strategies.base import Strategy


@dataclass
class Settings:
    """No settings."""


class Algorithm(Strategy):
    """Allreduce of gradients; all learners hold the same weights at all times."""

    def step(self, batch: Any | None) -> bool:
        """Sum the gradients and the frames over all learners, and update."""
        message = self.learner.message
        message[-1] = self.learner.gradient(batch)
        self.wire.allreduce(self.comm, message, exact=1)
        frames = message[-1].item()
        if frames == 0:
            return False
        self.learner.grad.div_(frames)
        # A gradient that is not finite on one learner is not finite in the sum: all learners skip it alike.
        self.learner.apply()
        return True
