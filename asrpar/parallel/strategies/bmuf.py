"""Blockwise model-update filtering: Chen & Huo 2016; P3 (Li et al. 2017, arXiv 1703.05880) recommends it.

Block t: every learner starts from W_g(t−1) and trains alone; then

    W̄ = Σ_i (n_i / Σ n) x_i          G = W̄ − W_g(t−1)
    Δ(t) = η Δ(t−1) + ζ G             W(t) = W(t−1) + Δ(t)
    CBM: W_g(t) = W(t)                NBM: W_g(t) = W(t) + η Δ(t)

n_i are the frames that learner i saw in the block. The model is W, not the look-ahead W_g.

When to use: many learners, slow links: messages are rarer than with `ssgd` by the steps of a block.
Cost of a block: one allreduce of P + 2 numbers.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from asrpar.errors import ConfigError
from asrpar.parallel.comm import Comm
from asrpar.parallel.strategies.base import Learner, Strategy
from asrpar.parallel.wire import Wire


@dataclass
class Settings:
    """Settings of BMUF.

    Attributes:
        sync_steps: τ, local steps of a block.
        nesterov: NBM if true, CBM if false.
        block_momentum: η in [0, 1); None takes 1 − 1/N.
        momentum_frames: η as a time constant T in frames seen by all learners, η = exp(−(frames of the block) / T), so
            that it keeps its meaning when N or τ change; None uses ``block_momentum``.
        block_lr: ζ.
        keep_local_momentum: do not reset the local optimizer's momenta when a block ends.
    """

    sync_steps: int = 16
    nesterov: bool = True
    block_momentum: float | None = None
    momentum_frames: float | None = None
    block_lr: float = 1.0
    keep_local_momentum: bool = False


class Algorithm(Strategy):
    """BMUF in the papers' form, W kept apart from W_g."""

    def __init__(self, settings: Settings, learner: Learner, comm: Comm, wire: Wire | None = None) -> None:
        super().__init__(settings, learner, comm, wire)
        if settings.sync_steps < 1:
            raise ConfigError(f"bmuf.sync_steps is {settings.sync_steps}: a block has at least 1 step")
        if settings.block_momentum is not None and settings.momentum_frames is not None:
            raise ConfigError("give bmuf.block_momentum or bmuf.momentum_frames, not both")
        if settings.block_momentum is not None and not 0 <= settings.block_momentum < 1:
            raise ConfigError(f"bmuf.block_momentum is {settings.block_momentum}: it must be in [0, 1)")
        if settings.momentum_frames is not None and settings.momentum_frames <= 0:
            raise ConfigError(f"bmuf.momentum_frames is {settings.momentum_frames}: it must be positive")
        self.w = torch.empty_like(learner.weights)
        self.w_g = torch.empty_like(learner.weights)
        self.delta = torch.zeros_like(learner.weights)
        # Σ n_i (x_i − W_g), Σ n_i, and the frames of all batches, also of those whose update was skipped.
        self.message = learner.weights.new_empty(learner.weights.numel() + 2)
        self.frames = self.seen = 0.0
        self.steps = 0

    def start(self) -> None:
        """W(0) = W_g(0) = rank 0's weights, Δ(0) = 0."""
        super().start()
        self.w.copy_(self.learner.weights)
        self.w_g.copy_(self.learner.weights)

    def step(self, batch: Any | None) -> bool:
        """One local step; the τ-th ends the block."""
        frames = self.learner.gradient(batch)
        if frames:
            self.learner.grad.div_(frames)
            if self.learner.apply():
                self.frames += frames
        self.seen += frames
        self.steps += 1
        self.synchronised = self.steps == self.settings.sync_steps
        return self.end_block() if self.synchronised else True

    def end_block(self) -> bool:
        """Average, filter, hand W_g to every learner. False if no learner had seen a frame."""
        gradient = self.message[:-2]
        # W̄ − W_g as the mean of x_i − W_g: adding up the weights themselves would cancel digits.
        torch.sub(self.learner.weights, self.w_g, out=gradient).mul_(self.frames)
        self.message[-2], self.message[-1] = self.frames, self.seen
        self.wire.allreduce(self.comm, self.message, exact=2)
        frames, seen = self.message[-2:].tolist()
        self.frames, self.seen, self.steps = 0.0, 0.0, 0
        if seen == 0:
            return False
        gradient.div_(max(frames, 1.0))
        # Local steps skip what is not finite, so this happens only if weights overflow: forget the block, all alike.
        if torch.isfinite(gradient).all():
            eta = self.eta(frames)
            self.delta.mul_(eta).add_(gradient, alpha=self.settings.block_lr)
            self.w.add_(self.delta)
            self.w_g.copy_(self.w)
            if self.settings.nesterov:
                self.w_g.add_(self.delta, alpha=eta)
        else:
            self.learner.count_nonfinite()
        self.learner.weights.copy_(self.w_g)
        if not self.settings.keep_local_momentum:
            self.learner.reset_optimizer()
        return True

    def eta(self, frames: float) -> float:
        """Block momentum η of a block of ``frames``."""
        s = self.settings
        if s.momentum_frames is not None:
            return math.exp(-frames / s.momentum_frames)
        return s.block_momentum if s.block_momentum is not None else 1.0 - 1.0 / self.comm.size

    def finish(self) -> None:
        """End a block that has begun."""
        self.end_block()
        self.synchronised = True

    def observed(self) -> Tensor:
        """W, as of the last block, which all learners hold alike."""
        return self.w

    def state_dict(self) -> dict[str, Any]:
        """W, W_g, Δ and the position in the block."""
        state = {"w": self.w, "w_g": self.w_g, "delta": self.delta}
        counters = {"frames": self.frames, "seen": self.seen, "steps": self.steps, "synchronised": self.synchronised}
        return state | counters

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on within the block."""
        for name in ("w", "w_g", "delta"):
            getattr(self, name).copy_(state[name])
        for name in ("frames", "seen", "steps", "synchronised"):
            setattr(self, name, state[name])
