"""Sums over the learners of a node through memory that all of them can read and write.

    barrier;  rank r of a node adds up part r of the vectors of all its n ranks and writes the sum to all;  barrier

Each learner reads and writes P numbers in all, where an MPI library on one node copies every number several times. Each
part is added up in the order of ranks, by one rank, so the result is the same on all ranks, from run to run, and
however a vector is cut into pieces. Across nodes the sums of the nodes are added up by MPI, one rank of each node
taking part.

The memory is a file without a name or a place in any file system, which the others open through ``/proc``. It vanishes
with the processes, however they end, and needs nothing from anybody when MPI is finalised; and a small ``/dev/shm``, as
containers have it, does not limit it.
"""

import mmap
import os
from collections.abc import Callable
from typing import NamedTuple

import torch
from mpi4py import MPI
from torch import Tensor

from asrpar.log import get_logger

log = get_logger(__name__)

# Bytes below which MPI itself is as fast.
SMALLEST = 1 << 16
# Bytes that are added up, and written to all, at a time: they stay in the processor's cache in between.
_CHUNK = 1 << 19
# Shares begin at cache lines (bytes), so that no two ranks write to one.
_LINE = 64


class Window(NamedTuple):
    """A vector that each rank of a communicator has.

    Attributes:
        members: those ranks, as the whole job counts them.
        rows: the bytes of those on this node.
    """

    members: frozenset[int]
    rows: dict[int, Tensor]


