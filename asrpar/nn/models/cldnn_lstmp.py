"""CLDNN as papers have it: convolution over frequency, max-pooling, fully connected, LSTMs with projections.

Sainath et al. 2015, "Convolutional, long short-term memory, fully connected deep neural networks". The sizes are those
of a script by the authors of Li et al. 2017: 128 maps of 9 of 40 bands over 11 frames, pooled by 4, 512 units, two
LSTMs of 1,024 cells projected to 512. Where theirs has batch normalisation this has layer norm, which keeps no
statistics that learners would have to share, and does not depend on what an utterance is batched with.
"""

from dataclasses import dataclass, field

from torch import Tensor, nn
from torch.nn import functional as F

from asrpar.errors import ConfigError
from asrpar.nn.frontend import output_frames, without_padding
from asrpar.nn.layers import LstmLayer
from asrpar.nn.model import AcousticModel, ModelSettings
from asrpar.rules import at_least, need


@dataclass
class Settings(ModelSettings):
    """A CLDNN with unidirectional LSTMs.

    Attributes:
        before: frames of context before each.
        after: and after it.
        streams: parts of equal width that features consist of, such as 3 for filter banks with their first and second
            differences; a convolution sees all at once.
        maps: feature maps of the convolution.
        patch: bands that it sees at a time.
        pool: neighbouring positions of which the largest value goes on.
        linear: units of the layer between convolution and LSTMs.
        cells: LSTM cells of each layer.
        projection: linear units that each layer's cells are projected to; 0 for none.
        num_layers: LSTM layers.
        connected: widths of fully connected layers behind the LSTMs.
    """

    before: int = 5
    after: int = 5
    streams: int = 1
    maps: int = 128
    patch: int = 9
    pool: int = 4
    linear: int = 512
    cells: int = 1024
    projection: int = 512
    num_layers: int = 2
    connected: list[int] = field(default_factory=list)

    def validate(self) -> None:
        super().validate()
        at_least(self, 0, "before", "after")
        at_least(self, 1, "streams", "maps", "patch", "pool", "linear", "cells", "num_layers")
        need(self, "projection", 0 <= self.projection < self.cells, "must be less than cells, or 0 for none")
        need(self, "connected", all(width >= 1 for width in self.connected), "must have entries of at least 1")


class FrequencyConvolution(nn.Module):
    """Convolution over bands, of spliced frames; max-pooling; a linear layer, layer norm, ReLU."""

    def __init__(self, s: Settings, num_features: int) -> None:
        super().__init__()
        bands, rest = divmod(num_features, s.streams)
        places = (bands - s.patch + 1) // s.pool
        if rest or places < 1:
            raise ConfigError(
                f"models.cldnn_lstmp: {num_features} features in {s.streams} streams, a patch of {s.patch} bands and "
                f"pool {s.pool} do not go together: streams must divide the features, and each stream needs "
                f"{s.patch + s.pool - 1} bands"
            )
        self.streams, self.pool, self.stride, self.around = s.streams, s.pool, s.subsampling, (s.before, s.after)
        self.conv = nn.Conv2d(s.streams, s.maps, (s.before + 1 + s.after, s.patch), stride=(s.subsampling, 1))
        self.linear = nn.Linear(s.maps * places, s.linear)
        self.norm = nn.LayerNorm(s.linear)

    def forward(self, x: Tensor, lens: Tensor) -> tuple[Tensor, Tensor]:
        """(N, T, C), (N,) -> (N, ceil(T / stride), linear), and the lengths that belong to it."""
        x = without_padding(x, lens).unflatten(2, (self.streams, -1)).transpose(1, 2)
        y = F.relu(self.conv(F.pad(x, (0, 0, *self.around))))
        y = F.max_pool2d(y, (1, self.pool)).transpose(1, 2).flatten(2)
        return F.relu(self.norm(self.linear(y))), output_frames(lens, self.stride)


class Model(AcousticModel):
    """`FrequencyConvolution`, `LstmLayer` each with layer norm, fully connected layers, output layer."""

    no_bf16_on_cpus = "an LSTM's backward pass is slower in bfloat16 on CPUs"

    def __init__(self, settings: Settings, num_features: int, num_classes: int) -> None:
        super().__init__(settings, num_features, num_classes)
        s, width = settings, settings.projection or settings.cells
        self.input = FrequencyConvolution(s, num_features)
        widths = [s.linear] + (s.num_layers - 1) * [width]
        self.layers = nn.ModuleList(LstmLayer(inputs, s.cells, s.projection) for inputs in widths)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in widths)
        widths = [width, *s.connected]
        self.connected = nn.ModuleList(nn.Linear(a, b) for a, b in zip(widths, s.connected, strict=False))
        self.dropout = nn.Dropout(s.dropout)
        self.output = nn.Linear(widths[-1], num_classes)

    def scores(self, features: Tensor, lens: Tensor) -> tuple[Tensor, Tensor]:
        x, lens = self.input(features, lens)
        for layer, norm in zip(self.layers, self.norms, strict=True):
            x = self.dropout(norm(layer(x)))
        for layer in self.connected:
            x = self.dropout(F.relu(layer(x)))
        return self.output(x), lens
