"""Bidirectional LSTM (Graves et al. 2013, "Hybrid speech recognition with deep bidirectional LSTM").

Cui et al. 2020 and Zhang et al. 2019 train such models: 260 features as they are (``front_end: none``), 6 layers of 512
cells a direction, a ``bottleneck`` of 256, 32,000 classes.
"""

from dataclasses import dataclass

from torch import Tensor, nn

from asrpar.nn.frontend import OptionalFrontEndSettings, optional_front_end
from asrpar.nn.layers import BlstmLayer
from asrpar.nn.model import AcousticModel
from asrpar.rules import at_least


@dataclass
class Settings(OptionalFrontEndSettings):
    """A BLSTM.

    Attributes:
        cells: LSTM cells of each direction.
        num_layers: layers of two LSTMs, one over time and one against it.
        bottleneck: width of a linear layer before the output; 0 for none.
    """

    cells: int = 256
    num_layers: int = 3
    bottleneck: int = 0

    def validate(self) -> None:
        super().validate()
        at_least(self, 1, "cells", "num_layers")
        at_least(self, 0, "bottleneck")


class Model(AcousticModel):
    """Front end, layers of `BlstmLayer`, an optional linear bottleneck, output layer."""

    no_bf16_on_cpus = "an LSTM's backward pass is slower in bfloat16 on CPUs"

    def __init__(self, settings: Settings, num_features: int, num_classes: int) -> None:
        super().__init__(settings, num_features, num_classes)
        s, width = settings, 2 * settings.cells
        self.input, inputs = optional_front_end(s, num_features, width)
        widths = [inputs] + (s.num_layers - 1) * [width]
        self.layers = nn.ModuleList(BlstmLayer(inputs, s.cells) for inputs in widths)
        self.dropout = nn.Dropout(s.dropout)
        self.bottleneck = nn.Linear(width, s.bottleneck) if s.bottleneck else nn.Identity()
        self.output = nn.Linear(s.bottleneck or width, num_classes)

    def scores(self, features: Tensor, lens: Tensor) -> tuple[Tensor, Tensor]:
        x, lens = self.input(features, lens)
        x = x.transpose(1, 2)
        for layer in self.layers:
            x = self.dropout(layer(x, lens))
        return self.output(self.bottleneck(x)), lens
