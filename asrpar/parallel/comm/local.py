"""The transport of a learner that is alone."""

from typing import Any

from torch import Tensor

from asrpar.parallel.comm.base import Comm


class LocalComm(Comm):
    """One learner: collectives leave their argument as it is."""

    rank = 0
    size = 1

    def allreduce(self, x: Tensor) -> None:
        """The sum over one learner."""

    def broadcast(self, x: Tensor, root: int = 0) -> None:
        """Nothing to do."""

    def exchange(self, outgoing: Tensor, incoming: Tensor, peer: int) -> None:
        """A learner that is alone can only exchange with itself."""
        incoming.copy_(outgoing)

    def allgather_object(self, value: Any) -> list[Any]:
        """A list of one."""
        return [value]

    def barrier(self) -> None:
        """Nothing to do."""
