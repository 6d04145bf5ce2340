"""The first layers of an acoustic model: from 100 feature frames a second to fewer, wider ones.

`ConvFrontEnd` is the convolutional part of CLDNN models (Sainath et al. 2015):
convolutions over time and frequency make the features of a phone independent of small shifts of both, that is of the
speaker. With little training speech this matters more than any layer after it.
"""

from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from asrpar.errors import ConfigError
from asrpar.nn.model import ModelSettings
from asrpar.rules import at_least, one_of

T = TypeVar("T", int, Tensor)


@dataclass
class FrontEndSettings(ModelSettings):
    """Settings of models that begin with `make_front_end`.

    Attributes:
        conv_maps: feature maps of a convolutional front end (layers over time and frequency); 0 for a linear one.
        conv_layers: convolutions in it after the first two.
    """

    conv_maps: int = 32
    conv_layers: int = 0

    def validate(self) -> None:
        super().validate()
        at_least(self, 0, "conv_maps", "conv_layers")
        if self.conv_layers and not self.conv_maps:
            raise ConfigError(f"conv_layers is {self.conv_layers}, but a linear front end (conv_maps=0) has none")


@dataclass
class OptionalFrontEndSettings(FrontEndSettings):
    """Settings of models that may as well take features as they are.

    Attributes:
        front_end: ``layers``, as `conv_maps` says, or ``none``: every `subsampling`-th frame as it is.
    """

    front_end: str = "layers"

    def validate(self) -> None:
        super().validate()
        one_of(self, "front_end", ("layers", "none"))


def output_frames(frames: T, stride: int) -> T:
    """Frames that ``stride``-fold subsampling leaves of so many: the last one may be of fewer."""
    # Not -(-frames // stride): ONNX divides towards zero.
    return (frames + stride - 1) // stride


def frame_mask(lens: Tensor, frames: int) -> Tensor:
    """(N,) lengths -> (N, frames) bool, false at padding."""
    return torch.arange(frames, device=lens.device) < lens[:, None]


def without_padding(x: Tensor, lens: Tensor) -> Tensor:
    """(N, T, C) with zeros behind each utterance's end, whatever was there."""
    return x.masked_fill(~frame_mask(lens, x.shape[1])[:, :, None], 0.0)


def splice(x: Tensor, lens: Tensor, before: int, after: int) -> Tensor:
    """(N, T, C) -> (N, T, (before + 1 + after) · C): each frame among its neighbours, the earliest first.

    Beyond an utterance's ends its first and last frame are repeated, as in Kaldi.
    """
    t = torch.arange(x.shape[1], device=x.device)
    last = (lens - 1).clamp(min=0)[:, None]
    shifted = (torch.minimum((t + d).clamp(min=0), last) for d in range(-before, after + 1))
    return torch.cat([x.gather(1, index[:, :, None].expand_as(x)) for index in shifted], dim=2)


class BareFrontEnd(nn.Module):
    """Every ``stride``-th frame as it is."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: Tensor, lens: Tensor) -> tuple[Tensor, Tensor]:
        """(N, T, C), (N,) -> (N, C, ceil(T / stride)), and the lengths that belong to it."""
        return x[:, :: self.stride].transpose(1, 2), output_frames(lens, self.stride)


class ContextFrontEnd(nn.Module):
    """`splice`, then every ``stride``-th frame; features that are spliced already are taken as they are.

    Args:
        num_features: filter banks C.
        before: frames.
        after: frames.
        stride: input frames for each output frame.
    """

    def __init__(self, num_features: int, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.before, self.after, self.stride = before, after, stride
        self.width = num_features * (before + 1 + after)

    def forward(self, x: Tensor, lens: Tensor) -> tuple[Tensor, Tensor]:
        """(N, T, C), (N,) -> (N, ceil(T / stride), width), and the lengths that belong to it."""
        if x.shape[2] == self.width and self.before + self.after:
            return x, lens
        spliced = splice(x, lens, self.before, self.after)
        return spliced[:, :: self.stride], output_frames(lens, self.stride)


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
        x = without_padding(x, lens).transpose(1, 2)
        x = F.pad(x, (self.stride, (frames + 1) * self.stride - x.shape[2]))
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
        y = F.relu(self.first(without_padding(x, lens)[:, None]))
        # Padding must stay zero, or a result would depend on what an utterance is batched with.
        y = F.relu(self.second(y * frame_mask(lens, y.shape[2])[:, None, :, None].to(y.dtype)))
        lens = output_frames(lens, self.stride)
        mask = frame_mask(lens, y.shape[2])[:, None, :, None].to(y.dtype)
        for conv in self.more:
            y = y + F.relu(conv(y * mask))
        return F.relu(self.project(y.transpose(2, 3).flatten(1, 2))), lens


def make_front_end(settings: FrontEndSettings, num_features: int, channels: int) -> nn.Module:
    """`ConvFrontEnd` with ``settings.conv_maps`` feature maps, or `SpliceFrontEnd` if there are none."""
    s = settings
    if s.conv_maps:
        return ConvFrontEnd(num_features, channels, s.subsampling, s.conv_maps, s.conv_layers)
    return SpliceFrontEnd(num_features, channels, s.subsampling)


def optional_front_end(settings: OptionalFrontEndSettings, num_features: int, channels: int) -> tuple[nn.Module, int]:
    """As `make_front_end`, or `BareFrontEnd` where the settings want none; and how wide its output is."""
    if settings.front_end == "none":
        return BareFrontEnd(settings.subsampling), num_features
    return make_front_end(settings, num_features, channels), channels
