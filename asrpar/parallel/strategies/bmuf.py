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
from asrpar.rules import below_one, positive


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

    def validate(self) -> None:
        super().validate()
        below_one(self, "block_momentum")
        positive(self, "momentum_frames", "block_lr")
        if self.block_momentum is not None and self.momentum_frames is not None:
            raise ConfigError(
                f"block_momentum is {self.block_momentum}, momentum_frames is {self.momentum_frames}: give one of them"
            )


class Algorithm(BlockStrategy):
    """BMUF in the papers' form, W kept apart from W_g."""

    def __init__(self, settings: Settings, learner: Learner, comm: Comm, wire: Wire | None = None) -> None:
        self.look_ahead = settings.nesterov
        super().__init__(settings, learner, comm, wire)

    def eta(self, frames: float) -> float:
        """Block momentum η of a block of ``frames``."""
        s = self.settings
        if s.momentum_frames is not None:
            return math.exp(-frames / s.momentum_frames)
        return s.block_momentum if s.block_momentum is not None else 1.0 - 1.0 / self.comm.size

    def outer(self, frames: float, lr: float) -> tuple[float, float, float]:
        """(η, ζ, 1)."""
        return self.eta(frames), self.settings.block_lr, 1.0
