"""float16 on the wire, scaled: 11 significant bits, values up to 65504 (see `half`)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Size, Tensor

from asrpar.log import get_logger
from asrpar.parallel.compress.half import Half
from asrpar.parallel.compress.rounded import magnitude, power_of_two
from asrpar.parallel.compress.wire import WarmUp

log = get_logger(__name__)


@dataclass
class Settings(WarmUp):
    """Those of all kinds of compression, no others."""


class Compression(Half):
    """Rounded to float16.

    Attributes:
        saturated: vectors given to `pack` that had finite elements beyond that range, which became the greatest number.
    """

    type = torch.float16

    def __init__(self, settings: Settings, shapes: Sequence[Size], like: Tensor) -> None:
        super().__init__(settings, shapes, like)
        self.saturated = 0

    def scale(self, x: Tensor) -> float:
        return power_of_two(x)

    def pack(self, x: Tensor) -> Tensor:
        """``x`` (P,) in 16 bits, without a scale; valid until the next call."""
        packed = super().pack(x)
        limit = torch.finfo(self.type).max
        if math.isfinite(largest := magnitude(x)) and largest > limit:
            packed.clamp_(-limit, limit)
            self.saturated += 1
            if self.saturated == 1:
                log.warning("compression fp16: elements up to %.3g do not fit and were cut; use bf16", largest)
        return packed
