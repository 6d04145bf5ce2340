"""The first layers of an acoustic model: from 100 feature frames a second to fewer, wider ones.

`ConvFrontEnd` is the convolutional part of CLDNN models (Sainath et al. 2015; Li et al. 2017 train such a model):
convolutions over time and frequency make the features of a phone independent of small shifts of both, that is of the
speaker. With little training speech this matters more than any layer after it.
"""

from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

T = TypeVar("T", int, Tensor)


def output_frames(frames: T, stride: int) -> T:
    """Frames that ``stride``-fold subsampling leaves of so many: the last one may be of fewer."""
    return -(-frames // stride)


def jitter(x: Tensor, lens: Tensor, stride: int) -> tuple[Tensor, Tensor]:
    """Drop the first 0 to ``stride`` - 1 frames of a batch (N, T, C), by chance.

    A model that looks at each ``stride``-th frame sees an utterance in ``stride`` different ways; in training it should
    see all of them.
    """
    first = int(torch.randint(stride, ()))
    return x[:, first:], (lens - first).clamp(min=1)


def frame_mask(lens: Tensor, frames: int) -> Tensor:
    """(N,) lengths -> (N, frames) bool, false at padding."""
    return torch.arange(frames, device=lens.device) < lens[:, None]


class SpliceFrontEnd(nn.Module):
    """Splice 3 ``stride`` frames around each ``stride``-th one, one linear layer, ReLU."""

    def __init__(self, num_features: int, channels: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.jitter = True
        self.conv = nn.Conv1d(num_features, channels, 3 * stride, stride=stride)

    def forward(self, x: Tensor, lens: Tensor) -> tuple[Tensor, Tensor]:
        """(N, T, C), (N,) -> (N, channels, ceil(T / stride)), and the lengths that belong to it."""
        if self.training and self.jitter:
            x, lens = jitter(x, lens, self.stride)
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
        self.jitter = True
        self.first = nn.Conv2d(1, maps, 3, stride=(1, 2), padding=1)
        self.second = nn.Conv2d(maps, maps, (5, 3), stride=(stride, 2), padding=(2, 1))
        self.more = nn.ModuleList(nn.Conv2d(maps, maps, 3, padding=1) for _ in range(more))
        bands = ((num_features + 1) // 2 + 1) // 2
        self.project = nn.Conv1d(maps * bands, channels, 1)

    def forward(self, x: Tensor, lens: Tensor) -> tuple[Tensor, Tensor]:
        """(N, T, C), (N,) -> (N, channels, ceil(T / stride)), and the lengths that belong to it."""
        if self.training and self.jitter:
            x, lens = jitter(x, lens, self.stride)
        y = F.relu(self.first(x[:, None]))
        # Padding must stay zero, or a result would depend on what an utterance is batched with.
        y = F.relu(self.second(y * frame_mask(lens, y.shape[2])[:, None, :, None].to(y.dtype)))
        lens = output_frames(lens, self.stride)
        mask = frame_mask(lens, y.shape[2])[:, None, :, None].to(y.dtype)
        for conv in self.more:
            y = y + F.relu(conv(y * mask))
        return F.relu(self.project(y.transpose(2, 3).flatten(1, 2))), lens


def make_front_end(num_features: int, channels: int, stride: int, maps: int, more: int) -> nn.Module:
    """`ConvFrontEnd` with ``maps`` feature maps, or `SpliceFrontEnd` if ``maps`` is 0."""
    if maps:
        return ConvFrontEnd(num_features, channels, stride, maps, more)
    return SpliceFrontEnd(num_features, channels, stride)
