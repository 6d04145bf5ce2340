"""Stochastic gradient descent, with momentum or Nesterov's."""

from dataclasses import dataclass

from torch import nn, optim

from asrpar.errors import ConfigError
from asrpar.rules import below_one
from asrpar.train.optimizers.common import OptimizerSettings


@dataclass
class Settings(OptimizerSettings):
    """Settings of SGD, those of all optimizers and:

    Attributes:
        momentum: in [0, 1); 0 for none.
        nesterov: look ahead by the momentum.
    """

    momentum: float = 0.9
    nesterov: bool = False

    def validate(self) -> None:
        super().validate()
        below_one(self, "momentum")
        if self.nesterov and not self.momentum:
            raise ConfigError(
                "nesterov is true, but that is a kind of momentum, and momentum is 0: set it, such as to 0.9"
            )

    def plain(self) -> bool:
        return not self.momentum


def make(settings: Settings, parameters: list[nn.Parameter]) -> optim.Optimizer:
    """torch's SGD over flat vectors."""
    return optim.SGD(
        parameters,
        lr=settings.lr,
        momentum=settings.momentum,
        nesterov=settings.nesterov,
        weight_decay=settings.weight_decay,
        fused=True,
    )
