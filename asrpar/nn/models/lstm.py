"""LSTM that looks back only, with projections (Sak et al. 2014).

"Long short-term memory recurrent neural network architectures for large scale acoustic modeling"; Tian et al. 2017
train such models, too. What comes after a frame it hears by answering late: ``losses.frame_ce.label_delay``.
"""

from dataclasses import dataclass

from torch import Tensor, nn

from asrpar.nn.frontend import OptionalFrontEndSettings, optional_front_end
from asrpar.nn.layers import LstmLayer
from asrpar.nn.model import AcousticModel
from asrpar.rules import at_least, need


@dataclass
class Settings(OptionalFrontEndSettings):
    """A unidirectional LSTM.

    Attributes:
        cells: LSTM cells of each layer.
        projection: linear units that each layer's cells are projected to; 0 for none.
        num_layers: layers.
    """

    cells: int = 512
    projection: int = 256
    num_layers: int = 3

    def validate(self) -> None:
        super().validate()
        at_least(self, 1, "cells", "num_layers")
        need(self, "projection", 0 <= self.projection < self.cells, "must be less than cells, or 0 for none")


class Model(AcousticModel):
    """Front end, layers of `LstmLayer`, output layer. A linear or no front end keeps it from looking far ahead."""

    no_bf16_on_cpus = "an LSTM's backward pass is slower in bfloat16 on CPUs"

    def __init__(self, settings: Settings, num_features: int, num_classes: int) -> None:
        super().__init__(settings, num_features, num_classes)
        s, width = settings, settings.projection or settings.cells
        self.input, inputs = optional_front_end(s, num_features, width)
        widths = [inputs] + (s.num_layers - 1) * [width]
        self.layers = nn.ModuleList(LstmLayer(inputs, s.cells, s.projection) for inputs in widths)
        self.dropout = nn.Dropout(s.dropout)
        self.output = nn.Linear(width, num_classes)

    def scores(self, features: Tensor, lens: Tensor) -> tuple[Tensor, Tensor]:
        x, lens = self.input(features, lens)
        x = x.transpose(1, 2)
        for layer in self.layers:
            x = self.dropout(layer(x))
        return self.output(x), lens
