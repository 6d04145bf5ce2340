"""Time-delay networks: dilated convolutions over frames with residual connections, plain or factored.

Sources: Waibel et al. 1989 (TDNN); Povey et al. 2018, "Semi-orthogonal low-rank matrix factorization for deep neural
networks" (TDNN-F: a layer as the product of two thin ones, the first kept semi-orthogonal, with a bypass).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from asrpar.errors import ConfigError
from asrpar.nn.frontend import frame_mask, make_front_end
from asrpar.nn.models.blstm import BlstmLayer


class ChannelNorm(nn.Module):
    """Layer norm over the channels of each frame; it keeps no running statistics, so learners need not share any."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, T) -> (N, C, T)."""
        return F.layer_norm(x.transpose(1, 2), (x.shape[1],), self.weight, self.bias).transpose(1, 2)


class TdnnLayer(nn.Module):
    """One residual layer: norm, dilated convolution (through a bottleneck if factored), ReLU, dropout, bypass."""

    def __init__(self, channels: int, kernel: int, dilation: int, bottleneck: int, dropout: float) -> None:
        super().__init__()
        padding = dilation * (kernel - 1) // 2
        self.norm = ChannelNorm(channels)
        if bottleneck:
            self.linear = nn.Conv1d(channels, bottleneck, kernel, dilation=dilation, padding=padding, bias=False)
            self.affine = nn.Conv1d(bottleneck, channels, 1)
        else:
            self.linear = nn.Identity()
            self.affine = nn.Conv1d(channels, channels, kernel, dilation=dilation, padding=padding)
        # One mask for all frames of an utterance, as in Kaldi's TDNN-F: it regularises more, and is drawn T times less.
        self.dropout = nn.Dropout1d(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(N, C, T), mask (N, 1, T) zero at padding -> (N, C, T)."""
        y = self.affine(self.linear(self.norm(x) * mask))
        return x + self.dropout(F.relu(y))


class RecurrentLayer(nn.Module):
    """A residual layer as above, with a bidirectional LSTM in place of the convolution."""

    def __init__(self, channels: int, cells: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.lstm = BlstmLayer(channels, cells)
        self.project = nn.Identity() if 2 * cells == channels else nn.Linear(2 * cells, channels)
        self.dropout = nn.Dropout1d(dropout)

    def forward(self, x: Tensor, lens: Tensor) -> Tensor:
        """(N, C, T), lens (N,) -> (N, C, T)."""
        y = self.project(self.lstm(self.norm(x.transpose(1, 2)), lens))
        return x + self.dropout(y.transpose(1, 2))


class Tdnn(nn.Module):
    """TDNN or TDNN-F acoustic model with log-softmax output; with recurrent cells a TDNN-LSTM.

    Args:
        num_features: filter banks C of the input.
        num_classes: output tokens, blank included.
        channels: width of every layer.
        dilations: one residual layer for each entry.
        kernel: frames seen by a layer (odd).
        bottleneck: 0 for plain layers, else the rank of the factored ones.
        subsampling: frames merged at the input.
        conv_maps: feature maps of the convolutional front end; 0 for a linear one.
        conv_layers: convolutions in it after the first two.
        cells: LSTM cells of each direction in one recurrent layer after the others; 0 for none. Behind a convolutional
            front end this is the order of layers of a CLDNN (Sainath et al. 2015; Li et al. 2017).
        dropout: probability, in [0, 1).
    """

    def __init__(
        self,
        num_features: int,
        num_classes: int,
        *,
        channels: int,
        dilations: list[int],
        kernel: int,
        bottleneck: int,
        subsampling: int,
        conv_maps: int,
        conv_layers: int,
        cells: int,
        dropout: float,
    ) -> None:
        super().__init__()
        if kernel % 2 == 0:
            raise ConfigError(f"model.kernel is {kernel}: it must be odd, so that a layer looks as far back as ahead")
        self.subsampling = subsampling
        self.input = make_front_end(num_features, channels, subsampling, conv_maps, conv_layers)
        self.layers = nn.ModuleList(TdnnLayer(channels, kernel, d, bottleneck, dropout) for d in dilations)
        self.recurrent = RecurrentLayer(channels, cells, dropout) if cells else None
        self.norm = nn.LayerNorm(channels)
        self.output = nn.Linear(channels, num_classes)

    def forward(self, features: Tensor, lens: Tensor) -> tuple[Tensor, Tensor]:
        """Features (N, T, C), lens (N,) -> log-probabilities (N, T', num_classes) float32, lens' (N,)."""
        x, lens = self.input(features, lens)
        # Padding must stay zero in every layer, or a result would depend on what an utterance is batched with.
        mask = frame_mask(lens, x.shape[2]).to(x.dtype)[:, None]
        for layer in self.layers:
            x = layer(x, mask)
        if self.recurrent is not None:
            x = self.recurrent(x, lens)
        return self.output(self.norm(x.transpose(1, 2))).float().log_softmax(-1), lens

    @torch.no_grad()
    def constrain(self) -> None:
        """One step that brings the first factor of each factored layer nearer to semi-orthogonal (M Mᵀ = α² I).

        Povey et al. 2018, the form with a floating scale: with P = M Mᵀ and α² = tr(P Pᵀ) / tr(P), the step is
        M ← M − (P − α² I) M / (2 α²).
        """
        for layer in self.layers:
            if isinstance(layer.linear, nn.Conv1d):
                m = layer.linear.weight.flatten(1)
                p = m @ m.T
                scale = (p * p).sum() / p.trace()
                m -= 0.5 / scale * (p @ m - scale * m)
