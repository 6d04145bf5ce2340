"""16-bit floats in messages to and from a server, and the power of two that makes the most of float16."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from asrpar.parallel.compress.codec import Codec

# Elements turned from 16 bits at a time, so that the buffer for them is small.
CHUNK = 1 << 18
# Bytes of a message before the elements: the scale.
HEAD = 8


class Rounded(Codec):
    """16-bit numbers, those of float16 scaled by a power of two that makes use of their range.

    Args:
        type_: bfloat16 or float16.
    """

    def __init__(self, type_: torch.dtype) -> None:
        self.type = type_

    def most_bytes(self, x: Tensor) -> int:
        return HEAD + 2 * x.numel()

    def encode(self, x: Tensor, out: Tensor) -> Tensor:
        message = out[: self.most_bytes(x)]
        scale = power_of_two(x) if self.type == torch.float16 else 1.0
        message[:HEAD].view(torch.float64)[0] = scale
        for part, values, scratch in self.chunks(x, message):
            values.copy_(torch.mul(part, scale, out=scratch))
            part.add_(scratch.copy_(values), alpha=-1.0 / scale)
        return message

    def decode(self, message: Tensor, x: Tensor) -> None:
        scale = message[:HEAD].view(torch.float64).item()
        for part, values, scratch in self.chunks(x, message):
            part.add_(scratch.copy_(values), alpha=1.0 / scale)

    def chunks(self, x: Tensor, message: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Pieces of the vector and of its message, with a buffer of x's type."""
        values = message[HEAD:].view(self.type)
        for part, numbers in zip(x.split(CHUNK), values.split(CHUNK), strict=True):
            yield part, numbers, self.spare(part)


def power_of_two(x: Tensor) -> float:
    """What to multiply ``x`` by so that its largest magnitude lies in [2^14, 2^15), as float16 has it best."""
    largest = magnitude(x)
    if not largest or not math.isfinite(largest):
        return 1.0  # inf and NaN go through as they are
    return 2.0 ** max(-120, min(100, 15 - math.frexp(largest)[1]))


def magnitude(x: Tensor) -> float:
    """The largest magnitude in ``x``, 0 if it is empty; not finite if any element is not."""
    if not x.numel():
        return 0.0
    low, high = x.aminmax()
    return max(-low.item(), high.item()) if low == low else math.nan
