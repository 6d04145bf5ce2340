"""Compression of what one learner sends to one other, where nothing is added up on the way.

    message = C(v)        v ← v − C(v)        on the other side        x ← x + C(v)

The sender is left with what the message lacks. Who sends decides what becomes of it; see `server.carrier`.
"""

from abc import ABC, abstractmethod

import torch
from torch import Tensor


class Codec(ABC):
    """C. It has a buffer of its own: one for each activity."""

    buffer: Tensor | None = None

    def spare(self, x: Tensor) -> Tensor:
        """A buffer like ``x`` (n,), the same at each call."""
        buffer = self.buffer
        if buffer is None or buffer.dtype != x.dtype or buffer.device != x.device or len(buffer) < len(x):
            buffer = self.buffer = torch.empty_like(x)
        return buffer[: len(x)]

    @abstractmethod
    def most_bytes(self, x: Tensor) -> int:
        """Of any message about vectors like ``x`` (n,)."""

    @abstractmethod
    def encode(self, x: Tensor, out: Tensor) -> Tensor:
        """Write C(x) to the beginning of ``out`` (bytes) and return that part; ``x`` (n,), finite, becomes x − C(x)."""

    @abstractmethod
    def decode(self, message: Tensor, x: Tensor) -> None:
        """Add what ``message`` (bytes) says to ``x`` (n,)."""


class Whole(Codec):
    """Nothing is lost."""

    def most_bytes(self, x: Tensor) -> int:
        return x.nbytes

    def encode(self, x: Tensor, out: Tensor) -> Tensor:
        message = out[: x.nbytes]
        message.view(x.dtype).copy_(x)
        x.zero_()
        return message

    def decode(self, message: Tensor, x: Tensor) -> None:
        x.add_(message.view(x.dtype))
