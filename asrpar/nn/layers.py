"""Layers that acoustic models are built of.

Sources: Waibel et al. 1989 (TDNN); Povey et al. 2018, "Semi-orthogonal low-rank matrix factorization for deep neural
networks" (TDNN-F: a layer as the product of two thin ones, the first kept semi-orthogonal, with a bypass); Sak et al.
2014, "Long short-term memory recurrent neural network architectures for large scale acoustic modeling" (LSTMP: what
comes back and goes on is a linear projection of the cells).
"""

import warnings

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from asrpar.nn.frontend import frame_mask
from asrpar.nn.lstm import run_lstm

# There the layer is quicker without oneDNN than as `folded` with it.
warnings.filterwarnings("ignore", message="LSTM with projections is not supported with oneDNN")


def traced() -> bool:
    """Whether somebody is looking on who would take a branch for the only one."""
    return torch.jit.is_tracing() or torch.compiler.is_compiling()


def flip_by_length(x: Tensor, lens: Tensor) -> Tensor:
    """Reverse each sequence of (N, T, C) within its own length; padding stays at the end. Its own inverse."""
    if lens.device.type == "cpu" and not traced() and bool((lens == x.shape[1]).all()):
        return x.flip(1)  # four times as fast
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
        ahead = run_lstm(self.ahead, x)
        back = flip_by_length(run_lstm(self.back, flip_by_length(x, lens)), lens)
        return torch.cat([ahead, back], dim=-1)


class LstmLayer(nn.Module):
    """An LSTM over time, of ``cells``, with a linear projection of them (LSTMP) unless ``projection`` is 0.

    Attributes:
        width: of the output.
    """

    def __init__(self, inputs: int, cells: int, projection: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(inputs, cells, batch_first=True, proj_size=projection)
        self.width = projection or cells

    def forward(self, x: Tensor) -> Tensor:
        """(N, T, inputs) -> (N, T, width)."""
        if self.lstm.proj_size and (torch.compiler.is_exporting() or torch.onnx.is_in_onnx_export()):
            return self.folded(x)
        return run_lstm(self.lstm, x)

    def folded(self, x: Tensor) -> Tensor:
        """The same as a plain LSTM with the projection behind it: ONNX, for one, has no other.

        With r = P m, what a cell gets of the step before is W r = (W P) m.
        """
        of = self.lstm
        zero = x.new_zeros(1, x.shape[0], of.hidden_size)
        weights = [of.weight_ih_l0, of.weight_hh_l0 @ of.weight_hr_l0, of.bias_ih_l0, of.bias_hh_l0]
        return F.linear(torch.lstm(x, (zero, zero), weights, True, 1, 0.0, False, False, True)[0], of.weight_hr_l0)


class ChannelNorm(nn.Module):
    """Layer norm over the channels of each frame; it keeps no running statistics, so learners need not share any."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, T) -> (N, C, T)."""
        return F.layer_norm(x.transpose(1, 2), self.weight.shape, self.weight, self.bias).transpose(1, 2)


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


class TdnnLayers(nn.ModuleList):
    """`TdnnLayer` one after the other."""

    def forward(self, x: Tensor, lens: Tensor) -> Tensor:
        """(N, C, T), lens (N,) -> (N, C, T)."""
        # Padding must stay zero in every layer, or a result would depend on what an utterance is batched with.
        mask = frame_mask(lens, x.shape[2]).to(x.dtype)[:, None]
        for layer in self:
            x = layer(x, mask)
        return x
