"""Elastic averaging SGD, synchronous: Zhang et al. 2015, arXiv 1412.6651.

    x_i ← x_i − γ g_i(x_i) − α (x_i − c)        c ← c + α Σ_i (x_i − c)

with the x_i and c of before the step on the right-hand sides; the elastic terms are there in every τ-th step. Learners
explore on their own and are only drawn to the centre c, which is the model. Σ_i x_i + c moves by gradients alone. The
paper's momentum variant, EAMSGD, is this with Nesterov momentum as the local optimizer.

After a loss the exchange that was on its way may have come to some of those who are left, and not to others: these take
up c, and are drawn to it as the others were. Σ_i x_i + c of those who are left still moves by gradients alone.

When to use: to let learners differ more than `model_averaging` does. The centre lags behind them; give it time.
Cost of an exchange: one allreduce of P + 1 numbers. Extra memory: 3 P.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from asrpar.errors import ConfigError
from asrpar.parallel.comm import Comm
from asrpar.parallel.compress.wire import Wire
from asrpar.parallel.contract import Learner, Strategy
from asrpar.parallel.local.survival import check_wire, newest
from asrpar.rules import at_least


@dataclass
class Settings:
    """Settings of EASGD.

    Attributes:
        sync_steps: τ, steps from one exchange to the next.
        alpha: α, with 0 < N α < 1; None takes 0.9 / N.
    """

    sync_steps: int = 4
    alpha: float | None = None

    def validate(self) -> None:
        at_least(self, 1, "sync_steps")


class Algorithm(Strategy):
    """Every learner keeps the centre, and all keep it alike."""

    rejoins = True
    kept = ("centre", "seen", "steps", "synchronised")

    def __init__(self, settings: Settings, learner: Learner, comm: Comm, wire: Wire | None = None) -> None:
        super().__init__(settings, learner, comm, wire)
        self.alpha = 0.9 / comm.size if settings.alpha is None else settings.alpha
        if not 0 < comm.size * self.alpha < 1:
            raise ConfigError(
                f"easgd.alpha is {self.alpha}: with {comm.size} learners it must lie between 0 and 1/{comm.size}, "
                "for the centre moves by the sum of their pulls"
            )
        if self.wire.momentum:
            # It would move the centre by up to 1 / (1 - m) times what the learners are pulled.
            raise ConfigError("compressions.topk.momentum is for sums of gradients, and easgd has none: set it to 0")
        self.apart = settings.sync_steps
        self.centre = torch.empty_like(learner.weights)
        self.pull = torch.empty_like(learner.weights)
        # Σ (x_i − c), and the frames seen since the last exchange.
        self.message = comm.zeros(learner.weights.numel() + 1, learner.weights)
        self.seen = 0.0
        self.steps = 0
        # Frames of a gradient that is not applied before an exchange is done.
        self.unapplied = 0.0
        # Exchanges that have moved this learner's centre; below 0 it has none.
        self.exchanges = -1

    def start(self) -> None:
        """c = x_i = rank 0's weights."""
        super().start()
        self.centre.copy_(self.learner.weights)
        self.exchanges = 0

    def step(self, batch: Any | None) -> bool:
        """A local step; the τ-th exchanges too."""
        frames = self.learner.gradient(batch) if batch is not None else 0.0
        self.seen += frames
        self.steps += 1
        self.unapplied = frames
        self.synchronised = self.steps == self.settings.sync_steps
        more = self.exchange() if self.synchronised else True
        if frames:
            self.learner.apply(frames)
        self.unapplied = 0.0
        if self.synchronised:
            # After the update, whose weight decay would otherwise see weights that had been pulled.
            self.learner.weights.sub_(self.pull, alpha=self.alpha)
        return more

    def exchange(self) -> bool:
        """Move the centre. False if no learner has seen a frame since the last time."""
        weights, total = self.learner.weights, self.message[:-1]
        torch.sub(weights, self.centre, out=self.pull)
        if not self.finite_or_zero(self.pull):
            weights.copy_(self.centre)
        total.copy_(self.pull)
        self.message[-1] = self.seen
        self.wire.allreduce(self.comm, self.message, exact=1)
        self.centre.add_(total, alpha=self.alpha)
        self.seen, self.steps = 0.0, 0
        self.exchanges += 1
        return self.message[-1].item() > 0

    def finish(self) -> None:
        """Nothing is in flight: the exchange that found the end of the data was one like all others."""
        self.synchronised = True

    def survive(self, comm: Comm) -> "Algorithm":
        """Go on among the learners of ``comm``, some of whom may be new, from an exchange on. See above."""
        check_wire(self.wire)
        most, root = newest(comm, self.exchanges)
        other = Algorithm(self.settings, self.learner, comm, self.wire)
        other.centre.copy_(self.centre)
        comm.broadcast(other.centre, root)
        other.exchanges = most
        if self.unapplied:
            self.learner.apply(self.unapplied)
        if self.exchanges < 0:
            self.learner.weights.copy_(other.centre)
        elif self.exchanges < most:
            self.learner.weights.sub_(self.pull, alpha=self.alpha)
        else:
            other.seen = self.seen
        return other

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.exchanges = 0

    def observed(self) -> Tensor:
        """c, which all learners hold alike."""
        return self.centre
