"""Payloads put straight into another GPU's memory, by NCCL's one-sided windows (nccl4py); headers still go by MPI.

Each rank has a window with a place for every other rank. A sender puts its payload into its place at the receiver, with
a signal, and sends a header by MPI as ever, so that receivers take messages from whoever sent one first; who has taken
the header waits for the signal, reads the payload where it lies, and gives the place back with an empty message. While
a place is not free, and where there is no window, payloads travel through host memory.

What is asked of nccl4py 0.6 was read in its source and has never run: see docs/gpu.md.
"""

from collections.abc import Callable
from typing import Any

import torch
from mpi4py import MPI
from torch import Tensor

from asrpar.log import get_logger
from asrpar.parallel.comm.base import Drafts
from asrpar.parallel.comm.mpi import MpiComm
from asrpar.parallel.trace import Trace

log = get_logger(__name__)

# Part of a GPU's memory that its window may take.
SHARE = 0.1


class Nccl:
    """What is needed of nccl4py, on one communicator of NCCL over the ranks of ``mpi``. Making one is collective.

    Args:
        mpi: the ranks.
        device: of this rank; no two ranks have the same one.

    Raises:
        ImportError: nccl4py is not installed, or not usable.
    """

    def __init__(self, mpi: MPI.Comm, device: torch.device) -> None:
        from nccl import core
        from nccl.core.interop import torch as tensors

        self.core, self.tensors, self.device = core, tensors, device
        self.stream = torch.cuda.Stream(device)
        own = core.get_unique_id().as_bytes if mpi.Get_rank() == 0 else None
        self.comm = core.Communicator.init(mpi.Get_size(), mpi.Get_rank(), core.UniqueId.from_bytes(mpi.bcast(own)))

    def window(self, numel: int, like: Tensor) -> tuple[Tensor, Any]:
        """(numel,) of memory that others can write to, and its handle. Collective."""
        x = self.tensors.empty(numel, dtype=like.dtype, device=self.device)
        return x, self.comm.register_window(x)

    def put(self, x: Tensor, peer: int, handle: Any, offset: int) -> None:
        """Write ``x``, of a window, to ``peer``'s window from number ``offset`` on, and signal; returns when it is
        on its way and ``x`` may be changed."""
        self.stream.wait_stream(torch.cuda.current_stream(self.device))
        self.comm.put_signal(x, peer, handle, offset, stream=self.stream.cuda_stream)
        self.stream.synchronize()

    def wait(self, peer: int) -> None:
        """Return when a signal of ``peer`` has come that nobody has waited for."""
        self.comm.wait_signal(self.core.WaitSignalDesc(peer), stream=self.stream.cuda_stream)
        self.stream.synchronize()


class WindowDrafts(Drafts):
    """Drafts in a window, and the places for what others put. Making them is collective.

    Args:
        library: `Nccl`, or what does as it does.
        mpi: the ranks, for what gives places back.
        like: (P,) of the payloads' size, type and device.
    """

    def __init__(self, library: Any, mpi: MPI.Comm, like: Tensor) -> None:
        self.library, self.mpi = library, mpi
        self.rank, self.numel = mpi.Get_rank(), like.numel()
        self.own, _ = library.window(self.numel, like)
        self.places, self.handle = library.window(self.numel * mpi.Get_size(), like)
        self.free = [True] * mpi.Get_size()
        self._given: list[MPI.Request] = []

    def lend(self, payload: Tensor, dest: int) -> int | None:
        """Put ``payload``, if it is the draft, into this rank's place at ``dest``; None if it is none, or not free."""
        if payload.data_ptr() != self.own.data_ptr() or payload.numel() != self.numel or dest == self.rank:
            return None
        if not self.free[dest] and self.mpi.Iprobe(dest):
            self.mpi.Recv([None, 0, MPI.BYTE], dest)
            self.free[dest] = True
        if not self.free[dest]:
            return None
        self.free[dest] = False
        self.library.put(self.own, dest, self.handle, self.rank * self.numel)
        return 0

    def borrow(self, source: int, place: int) -> tuple[Tensor, Callable[[], None]]:
        """What ``source`` has put here, and what to call when it has been read."""
        self.library.wait(source)
        return self.places[source * self.numel :][: self.numel], lambda: self._give_back(source)

    def _give_back(self, source: int) -> None:
        if self.places.is_cuda:  # what reads it may only have been asked for
            torch.cuda.current_stream(self.places.device).synchronize()
        self._given = [request for request in self._given if not request.Test()]
        self._given.append(self.mpi.Isend([None, 0, MPI.BYTE], source))


class WindowComm(MpiComm):
    """A channel of an activity whose drafts go from GPU to GPU.

    Args:
        comm: the ranks.
        trace: of this learner.
        library: makes `Nccl` of the ranks and a device.
    """

    def __init__(self, comm: MPI.Comm, trace: Trace, library: Callable[[MPI.Comm, torch.device], Any] = Nccl) -> None:
        super().__init__(comm, trace, polling=True, share_memory=False)
        self._library = library

    def drafts(self, like: Tensor, count: int) -> Drafts:
        """In a window where all ranks can have one, else on the host's way. Collective."""
        why = _why_not(like, self.size) if self._library is Nccl else ""
        whys = self.mpi.allgather(why)
        if any(whys):
            if self.rank == 0:
                log.warning("no window of NCCL, payloads travel through host memory: %s", next(filter(None, whys)))
            return super().drafts(like, count)
        made = WindowDrafts(self._library(self.mpi, like.device), self.mpi.Dup(), like)
        self._drafts = made
        return made


def _why_not(like: Tensor, ranks: int) -> str:
    """Why this rank can have no window; empty if it can."""
    if not like.is_cuda:
        return "tensors are not on a GPU"
    try:
        from nccl.core import Communicator
    except ImportError as e:
        return f"nccl4py cannot be imported ({e}); pip install nccl4py[cu12], or [cu13]"
    if not hasattr(Communicator, "put_signal"):
        return "this nccl4py has no put_signal, version 0.2 has"
    total = torch.cuda.get_device_properties(like.device).total_memory
    if (needed := like.nbytes * (ranks + 1)) > SHARE * total:
        return f"a window for {ranks} ranks needs {needed / 1e9:.1f} GB, more than {SHARE:.0%} of the GPU's memory"
    return ""
