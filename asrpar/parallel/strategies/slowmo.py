"""SlowMo, slow momentum over local SGD: Wang et al. 2019, arXiv 1910.00643.

Block t: every learner starts from x₀ and trains alone for τ steps; then, with the average x̄ of what they reach,

    u ← β u + (x₀ − x̄) / γ        x₀ ← x₀ − α γ u

γ is the rate of the local steps, averaged over the block, so that u is in units of a gradient and survives a change of
rate. While γ is constant and α = 1 this is `bmuf` without look-ahead, η = β. With β = 0 and α = 1 it is
`model_averaging`; with τ = 1 and α = 1, SGD with momentum β.

When to use: as `bmuf`; the schedule's changes of rate act on the slow momentum at once.
Cost of a block: one allreduce of P + 2 numbers.
"""

from dataclasses import dataclass

from asrpar.parallel.local.blocks import BlockSettings, BlockStrategy
from asrpar.rules import below_one, positive


@dataclass
class Settings(BlockSettings):
    """Settings of SlowMo, those of all block algorithms and:

    Attributes:
        slow_momentum: β in [0, 1); the more learners, the greater.
        slow_lr: α; the paper finds 1 to be good everywhere.
        keep_local_momentum: the paper resets SGD's momenta and keeps Adam's.
    """

    sync_steps: int = 12
    slow_momentum: float = 0.5
    slow_lr: float = 1.0

    def validate(self) -> None:
        super().validate()
        below_one(self, "slow_momentum")
        positive(self, "slow_lr")


class Algorithm(BlockStrategy):
    """The outer optimizer with its momentum in units of a gradient: Δ = −u."""

    def outer(self, frames: float, lr: float) -> tuple[float, float, float]:
        """(β, 1/γ, αγ); with γ = 0 no learner has moved."""
        s = self.settings
        return s.slow_momentum, 1.0 / lr if lr else 0.0, s.slow_lr * lr
