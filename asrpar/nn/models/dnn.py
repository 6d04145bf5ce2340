"""Feed-forward network on spliced frames (Hinton et al. 2012, "Deep neural networks for acoustic modeling").

Li et al. 2017 train one of four layers of 1,024 sigmoid units on 11 frames; Kaldi's nnet1 has six of 2,048.
"""

from dataclasses import dataclass

from torch import Tensor, nn

from asrpar.nn.frontend import ContextFrontEnd
from asrpar.nn.model import AcousticModel, ModelSettings
from asrpar.rules import at_least, one_of


@dataclass
class Settings(ModelSettings):
    """A DNN. `subsampling` is 1 unless it is set: labels of alignments are of single frames.

    Attributes:
        before: frames of context before each.
        after: and after it.
        width: units of each hidden layer.
        num_layers: hidden layers.
        activation: sigmoid | relu.
    """

    subsampling: int = 1
    before: int = 5
    after: int = 5
    width: int = 1024
    num_layers: int = 4
    activation: str = "relu"

    def validate(self) -> None:
        super().validate()
        at_least(self, 0, "before", "after")
        at_least(self, 1, "width", "num_layers")
        one_of(self, "activation", ("sigmoid", "relu"))


class Model(AcousticModel):
    """Spliced frames, hidden layers, output layer. Each frame for itself: see `AcousticModel.context`."""

    def __init__(self, settings: Settings, num_features: int, num_classes: int) -> None:
        super().__init__(settings, num_features, num_classes)
        s = settings
        self.context = (s.before, s.after)
        self.input = ContextFrontEnd(num_features, s.before, s.after, s.subsampling)
        widths = [self.input.width] + (s.num_layers - 1) * [s.width]
        self.layers = nn.ModuleList(nn.Linear(inputs, s.width) for inputs in widths)
        self.activation = nn.Sigmoid() if s.activation == "sigmoid" else nn.ReLU()
        self.dropout = nn.Dropout(s.dropout)
        self.output = nn.Linear(s.width, num_classes)
        for layer in self.layers:
            nn.init.zeros_(layer.bias)
            if s.activation == "sigmoid":
                # Glorot and Bengio 2010: a sigmoid's slope is a quarter of tanh's, for which their range is.
                nn.init.xavier_uniform_(layer.weight, gain=4.0)
            else:
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")

    def scores(self, features: Tensor, lens: Tensor) -> tuple[Tensor, Tensor]:
        x, lens = self.input(features, lens)
        for layer in self.layers:
            x = self.dropout(self.activation(layer(x)))
        return self.output(x), lens
