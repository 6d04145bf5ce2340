"""Compression of what learners send: a choice of `Wire` that goes with every strategy, one method a file."""

from asrpar.parallel.compress.config import CompressionConfig, make_wire
from asrpar.parallel.compress.wire import need_weights_wire

__all__ = ["CompressionConfig", "make_wire", "need_weights_wire"]
