"""The first layers of an acoustic model: from 100 feature frames a second to fewer, wider ones.

`ConvFrontEnd` is the convolutional part of CLDNN models (Sainath et al. 2015):
convolutions over time and frequency make the features of a phone independent of small shifts of both, that is of the
speaker. With little training speech this matters more than any layer after it.
"""

from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from asrpar.nn.model import ModelSettings

T = TypeVar("T", int, Tensor)


def output_frames(frames: T, stride: int) -> T:
    """Frames that ``stride``-fold subsampling leaves of so many: the last one may be of fewer."""
    return -(-frames // stride)


def frame_mask(lens: Tensor, frames: int) -> Tensor:
    """(N,) lengths -> (N, frames) bool, false at padding."""
    return torch.arange(frames, device=lens.device) < lens[:, None]


class SpliceFrontEnd(nn.Module):
    """Splice 3 ``stride`` frames around each ``stride``-th one, one linear layer, ReLU."""

    def __init__(self, num_features: int, channels: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.conv = nn.Conv1d(num_features, channels, 3 * stride, stride=stride)

    def forward(self, x: Tensor, lens: Tensor) -> tuple[Tensor, Tensor]:
        """(N, T, C), (N,) -> (N, channels, ceil(T / stride)), and the lengths that belong to it."""
        frames = output_frames(x.shape[1], self.stride)
        # One stride of context before, and as much after as the last output frame needs.
        x = F.pad(x.transpose(1, 2), (self.stride, (frames + 1) * self.stride - x.shape[1]))
        return F.relu(self.conv(x)), output_frames(lens, self.stride)


class ConvFrontEnd(nn.Module):
    """Two convolutions over time and frequency, which divide frequency by 4 and time by ``stride``; more of them with
    bypass connections; a linear layer.

    Args:
        num_features: filter banks C.
        channels: of the output.
        stride: input frames for each output frame.
        maps: feature maps of the convolutions.
        more: convolutions after the first two.
    """

    def __init__(self, num_features: int, channels: int, stride: int, maps: int, more: int) -> None:
        super().__init__()
        self.stride = stride
        self.first = nn.Conv2d(1, maps, 3, stride=(1, 2), padding=1)
        self.second = nn.Conv2d(maps, maps, (5, 3), stride=(stride, 2), padding=(2, 1))
        self.more = nn.ModuleList(nn.Conv2d(maps, maps, 3, padding=1) for _ in range(more))
        bands = ((num_features + 1) // 2 + 1) // 2
        self.project = nn.Conv1d(maps * bands, channels, 1)

    def forward(self, x: Tensor, lens: Tensor) -> tuple[Tensor, Tensor]:
        """(N, T, C), (N,) -> (N, channels, ceil(T / stride)), and the lengths that belong to it."""
        y = F.relu(self.first(x[:, None]))
        # Padding must stay zero, or a result would depend on what an utterance is batched with.
        y = F.relu(self.second(y * frame_mask(lens, y.shape[2])[:, None, :, None].to(y.dtype)))
        lens = output_frames(lens, self.stride)
        mask = frame_mask(lens, y.shape[2])[:, None, :, None].to(y.dtype)
        for conv in self.more:
            y = y + F.relu(conv(y * mask))
        return F.relu(self.project(y.transpose(2, 3).flatten(1, 2))), lens


def make_front_end(settings: ModelSettings, num_features: int, channels: int) -> nn.Module:
    """`ConvFrontEnd` with ``settings.conv_maps`` feature maps, or `SpliceFrontEnd` if there are none."""
    s = settings
    if s.conv_maps:
        return ConvFrontEnd(num_features, channels, s.subsampling, s.conv_maps, s.conv_layers)
    return SpliceFrontEnd(num_features, channels, s.subsampling)
