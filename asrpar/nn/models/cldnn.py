"""Convolutions over time and frequency, TDNN layers, one bidirectional LSTM: the order of layers of a CLDNN.

Sainath et al. 2015, "Convolutional, long short-term memory, fully connected deep neural networks", have fully connected
layers where the TDNN layers are. Li et al. 2017 train such a model on many GPUs.
"""

from dataclasses import dataclass

from torch import Tensor, nn

from asrpar.nn.frontend import make_front_end
from asrpar.nn.layers import RecurrentLayer, TdnnLayer, TdnnLayers
from asrpar.nn.model import AcousticModel
from asrpar.nn.models import tdnn
from asrpar.rules import at_least


@dataclass
class Settings(tdnn.Settings):
    """A TDNN with a recurrent layer behind the others.

    Attributes:
        cells: LSTM cells of each direction.
    """

    cells: int = 192

    def validate(self) -> None:
        super().validate()
        at_least(self, 1, "cells")


class Model(AcousticModel):
    """Front end, residual TDNN layers, a residual LSTM layer, layer norm, output layer."""

    def __init__(self, settings: Settings, num_features: int, num_classes: int) -> None:
        super().__init__(settings, num_features, num_classes)
        s = settings
        self.input = make_front_end(s, num_features, s.channels)
        self.layers = TdnnLayers(TdnnLayer(s.channels, s.kernel, d, 0, s.dropout) for d in s.dilations)
        self.recurrent = RecurrentLayer(s.channels, s.cells, s.dropout)
        self.norm = nn.LayerNorm(s.channels)
        self.output = nn.Linear(s.channels, num_classes)

    def scores(self, features: Tensor, lens: Tensor) -> tuple[Tensor, Tensor]:
        x, lens = self.input(features, lens)
        x = self.recurrent(self.layers(x, lens), lens)
        return self.output(self.norm(x.transpose(1, 2))), lens
