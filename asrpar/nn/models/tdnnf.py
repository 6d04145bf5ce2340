"""Factored TDNN (Povey et al. 2018, "Semi-orthogonal low-rank matrix factorization for deep neural networks").

The matrix of a layer is the product of two thin ones, the first of which is kept semi-orthogonal.
"""

from dataclasses import dataclass

import torch

from asrpar.nn.layers import TdnnLayer, TdnnLayers
from asrpar.nn.models import tdnn
from asrpar.rules import at_least


@dataclass
class Settings(tdnn.Settings):
    """A factored TDNN.

    Attributes:
        bottleneck: rank of the factored layers.
    """

    bottleneck: int = 128

    def validate(self) -> None:
        super().validate()
        at_least(self, 1, "bottleneck")


class Model(tdnn.Model):
    """A `tdnn.Model` of factored layers."""

    def make_layers(self, s: Settings) -> TdnnLayers:
        """The residual layers, factored."""
        return TdnnLayers(TdnnLayer(s.channels, s.kernel, d, s.bottleneck, s.dropout) for d in s.dilations)

    @torch.no_grad()
    def constrain(self) -> None:
        """One step that brings the first factor of each layer nearer to semi-orthogonal (M Mᵀ = α² I).

        Povey et al. 2018, the form with a floating scale: with P = M Mᵀ and α² = tr(P Pᵀ) / tr(P), the step is
        M ← M − (P − α² I) M / (2 α²).
        """
        for layer in self.layers:
            m = layer.linear.weight.flatten(1)
            p = m @ m.T
            scale = (p * p).sum() / p.trace()
            m -= 0.5 / scale * (p @ m - scale * m)
