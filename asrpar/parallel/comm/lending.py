"""Payloads that the ranks of a node read where their sender wrote them, and doorbells that say that there is something.

A copy through an MPI library costs two passes over a vector on each side, and looking a thousand times a second whether
a message has come takes more than a hundredth of a core. Both are steps that a learner does not take while an activity
of it exchanges weights; see `asrpar.parallel.comm.shared` for the memory.
"""

import contextlib
import os
import select
from collections.abc import Callable

from mpi4py import MPI
from torch import Tensor

from asrpar.parallel.comm.base import Drafts

# Bytes between two flags, so that no two ranks write to one cache line.
_LINE = 64


class LentDrafts(Drafts):
    """Buffers for several payloads in memory that the ranks of a node share.

    Args:
        rows: bytes of each rank of this node, `bytes_needed` of them, zeros at first; by rank.
        rank: this one.
        like: (P,) of the payloads' size and type.
        count: how many.
    """

    def __init__(self, rows: dict[int, Tensor], rank: int, like: Tensor, count: int) -> None:
        super().__init__(like)
        size, self.rank = rounded(like.nbytes), rank
        self.slots = {r: vectors(row, like, count) for r, row in rows.items()}
        # 1 while somebody reads the slot.
        self.lent = {r: row[count * size :: _LINE].numpy() for r, row in rows.items()}

    @staticmethod
    def bytes_needed(like: Tensor, count: int) -> int:
        """Of a row."""
        return count * (rounded(like.nbytes) + _LINE)

    def next(self) -> Tensor:
        """A slot that nobody reads; the private one if there is none."""
        free = (slot for slot, lent in zip(self.slots[self.rank], self.lent[self.rank], strict=True) if not lent)
        return next(free, self.own)

    def lend(self, payload: Tensor, dest: int) -> int | None:
        """The number of the slot that ``payload`` is, from now on ``dest``'s to read; None if it cannot be lent."""
        if dest not in self.slots:
            return None
        for k, slot in enumerate(self.slots[self.rank]):
            if payload.data_ptr() == slot.data_ptr() and payload.nbytes == slot.nbytes:
                self.lent[self.rank][k] = 1
                return k
        return None

    def borrow(self, source: int, k: int) -> tuple[Tensor, Callable[[], None]]:
        """What ``source`` has lent, and what to call when it has been read."""
        return self.slots[source][k], lambda: self.lent[source].__setitem__(k, 0)


class Bell:
    """Wakes a rank that waits for a message.

    Args:
        others: for each rank a file to write to.
        own: file that becomes readable when somebody rings.
    """

    def __init__(self, others: list[int], own: int) -> None:
        self._others, self._own = others, own

    @classmethod
    def between(cls, comm: MPI.Comm, wanted: bool) -> "Bell | None":
        """Bells of all ranks of ``comm``; None, on all of them, unless all want them and can reach each other.

        Collective. Ranks on several nodes cannot.
        """
        node = comm.Split_type(MPI.COMM_TYPE_SHARED, comm.Get_rank())
        together = node.Get_size() == comm.Get_size()
        node.Free()
        if not comm.allreduce(wanted and together, MPI.LAND):
            return None
        own, outside = os.pipe()
        others = []
        try:
            for pid, number, inode in comm.allgather((os.getpid(), outside, os.fstat(outside).st_ino)):
                others.append(os.open(f"/proc/{pid}/fd/{number}", os.O_WRONLY | os.O_NONBLOCK))
                wanted = wanted and os.fstat(others[-1]).st_ino == inode
        except OSError:  # not on every system
            wanted = False
        os.set_blocking(own, False)
        bell = cls(others, own)
        # Nobody closes the file that others are to open before all have.
        wanted = comm.allreduce(wanted, MPI.LAND)
        os.close(outside)
        return bell if wanted else None

    def ring(self, rank: int) -> None:
        """Wake ``rank``, or let its next `wait` return at once."""
        # It may be full, for it is ringing already, or closed, for nobody is there.
        with contextlib.suppress(OSError):
            os.write(self._others[rank], b"\0")

    def wait(self, seconds: float) -> bool:
        """Return True when somebody rings or has rung since the last call, False after ``seconds``."""
        rung = bool(select.select([self._own], [], [], seconds)[0])
        if rung:
            os.read(self._own, 1 << 16)
        return rung

    def __del__(self) -> None:
        for file in (*self._others, self._own):
            os.close(file)


def rounded(nbytes: int) -> int:
    """Bytes up to the next cache line."""
    return -(-nbytes // _LINE) * _LINE


def vectors(row: Tensor, like: Tensor, count: int) -> list[Tensor]:
    """``count`` vectors like ``like`` (P,) in a row of `rounded` bytes each, from the beginnings of cache lines on."""
    size = rounded(like.nbytes)
    return [row[k * size : k * size + like.nbytes].view(like.dtype) for k in range(count)]
