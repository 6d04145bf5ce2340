"""Blockwise model-update filtering: Chen & Huo 2016; Li et al. 2017 (arXiv 1703.05880) recommend it.

Block t: every learner starts from W_g(t−1) and trains alone; then

    W̄ = Σ_i (n_i / Σ n) x_i          G = W̄ − W_g(t−1)
    Δ(t) = η Δ(t−1) + ζ G             W(t) = W(t−1) + Δ(t)
    CBM: W_g(t) = W(t)                NBM: W_g(t) = W(t) + η Δ(t)

n_i are the frames that learner i saw in the block. The model is W, not the look-ahead W_g. The first blocks may be
replaced by synchronised SGD, as a warm-up.

When to use: many learners, slow links: messages are rarer than with `ssgd` by the steps of a block.
Cost of a block: one allreduce of P + 2 numbers.
"""

import math
from dataclasses import dataclass

from asrpar.errors import ConfigError
from asrpar.parallel.comm import Comm
from asrpar.parallel.compress.wire import Wire
from asrpar.parallel.contract import Learner
from asrpar.parallel.local.blocks import BlockSettings, BlockStrategy


@dataclass
class Settings(BlockSettings):
    """Settings of BMUF, those of all block algorithms and:

    Attributes:
        nesterov: NBM if true, CBM if false.
        block_momentum: η in [0, 1); None takes 1 − 1/N.
        momentum_frames: η as a time constant T in frames seen by all learners, η = exp(−(frames of the block) / T), so
            that it keeps its meaning when N or τ change; None uses ``block_momentum``.
        block_lr: ζ.
        keep_local_momentum: as for `model_averaging`, but reset by default, as in CNTK. The recipes here keep them, for
            their blocks have 4 steps and CNTK's hundreds.
    """

    nesterov: bool = True
    block_momentum: float | None = None
    momentum_frames: float | None = None
    block_lr: float = 1.0
    keep_local_momentum: bool = False


class Algorithm(BlockStrategy):
    """BMUF in the papers' form, W kept apart from W_g."""

    name = "bmuf"

    def __init__(self, settings: Settings, learner: Learner, comm: Comm, wire: Wire | None = None) -> None:
        self.look_ahead = settings.nesterov
        super().__init__(settings, learner, comm, wire)
        if settings.block_momentum is not None and settings.momentum_frames is not None:
            raise ConfigError("give bmuf.block_momentum or bmuf.momentum_frames, not both")
        if settings.block_momentum is not None and not 0 <= settings.block_momentum < 1:
            raise ConfigError(f"bmuf.block_momentum is {settings.block_momentum}: it must be in [0, 1)")
        if settings.momentum_frames is not None and settings.momentum_frames <= 0:
            raise ConfigError(f"bmuf.momentum_frames is {settings.momentum_frames}: it must be positive")
        if not settings.block_lr > 0:
            raise ConfigError(f"bmuf.block_lr is {settings.block_lr}: it must be positive")

    def eta(self, frames: float) -> float:
        """Block momentum η of a block of ``frames``."""
        s = self.settings
        if s.momentum_frames is not None:
            return math.exp(-frames / s.momentum_frames)
        return s.block_momentum if s.block_momentum is not None else 1.0 - 1.0 / self.comm.size

    def outer(self, frames: float, lr: float) -> tuple[float, float, float]:
        """(η, ζ, 1)."""
        return self.eta(frames), self.settings.block_lr, 1.0
