"""The block-level outer optimizer behind local SGD, BMUF, SlowMo and DiLoCo.

Every learner starts block t from the base W_g(t−1) and trains alone for τ steps; then

    W̄ = Σ_i (n_i / Σ n) x_i              G = W̄ − W_g(t−1)
    Δ(t) = μ Δ(t−1) + a G                W(t) = W(t−1) + r Δ(t)
    W_g(t) = W(t), or, looking ahead,    W_g(t) = W(t) + μ r Δ(t)

n_i are the frames that learner i saw in the block; the epoch ends with a block in which Σ n = 0. So −G is the gradient
of an SGD with momentum μ, of Nesterov's kind if it looks ahead. The algorithms differ in (μ, a, r):

    local SGD (0, 1, 1)    BMUF (η, ζ, 1)    SlowMo (β, 1/γ, αγ)    DiLoCo (0.9, 0.7, 1), looking ahead

Cost of a block: one allreduce of P + 2 numbers. Extra memory: 3 P, looking ahead 4 P.
"""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from asrpar.errors import ConfigError
from asrpar.parallel.comm import Comm
from asrpar.parallel.strategies.base import Learner, Strategy
from asrpar.parallel.wire import Wire


@dataclass
class BlockSettings:
    """What all block algorithms share.

    Attributes:
        sync_steps: τ, local steps of a block.
        warmup_frames: train by synchronised SGD, as `ssgd` does, until all learners together have seen so many frames.
        keep_local_momentum: do not reset the local optimizer's momenta when a block ends.
    """

    sync_steps: int = 16
    warmup_frames: float = 0.0
    keep_local_momentum: bool = True


class BlockStrategy(Strategy):
    """Local steps, and an outer step when the block ends.

    Attributes:
        name: as users know it, for error messages.
        look_ahead: whether W_g is not W.
    """

    name: ClassVar[str]
    look_ahead: bool = False
    kept = ("w", "w_g", "delta", "frames", "seen", "rates", "steps", "synchronised", "warmup")

    def __init__(self, settings: Any, learner: Learner, comm: Comm, wire: Wire | None = None) -> None:
        super().__init__(settings, learner, comm, wire)
        if settings.sync_steps < 1:
            raise ConfigError(f"{self.name}.sync_steps is {settings.sync_steps}: a block has at least 1 step")
        if settings.warmup_frames < 0:
            raise ConfigError(f"{self.name}.warmup_frames is {settings.warmup_frames}: it must not be negative")
        self.w = torch.empty_like(learner.weights)
        self.w_g = torch.empty_like(learner.weights) if self.look_ahead else self.w
        self.delta = torch.zeros_like(learner.weights)
        # Σ n_i (x_i − W_g), Σ n_i, and the frames of all batches, also of those whose update was skipped.
        self.message = comm.zeros(learner.weights.numel() + 2, learner.weights)
        self.frames = self.seen = self.rates = self.steps = 0
        self.warmup = settings.warmup_frames

    @abstractmethod
    def outer(self, frames: float, lr: float) -> tuple[float, float, float]:
        """(μ, a, r) of a block of ``frames``; ``lr`` is the mean local rate."""

    def start(self) -> None:
        """W(0) = W_g(0) = rank 0's weights, Δ(0) = 0; once more when the warm-up has ended."""
        super().start()
        self.w.copy_(self.learner.weights)
        self.w_g.copy_(self.learner.weights)

    def step(self, batch: Any | None) -> bool:
        """One local step; the τ-th ends the block."""
        if self.warmup > 0:
            return self.warmup_step(batch)
        frames = self.learner.gradient(batch) if batch is not None else 0.0
        if frames:
            self.learner.grad.div_(frames)
            if self.learner.apply():
                self.frames += frames
        self.seen += frames
        self.rates += self.learner.lr
        self.steps += 1
        self.synchronised = self.steps == self.settings.sync_steps
        return self.end_block() if self.synchronised else True

    def warmup_step(self, batch: Any | None) -> bool:
        """A step of synchronised SGD."""
        message = self.learner.message
        message[-1] = self.learner.gradient(batch)
        self.wire.allreduce(self.comm, message, exact=1)
        frames = message[-1].item()
        if frames:
            self.learner.grad.div_(frames)
            self.learner.apply()
            self.warmup -= frames
            if self.warmup <= 0:
                # What is held back of gradients is no displacement.
                self.wire.forget()
                self.start()
        return frames > 0

    def end_block(self) -> bool:
        """Average, take the outer step, hand W_g to every learner. False if no learner had seen a frame."""
        gradient = self.message[:-2]
        # W̄ − W_g as the mean of x_i − W_g: adding up the weights themselves would cancel digits.
        torch.sub(self.learner.weights, self.w_g, out=gradient).mul_(self.frames)
        self.message[-2], self.message[-1] = self.frames, self.seen
        self.wire.allreduce(self.comm, self.message, exact=2)
        frames, seen = self.message[-2:].tolist()
        lr = self.rates / max(self.steps, 1)
        self.frames = self.seen = self.rates = self.steps = 0
        if seen == 0:
            return False
        # Local steps skip what is not finite, so this happens only if weights overflow: forget the block, all alike.
        if torch.stack(gradient.aminmax()).isfinite().all():
            momentum, gain, rate = self.outer(frames, lr)
            self.delta.mul_(momentum).add_(gradient, alpha=gain / max(frames, 1.0))
            self.w.add_(self.delta, alpha=rate)
            if self.look_ahead:
                self.w_g.copy_(self.w).add_(self.delta, alpha=momentum * rate)
        else:
            self.learner.count_nonfinite()
        self.learner.weights.copy_(self.w_g)
        if not self.settings.keep_local_momentum:
            self.learner.reset_optimizer()
        return True

    def finish(self) -> None:
        """End a block that has begun."""
        self.end_block()
        self.synchronised = True

    def observed(self) -> torch.Tensor:
        """W, as of the last block, which all learners hold alike."""
        return self.learner.weights if self.warmup > 0 else self.w
