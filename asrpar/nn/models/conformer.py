"""Conformer (Gulati et al. 2020, "Conformer: convolution-augmented transformer for speech recognition").

Positions are relative, by turning queries and keys (Su et al. 2021, "RoFormer"): no parameters, no table of longest
length, one fused attention. Where the paper's convolution module has batch normalisation this has layer norm, which
keeps no statistics that learners would have to share, and does not depend on what an utterance is batched with.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from asrpar.nn.frontend import FrontEndSettings, frame_mask, make_front_end
from asrpar.nn.layers import ChannelNorm
from asrpar.nn.model import AcousticModel
from asrpar.rules import at_least, need


@dataclass
class Settings(FrontEndSettings):
    """A small Conformer.

    Attributes:
        width: of the residual stream.
        heads: of attention; each gets an even part of `width`.
        num_layers: blocks of two half feed-forward modules around attention and convolution.
        expansion: units of a feed-forward module for each of `width`.
        kernel: output frames seen by a convolution module; odd.
    """

    width: int = 144
    heads: int = 4
    num_layers: int = 4
    expansion: int = 4
    kernel: int = 15

    def validate(self) -> None:
        super().validate()
        at_least(self, 1, "width", "heads", "num_layers", "expansion", "kernel")
        need(self, "kernel", self.kernel % 2 == 1, "must be odd, so that a layer looks as far back as ahead")
        need(self, "width", self.width % (2 * self.heads) == 0, f"must be a multiple of twice the heads, {self.heads}")


def angles(frames: int, pairs: int, device: torch.device) -> Tensor:
    """(frames, pairs) by which pairs of channels are turned: each pair at a rate of its own."""
    rates = 10000.0 ** (-torch.arange(pairs, device=device, dtype=torch.float32) / pairs)
    return torch.arange(frames, device=device, dtype=torch.float32)[:, None] * rates


def turned(x: Tensor, by: Tensor) -> Tensor:
    """(N, H, T, D) queries or keys, turned by (T, D / 2) angles: their products see differences of positions."""
    cos, sin = by.cos().to(x.dtype), by.sin().to(x.dtype)
    a, b = x.chunk(2, dim=3)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], dim=3)


class FeedForward(nn.Sequential):
    """Layer norm, a wide layer, SiLU, back."""

    def __init__(self, width: int, units: int, dropout: float) -> None:
        wide, back = nn.Linear(width, units), nn.Linear(units, width)
        super().__init__(nn.LayerNorm(width), wide, nn.SiLU(), nn.Dropout(dropout), back, nn.Dropout(dropout))


class Attention(nn.Module):
    """Layer norm, self-attention over an utterance's frames."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        self.inputs = nn.Linear(width, 3 * width)
        self.output = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor, by: Tensor) -> Tensor:
        """(N, T, width), mask (N, T) false at padding, `angles` -> (N, T, width)."""
        q, k, v = (y.unflatten(2, (self.heads, -1)).transpose(1, 2) for y in self.inputs(self.norm(x)).chunk(3, dim=2))
        y = F.scaled_dot_product_attention(turned(q, by), turned(k, by), v, attn_mask=mask[:, None, None])
        return self.dropout(self.output(y.transpose(1, 2).flatten(2)))


class Convolution(nn.Module):
    """Layer norm, a gated layer, convolution of each channel over time, layer norm, SiLU, a linear layer."""

    def __init__(self, width: int, kernel: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.gated = nn.Linear(width, 2 * width)
        self.depthwise = nn.Conv1d(width, width, kernel, padding=kernel // 2, groups=width)
        self.after = ChannelNorm(width)
        self.output = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(N, T, width), mask (N, T) false at padding -> (N, T, width)."""
        y = F.glu(self.gated(self.norm(x)), dim=2).masked_fill(~mask[:, :, None], 0.0)
        y = F.silu(self.after(self.depthwise(y.transpose(1, 2)))).transpose(1, 2)
        return self.dropout(self.output(y))


class Block(nn.Module):
    """Half a feed-forward module, attention, convolution, the other half, layer norm; each with a bypass."""

    def __init__(self, s: Settings) -> None:
        super().__init__()
        self.begin = FeedForward(s.width, s.expansion * s.width, s.dropout)
        self.attention = Attention(s.width, s.heads, s.dropout)
        self.convolution = Convolution(s.width, s.kernel, s.dropout)
        self.end = FeedForward(s.width, s.expansion * s.width, s.dropout)
        self.norm = nn.LayerNorm(s.width)

    def forward(self, x: Tensor, mask: Tensor, by: Tensor) -> Tensor:
        """(N, T, width), mask (N, T) false at padding, `angles` -> (N, T, width)."""
        x = x + 0.5 * self.begin(x)
        x = x + self.attention(x, mask, by)
        x = x + self.convolution(x, mask)
        return self.norm(x + 0.5 * self.end(x))


class Model(AcousticModel):
    """Front end, a linear layer, blocks, output layer."""

    def __init__(self, settings: Settings, num_features: int, num_classes: int) -> None:
        super().__init__(settings, num_features, num_classes)
        s = settings
        self.pairs = s.width // s.heads // 2
        self.input = make_front_end(s, num_features, s.width)
        # The front end's output is not negative.
        self.begin = nn.Linear(s.width, s.width)
        self.dropout = nn.Dropout(s.dropout)
        self.blocks = nn.ModuleList(Block(s) for _ in range(s.num_layers))
        self.output = nn.Linear(s.width, num_classes)

    def scores(self, features: Tensor, lens: Tensor) -> tuple[Tensor, Tensor]:
        x, lens = self.input(features, lens)
        x = self.dropout(self.begin(x.transpose(1, 2)))
        mask, by = frame_mask(lens, x.shape[1]), angles(x.shape[1], self.pairs, x.device)
        for block in self.blocks:
            x = block(x, mask, by)
        return self.output(x), lens
