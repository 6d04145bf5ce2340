"""Model averaging, also local SGD or K-AVG; Li et al. 2017 (arXiv 1703.05880), whose code calls it BSP.

    τ local steps from W, then W ← Σ_i (n_i / Σ n) x_i

n_i are the frames that learner i saw since the last average. With τ = 1 and no local momentum this is `ssgd`.

When to use: few learners, or blocks of few steps; with many learners the average moves too slowly, and `bmuf` gives it
momentum.
Cost of a block: one allreduce of P + 2 numbers.
"""

from dataclasses import dataclass

from asrpar.parallel.local.blocks import BlockSettings, BlockStrategy


@dataclass
class Settings(BlockSettings):
    """The settings of all block algorithms, no others."""


class Algorithm(BlockStrategy):
    """The outer optimizer without momentum."""

    def outer(self, frames: float, lr: float) -> tuple[float, float, float]:
        """W moves to the average."""
        return 0.0, 1.0, 1.0
