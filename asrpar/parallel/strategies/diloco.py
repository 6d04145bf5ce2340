"""DiLoCo, distributed low-communication training: Douillard et al. 2023, arXiv 2311.08105.

Block t: every learner starts from θ and takes H steps of an inner optimizer, AdamW, whose state it keeps to itself
from block to block; then the mean displacement drives an outer SGD with Nesterov momentum:

    g = θ − Σ_i (n_i / Σ n) θ_i        v ← μ v + g        θ ← θ − λ (g + μ v)

The paper weighs learners alike; here they count by their frames, as in all block algorithms. The model is θ, where the
next block starts. With local SGD this is `bmuf` (NBM, η = μ, ζ = λ) but for the final weights.

When to use: long blocks over slow links, AdamW as the local optimizer (``optimizer: adamw``).
Cost of a block: one allreduce of P + 2 numbers.
"""

from dataclasses import dataclass

from torch import Tensor

from asrpar.parallel.local.blocks import BlockSettings, BlockStrategy
from asrpar.rules import below_one, positive


@dataclass
class Settings(BlockSettings):
    """Settings of DiLoCo, those of all block algorithms and:

    Attributes:
        sync_steps: H; the paper's 500. A block ends with its epoch at the latest.
        outer_lr: λ.
        outer_momentum: μ in [0, 1).
    """

    sync_steps: int = 500
    outer_lr: float = 0.7
    outer_momentum: float = 0.9

    def validate(self) -> None:
        super().validate()
        below_one(self, "outer_momentum")
        positive(self, "outer_lr")


class Algorithm(BlockStrategy):
    """The outer optimizer, looking ahead: θ is W_g."""

    look_ahead = True

    def outer(self, frames: float, lr: float) -> tuple[float, float, float]:
        """(μ, λ, 1)."""
        return self.settings.outer_momentum, self.settings.outer_lr, 1.0

    def observed(self) -> Tensor:
        """θ."""
        return self.learner.weights if self.warmup > 0 else self.w_g
