"""Compression of what learners send: a choice of `Wire` that goes with every strategy, one method a file."""

from collections.abc import Sequence
from typing import Any

from torch import Size, Tensor

from asrpar.choices import Family
from asrpar.parallel.compress.wire import Wire, need_weights_wire

# Modules with `Settings` and `Compression` (a Wire).
COMPRESSIONS = Family("asrpar.parallel.compress", "compression", "Compression")

__all__ = ["COMPRESSIONS", "make_wire", "need_weights_wire"]


def make_wire(name: str, settings: Any, shapes: Sequence[Size], like: Tensor) -> Wire:
    """The wire of one learner.

    Args:
        name: of the compression.
        settings: an instance of its settings.
        shapes: of the parameters, in their order in the vectors.
        like: (P,) a vector of the kind to be sent: its length, type and device count.

    Raises:
        ConfigError: no compression of that name, or settings that cannot be.
    """
    COMPRESSIONS.check(name, settings)
    return COMPRESSIONS.load(name)(settings, shapes, like)
