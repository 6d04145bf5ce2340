"""CTC with consistency regularisation: two views of each utterance are to agree (Yao et al. 2024, arXiv 2410.05101).

Each view is masked on its own, and what the model says of a frame in the one is a target for the other.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from asrpar.nn.losses import ctc
from asrpar.nn.losses.ctc import Variants
from asrpar.nn.objective import Sources
from asrpar.rules import not_negative


@dataclass
class Settings(ctc.Settings):
    """CTC of two views. Each step computes twice as many frames as `batch.size` says; they are counted once.

    Attributes:
        consistency: weight of the divergence between the views. The paper also takes 2.5 times as many time masks: see
            `batch.augment`.
    """

    consistency: float = 0.2

    def validate(self) -> None:
        super().validate()
        not_negative(self, "consistency")


class Loss(ctc.Loss):
    """The mean of the views' CTC losses, and the weighted mean of the two divergences of their frames.

    On dev, where nothing is masked, there is one view, and its loss is that of CTC.
    """

    views = 2

    def __init__(self, settings: Settings, sources: Sources) -> None:
        super().__init__(settings, sources)
        self.consistency = settings.consistency

    def loss(self, output: Tensor, lens: Tensor, targets: list[Variants]) -> tuple[Tensor, list[bool]]:
        """See `Objective.loss`; ``output`` has a view of each utterance, or two."""
        count = len(targets)
        if len(output) == count:
            return super().loss(output, lens, targets)
        total, used = super().loss(output, lens, targets * 2)
        counted = torch.arange(output.shape[1], device=output.device) < lens[:count, None]
        counted &= torch.tensor(used[:count], device=output.device)[:, None]
        one, other = output[:count][counted], output[count:][counted]
        apart = divergence(other.detach(), one) + divergence(one.detach(), other)
        return (total + self.consistency * apart) / 2, used[:count]


def divergence(target: Tensor, output: Tensor) -> Tensor:
    """Kullback and Leibler's, from ``output`` to ``target``: log-probabilities (M, C) both; summed over M, ()."""
    return (target.exp() * (target - output)).sum()
