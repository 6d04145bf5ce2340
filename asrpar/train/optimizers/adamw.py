"""AdamW: Loshchilov & Hutter 2017 (arXiv 1711.05101), with a first moment that block algorithms may reset."""

from dataclasses import dataclass, field

from torch import nn, optim

from asrpar.parallel.momenta import AdamW
from asrpar.rules import need, positive
from asrpar.train.optimizers.common import OptimizerSettings


@dataclass
class Settings(OptimizerSettings):
    """Settings of AdamW, those of all optimizers and:

    Attributes:
        betas: decay of the first and second moment, in [0, 1).
        eps: added to the root of the second moment.
    """

    betas: list[float] = field(default_factory=lambda: [0.9, 0.98])
    eps: float = 1e-8

    def validate(self) -> None:
        super().validate()
        positive(self, "eps")
        two = len(self.betas) == 2 and all(0 <= b < 1 for b in self.betas)
        need(self, "betas", two, "must be two numbers in [0, 1)")


def make(settings: Settings, parameters: list[nn.Parameter]) -> optim.Optimizer:
    """AdamW over flat vectors."""
    return AdamW(
        parameters,
        lr=settings.lr,
        betas=(settings.betas[0], settings.betas[1]),
        eps=settings.eps,
        weight_decay=settings.weight_decay,
        fused=True,
    )
