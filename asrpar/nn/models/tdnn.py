"""Time-delay network (Waibel et al. 1989): dilated convolutions over frames, here with residual connections."""

from dataclasses import dataclass, field

from torch import Tensor, nn

from asrpar.nn.frontend import FrontEndSettings, make_front_end
from asrpar.nn.layers import TdnnLayer, TdnnLayers
from asrpar.nn.model import AcousticModel
from asrpar.rules import at_least, need


@dataclass
class Settings(FrontEndSettings):
    """A TDNN.

    Attributes:
        channels: width of every layer.
        dilations: one residual layer for each entry, in output frames.
        kernel: frames seen by a layer; odd.
    """

    channels: int = 384
    dilations: list[int] = field(default_factory=lambda: [1, 2, 4])
    kernel: int = 3

    def validate(self) -> None:
        super().validate()
        at_least(self, 1, "channels", "kernel")
        need(self, "kernel", self.kernel % 2 == 1, "must be odd, so that a layer looks as far back as ahead")
        need(self, "dilations", all(d >= 1 for d in self.dilations), "must have entries of at least 1")


class Model(AcousticModel):
    """Front end, residual TDNN layers, layer norm, output layer."""

    def __init__(self, settings: Settings, num_features: int, num_classes: int) -> None:
        super().__init__(settings, num_features, num_classes)
        s = settings
        self.input = make_front_end(s, num_features, s.channels)
        self.layers = self.make_layers(s)
        self.norm = nn.LayerNorm(s.channels)
        self.output = nn.Linear(s.channels, num_classes)

    def make_layers(self, s: Settings) -> TdnnLayers:
        """The residual layers."""
        return TdnnLayers(TdnnLayer(s.channels, s.kernel, d, 0, s.dropout) for d in s.dilations)

    def scores(self, features: Tensor, lens: Tensor) -> tuple[Tensor, Tensor]:
        x, lens = self.input(features, lens)
        x = self.layers(x, lens)
        return self.output(self.norm(x.transpose(1, 2))), lens