class SharedMemory:
    """What the ranks of a communicator, each with those of its node, can add up through shared memory.

    All methods are collective over the communicator.

    Args:
        comm: all ranks; nothing else may use it meanwhile.
        wait: returns once a request is complete.
        windows: shared by communicators of the same ranks, and of some of them, so that each knows what the others'
            `zeros` made.
        wanted: False on any rank switches it off on all.
        node: those ranks of ``comm`` that share memory with this one; by default MPI knows.
    """

    def __init__(
        self,
        comm: MPI.Comm,
        wait: Callable[[MPI.Request], None],
        windows: list[Window],
        wanted: bool = True,
        node: MPI.Comm | None = None,
    ) -> None:
        self._comm, self._wait = comm, wait
        self._node = node or comm.Split_type(MPI.COMM_TYPE_SHARED, comm.Get_rank())
        self._rank, self._size = self._node.Get_rank(), self._node.Get_size()
        self._heads = comm.Split(0 if self._rank == 0 else MPI.UNDEFINED, comm.Get_rank())
        self._nodes = comm.allreduce(int(self._rank == 0))
        # Nothing is shared if each node has one rank. All ranks must come to the same answer.
        self._on = comm.allreduce(wanted, MPI.LAND) and comm.allreduce(self._size, MPI.MAX) > 1
        self._windows = windows
        self._me = MPI.COMM_WORLD.Get_rank()
        self._members, self._near = frozenset(comm.allgather(self._me)), self._node.allgather(self._me)
        self._scratch: list[Tensor] = []
        self._sum = torch.empty(_CHUNK, dtype=torch.uint8)

    def zeros(self, numel: int, dtype: torch.dtype) -> Tensor | None:
        """(numel,) zeros that `allreduce` adds up where they are; None if no memory can be shared."""
        rows = self._map(numel * dtype.itemsize) if self._on else []
        if not rows:
            return None
        self._windows.append(Window(self._members, dict(zip(self._near, rows, strict=True))))
        return rows[self._rank][: numel * dtype.itemsize].view(dtype)

    def rows(self, nbytes: int) -> dict[int, Tensor]:
        """Zero bytes of each rank of this node, which all of them can read and write; empty if none can be shared."""
        rows = self._map(nbytes) if self._on else []
        return dict(zip(self._node.allgather(self._comm.Get_rank()), rows, strict=True)) if rows else {}

    def allreduce(self, x: Tensor) -> bool:
        """Replace ``x``, contiguous and in host memory, by its sum; False, and ``x`` is as it was, if no memory can be
        shared.

        It is added up in place if it is, or is part of, a vector from `zeros`; else it is copied to and fro.
        """
        if not self._on:
            return False
        flat = x.view(-1)
        rows = self._find(flat)
        if rows is not None:
            self._add_up(rows)
            return True
        if not self._scratch or self._scratch[0].nbytes < x.nbytes:
            self._scratch = self._map(x.nbytes)
            if not self._scratch:
                return False
        rows = [row[: x.nbytes].view(x.dtype) for row in self._scratch]
        rows[self._rank].copy_(flat)
        self._add_up(rows)
        flat.copy_(rows[self._rank])
        return True

    def _find(self, x: Tensor) -> list[Tensor] | None:
        """The vectors that the ranks of this node have where this one has ``x``."""
        for window in self._windows:
            # All ranks must come to the same answer, also those of another node.
            if not self._members <= window.members:
                continue
            own = window.rows[self._me]
            begin = x.data_ptr() - own.data_ptr()
            if begin >= 0 and begin + x.nbytes <= own.nbytes:
                return [window.rows[r][begin : begin + x.nbytes].view(x.dtype) for r in self._near]
        return None

    def _add_up(self, rows: list[Tensor]) -> None:
        self._barrier()
        size = rows[0].itemsize
        lines = -(-rows[0].nbytes // _LINE)
        begin, end = (min(lines * r // self._size * _LINE // size, len(rows[0])) for r in (self._rank, self._rank + 1))
        step = _CHUNK // size
        for at in range(begin, end, step):
            parts = [row[at : min(at + step, end)] for row in rows]
            # Ranks 0 and 1 add up in their own vectors, for these come first; others must not yet change theirs.
            out = parts[self._rank] if self._rank < 2 else self._sum[: parts[0].nbytes].view(parts[0].dtype)
            if self._size > 1:
                torch.add(parts[0], parts[1], out=out)
            for part in parts[2:]:
                out.add_(part)
            for part in parts if self._nodes == 1 else parts[:1]:
                if part.data_ptr() != out.data_ptr():
                    part.copy_(out)
        self._barrier()
        if self._nodes == 1:
            return
        if self._rank == 0:
            self._wait(self._heads.Iallreduce(MPI.IN_PLACE, rows[0].numpy()))
        self._barrier()
        if self._rank > 0:
            rows[self._rank].copy_(rows[0])
        self._barrier()

    def _barrier(self) -> None:
        self._wait(self._node.Ibarrier())

    def _map(self, nbytes: int) -> list[Tensor]:
        """The bytes of each rank of this node; empty, on all ranks and for ever, if they cannot be had on one."""
        own, error = (0, 0, 0), ""
        try:
            file = os.memfd_create("asrpar")
            own = (os.getpid(), file, os.fstat(file).st_ino)
            # Takes the memory now: too little of it fails here, and not at some later write. And each rank takes its
            # own, near its processor.
            os.posix_fallocate(file, 0, nbytes)
        except (AttributeError, OSError) as e:  # not on every system
            error = str(e)
        try:
            rows = [_open(*file, nbytes) for file in self._node.allgather(own)]
        except (OSError, ValueError) as e:
            error = error or str(e)
        errors = [e for e in self._comm.allgather(error) if e]
        if own[1]:
            os.close(own[1])
        if errors:
            self._on = False
            if self._comm.Get_rank() == 0:
                log.warning("learners of a node use messages, not shared memory, for their sums: %s", errors[0])
            return []
        return rows


def _open(pid: int, number: int, inode: int, nbytes: int) -> Tensor:
    """The bytes of a file without a name that process ``pid`` holds."""
    file = os.open(f"/proc/{pid}/fd/{number}", os.O_RDWR)
    try:
        if os.fstat(file).st_ino != inode:
            raise OSError(f"process {pid} is another one here than for itself")
        return torch.frombuffer(mmap.mmap(file, nbytes), dtype=torch.uint8)
    finally:
        os.close(file)
