"""MPI through mpi4py, in host memory."""

from typing import Any

import torch
from mpi4py import MPI
from torch import Tensor

from asrpar.parallel.comm.base import Comm

_SENT = {torch.float32, torch.float64, torch.int32, torch.int64, torch.uint8}


class MpiComm(Comm):
    """Learners are the ranks of an MPI communicator; GPU tensors travel through pinned host memory.

    Args:
        comm: duplicated, so that our messages never meet anybody else's; COMM_WORLD by default.
    """

    def __init__(self, comm: MPI.Comm | None = None) -> None:
        self.mpi = (comm or MPI.COMM_WORLD).Dup()
        self.rank = self.mpi.Get_rank()
        self.size = self.mpi.Get_size()
        self._staging: dict[tuple[int, torch.dtype], Tensor] = {}

    def allreduce(self, x: Tensor) -> None:
        """Replace ``x`` by its sum over all ranks."""
        host = self._host(x)
        self.mpi.Allreduce(MPI.IN_PLACE, host.numpy(), MPI.SUM)
        self._back(host, x)

    def broadcast(self, x: Tensor, root: int = 0) -> None:
        """Replace ``x`` by the ``root``'s."""
        host = self._host(x)
        self.mpi.Bcast(host.numpy(), root)
        self._back(host, x)

    def exchange(self, outgoing: Tensor, incoming: Tensor, peer: int) -> None:
        """Swap messages with ``peer``; both directions are in flight at once."""
        received = torch.empty(incoming.shape, dtype=incoming.dtype)
        self.mpi.Sendrecv(self._host(outgoing).numpy(), peer, recvbuf=received.numpy(), source=peer)
        incoming.copy_(received)

    def allgather_object(self, value: Any) -> list[Any]:
        """Small Python objects of all ranks, by rank."""
        return self.mpi.allgather(value)

    def barrier(self) -> None:
        """Return once every rank has arrived."""
        self.mpi.Barrier()

    def fail(self, code: int) -> None:
        """Let the job end with this process, also where ranks were not started with ``python -m mpi4py``."""
        from mpi4py.run import set_abort_status

        if self.size > 1:
            set_abort_status(code)

    def _host(self, x: Tensor) -> Tensor:
        x = x.detach()
        # MPI has no bfloat16: Open MPI adds such buffers as bytes, without an error.
        if x.dtype not in _SENT:
            raise TypeError(f"{x.dtype} cannot be sent through MPI; convert to float32 first")
        if not x.is_contiguous():
            raise ValueError("only contiguous tensors can be sent")
        if x.device.type == "cpu":
            return x
        key = (x.numel(), x.dtype)
        if key not in self._staging:
            self._staging[key] = torch.empty(x.numel(), dtype=x.dtype, pin_memory=True)
        return self._staging[key].view(x.shape).copy_(x)

    @staticmethod
    def _back(host: Tensor, x: Tensor) -> None:
        if x.device.type != "cpu":
            x.detach().copy_(host, non_blocking=True)
