"""Pinned host memory that the tensors of a GPU travel through."""

import threading
from typing import Any

import torch
from torch import Tensor

# Buffers that a thread keeps; there are more where lengths differ from message to message.
KEPT = 16


class Staging:
    """Host copies of tensors; what is in host memory already travels from where it is.

    Each thread has buffers and a stream of its own, so that none overwrites what another one still sends. A copy waits
    for what is computed when it is asked for, or was since a `moment`, and is complete when the method returns.
    """

    def __init__(self) -> None:
        self._own = threading.local()

    def moment(self, x: Tensor) -> Any:
        """Now, in the order of what is computed on the device of ``x``; None where that is the host."""
        return None if self.stays(x) else torch.cuda.current_stream(x.device).record_event()

    def outgoing(self, x: Tensor, since: Any = None, slot: int = 0) -> Tensor:
        """``x`` on the host, as it is now or was ``since`` a `moment`; valid until this thread sends another such.

        Several that are on their way at once need ``slot`` of their own.
        """
        x = x.detach()
        if not x.is_contiguous():
            raise ValueError("only contiguous tensors can be sent")
        if self.stays(x):
            return x
        host = self._buffer(f"out {slot}", x)
        self.move(x, host, x.device, since)
        return host

    def incoming(self, x: Tensor) -> Tensor:
        """A buffer on the host for what ``x`` is to become; see `arrived`."""
        return x if self.stays(x) else self._buffer("in", x)

    def arrived(self, host: Tensor, x: Tensor, since: Any = None) -> None:
        """Fill ``x``, which nobody has used ``since``, from what `outgoing` or `incoming` gave for it."""
        if not self.stays(x):
            self.move(host, x.detach(), x.device, since)

    def stays(self, x: Tensor) -> bool:
        """Whether ``x`` needs no copy."""
        return x.device.type == "cpu"

    def allocate(self, x: Tensor) -> Tensor:
        """A new buffer for tensors like ``x``."""
        return torch.empty(x.numel(), dtype=x.dtype, pin_memory=True)

    def move(self, source: Tensor, target: Tensor, device: torch.device, since: Any = None) -> None:
        """Copy between ``device`` and the host, after what was computed before (``since``), beside all else."""
        stream = getattr(self._own, "stream", None)
        if stream is None:
            # A thread begins on the first GPU, and would take memory of it for nothing.
            torch.cuda.set_device(device)
            stream = self._own.stream = torch.cuda.Stream(device)
        stream.wait_event(since or torch.cuda.current_stream(device).record_event())
        with torch.cuda.stream(stream):
            target.copy_(source, non_blocking=True)
        stream.synchronize()

    def _buffer(self, use: str, x: Tensor) -> Tensor:
        """A buffer of this thread."""
        if not hasattr(self._own, "buffers"):
            self._own.buffers = {}
        buffers: dict[tuple[str, int, torch.dtype], Tensor] = self._own.buffers
        key = (use, x.numel(), x.dtype)
        if key not in buffers:
            if len(buffers) >= KEPT:
                del buffers[next(iter(buffers))]
            buffers[key] = self.allocate(x)
        return buffers[key].view(x.shape)
