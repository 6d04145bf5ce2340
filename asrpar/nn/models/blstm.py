"""Bidirectional LSTM acoustic model (the model family of Cui et al. 2020, Zhang et al. 2019 and Tian et al. 2017)."""

import torch
from torch import Tensor, nn

from asrpar.nn.frontend import make_front_end


def flip_by_length(x: Tensor, lens: Tensor) -> Tensor:
    """Reverse each sequence of (N, T, C) within its own length; padding stays at the end. Its own inverse."""
    t = torch.arange(x.shape[1], device=x.device)
    index = torch.where(t < lens[:, None], lens[:, None] - 1 - t, t)
    return x.gather(1, index[:, :, None].expand_as(x))


class BlstmLayer(nn.Module):
    """Two LSTMs, one over time and one against it.

    Packed sequences run step by step on CPUs; reversing each sequence within its length instead gives the same result
    from the fused kernel.
    """

    def __init__(self, inputs: int, cells: int) -> None:
        super().__init__()
        self.ahead = nn.LSTM(inputs, cells, batch_first=True)
        self.back = nn.LSTM(inputs, cells, batch_first=True)

    def forward(self, x: Tensor, lens: Tensor) -> Tensor:
        """(N, T, inputs), lens (N,) -> (N, T, 2 cells)."""
        ahead = self.ahead(x)[0]
        back = flip_by_length(self.back(flip_by_length(x, lens))[0], lens)
        return torch.cat([ahead, back], dim=-1)


class Blstm(nn.Module):
    """Layers of `BlstmLayer`, an optional linear bottleneck, log-softmax.

    Args:
        num_features: filter banks C of the input.
        num_classes: output tokens, blank included.
        cells: LSTM cells of each direction.
        num_layers: depth.
        bottleneck: 0 for none, else the width of the linear layer before the softmax.
        subsampling: frames merged at the input.
        conv_maps: feature maps of the convolutional front end (which makes it a CLDNN); 0 for a linear one.
        conv_layers: convolutions in it after the first two.
        dropout: probability between layers, in [0, 1).
    """

    def __init__(
        self,
        num_features: int,
        num_classes: int,
        *,
        cells: int,
        num_layers: int,
        bottleneck: int,
        subsampling: int,
        conv_maps: int,
        conv_layers: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.subsampling = subsampling
        self.input = make_front_end(num_features, 2 * cells, subsampling, conv_maps, conv_layers)
        self.layers = nn.ModuleList(BlstmLayer(2 * cells, cells) for _ in range(num_layers))
        self.dropout = nn.Dropout(dropout)
        self.bottleneck = nn.Linear(2 * cells, bottleneck) if bottleneck else nn.Identity()
        self.output = nn.Linear(bottleneck or 2 * cells, num_classes)

    def forward(self, features: Tensor, lens: Tensor) -> tuple[Tensor, Tensor]:
        """Features (N, T, C), lens (N,) -> log-probabilities (N, T', num_classes) float32, lens' (N,)."""
        x, lens = self.input(features, lens)
        x = x.transpose(1, 2)
        for layer in self.layers:
            x = self.dropout(layer(x, lens))
        return self.output(self.bottleneck(x)).float().log_softmax(-1), lens
