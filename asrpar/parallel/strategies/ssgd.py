"""Synchronous SGD, "BSP": Cui et al. 2020 (arXiv 2002.10502), Zhang et al. 2019 (arXiv 1907.05701).

    g = Σ_i n_i g_i(x) / Σ_i n_i        x ← x − γ g       on every learner alike

n_i are the frames behind g_i, so that N learners with batches of b frames take exactly the step that one learner
takes with N·b frames, also where shares are uneven.

When to use: equally fast learners, few enough that the global batch still converges. The slowest learner sets the pace.
Cost of a step: one allreduce of P + 1 numbers, 2 (N − 1) / N · 4 (P + 1) bytes sent by each learner on a ring, nothing
within a node, where learners add up in shared memory. With buckets, as many messages as there are buckets, and one of
one number; they are hidden behind backward as far as cores are free to handle them.
"""

from dataclasses import dataclass
from typing import Any

from asrpar.errors import ConfigError
from asrpar.parallel.comm import Comm
from asrpar.parallel.compress.wire import Wire
from asrpar.parallel.contract import Learner, Strategy
from asrpar.parallel.local.buckets import Buckets
from asrpar.parallel.local.sums import sum_gradient, update
from asrpar.rules import not_negative


@dataclass
class Settings:
    """Settings of synchronous SGD.

    Attributes:
        bucket_mb: sum gradients in pieces of about so many megabytes, each as soon as backward has computed it; 0 sums
            them at once after it. For learners on several machines; within one there is little to hide.
    """

    bucket_mb: float = 0.0

    def validate(self) -> None:
        not_negative(self, "bucket_mb")


class Algorithm(Strategy):
    """Allreduce of gradients; all learners hold the same weights at all times."""

    def __init__(self, settings: Settings, learner: Learner, comm: Comm, wire: Wire | None = None) -> None:
        super().__init__(settings, learner, comm, wire)
        self.alike = comm
        if settings.bucket_mb and self.wire.method != "none":
            raise ConfigError(
                f"compression '{self.wire.method}' takes whole gradients: set strategies.ssgd.bucket_mb to 0, "
                "or it to none"
            )
        self.buckets = Buckets(learner, comm, settings.bucket_mb * 2**20) if settings.bucket_mb else None

    def step(self, batch: Any | None) -> bool:
        """Sum the gradients and the frames over all learners, and update."""
        if self.buckets:
            self.buckets.sum_gradient(batch)
        else:
            sum_gradient(self.learner, self.comm, self.wire, batch)
        return update(self.learner) > 0
