"""What every transport offers."""

import time
from abc import ABC, abstractmethod
from typing import Any

from torch import Tensor


class Comm(ABC):
    """A group of learners.

    Tensors are contiguous. Collectives must be called by all ranks in the same order.

    Attributes:
        rank: this learner, from 0.
        size: number of learners.
    """

    rank: int
    size: int

    @abstractmethod
    def allreduce(self, x: Tensor) -> None:
        """Replace ``x``, in place, by its sum over all ranks."""

    @abstractmethod
    def broadcast(self, x: Tensor, root: int = 0) -> None:
        """Replace ``x``, in place, by the ``root``'s."""

    @abstractmethod
    def exchange(self, outgoing: Tensor, incoming: Tensor, peer: int) -> None:
        """Send ``outgoing`` to ``peer`` and fill ``incoming`` with what it sends; both sides must call it."""

    @abstractmethod
    def allgather_object(self, value: Any) -> list[Any]:
        """Small Python objects of all ranks, by rank; for control and reports, not for data."""

    @abstractmethod
    def barrier(self) -> None:
        """Return once every rank has arrived."""

    def broadcast_object(self, value: Any, root: int = 0) -> Any:
        """The ``root``'s object, on all ranks."""
        return self.allgather_object(value if self.rank == root else None)[root]

    def fail(self, code: int) -> None:
        """This rank is about to exit with ``code`` in an error: do not leave the others waiting for it."""

    def clock(self) -> float:
        """Seconds since some moment; virtual seconds on a virtual transport."""
        return time.perf_counter()

    def sleep(self, seconds: float) -> None:
        """Let ``seconds`` pass."""
        time.sleep(seconds)
