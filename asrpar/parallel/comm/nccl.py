"""NCCL between GPUs through torch.distributed, started by the ranks of an MPI job; Gloo runs the same code on hosts."""

import datetime
import os
import socket
from typing import Any

import torch
import torch.distributed as dist
from mpi4py import MPI
from torch import Tensor

from asrpar.errors import ConfigError, LaunchError
from asrpar.parallel.comm.mpi import MpiComm
from asrpar.parallel.comm.ulfm import SurvivingComm
from asrpar.parallel.comm.windows import WindowComm
from asrpar.parallel.trace import Trace

# Who stands still is found by the watchdog, which names the rank; torch's own time limit would only end the job.
_PATIENCE = datetime.timedelta(days=7)


class Work:
    """A collective on its way."""

    def __init__(self, work: Any, comm: "TorchComm", size: int) -> None:
        self._work, self._comm, self._bytes = work, comm, size

    def wait(self) -> None:
        """Return once it is complete."""
        with self._comm.trace.span("wait", bytes=self._bytes, sent=self._comm._share(2 * self._bytes)):
            self._work.wait()
            self._comm._settle()


class TorchComm(MpiComm):
    """`MpiComm` whose collectives and exchanges of tensors on ``device`` go through torch.distributed.

    Objects, tensors elsewhere, notes, and the channels of activities stay with MPI: NCCL has no receive from anybody,
    and two of its collectives may not wait for each other. Calls return when the device is done, so that traces tell
    what waiting takes.

    Args:
        comm: the ranks.
        device: of this rank's model.
        group: of torch.distributed for these ranks; None for all it was started for.
        trace: of this learner.
        store: through which the ranks found each other; rank 0's must outlive all groups.
        windows: whether channels put payloads straight into another GPU's memory (`WindowComm`).
    """

    def __init__(
        self,
        comm: MPI.Comm,
        device: torch.device,
        group: dist.ProcessGroup | None = None,
        trace: Trace | None = None,
        store: dist.Store | None = None,
        windows: bool = False,
    ) -> None:
        super().__init__(comm, trace)
        self.device, self.group, self.store, self.windows = device, group, store, windows

    def channel(self) -> MpiComm:
        """Of messages, through MPI; their payloads on the shortest way that there is."""
        return WindowComm(self.mpi, self.trace) if self.windows else super().channel()

    def allreduce(self, x: Tensor) -> None:
        if not self._ours(x):
            super().allreduce(x)
            return
        with self.trace.span("allreduce", bytes=x.nbytes, sent=self._share(2 * x.nbytes)):
            dist.all_reduce(x.detach(), group=self.group)
            self._settle()

    def allreduce_begin(self, x: Tensor) -> Any:
        """Begin a sum over all ranks; on a GPU a stream of its own sees it through."""
        if not self._ours(x):
            return super().allreduce_begin(x)
        return Work(dist.all_reduce(x.detach(), group=self.group, async_op=True), self, x.nbytes)

    def zeros(self, numel: int, like: Tensor) -> Tensor:
        """Plain zeros: memory that ranks share is for MPI."""
        return like.new_zeros(numel)

    def broadcast(self, x: Tensor, root: int = 0) -> None:
        if not self._ours(x):
            super().broadcast(x, root)
            return
        with self.trace.span("broadcast", bytes=x.nbytes, sent=self._share(x.nbytes)):
            dist.broadcast(_bytes(x), group=self.group, group_src=root)
            self._settle()

    def exchange(self, outgoing: Tensor, incoming: Tensor, peer: int) -> None:
        if not self._ours(outgoing):
            super().exchange(outgoing, incoming, peer)
            return
        with self.trace.span("exchange", peer=peer, bytes=outgoing.nbytes, sent=outgoing.nbytes):
            both = [
                dist.P2POp(dist.isend, _bytes(outgoing), group=self.group, group_peer=peer),
                dist.P2POp(dist.irecv, _bytes(incoming), group=self.group, group_peer=peer),
            ]
            for work in dist.batch_isend_irecv(both):
                work.wait()
            self._settle()

    def alltoall(self, outgoing: Tensor, incoming: Tensor) -> None:
        if not self._ours(outgoing):
            super().alltoall(outgoing, incoming)
            return
        with self.trace.span("alltoall", bytes=outgoing.nbytes, sent=self._share(outgoing.nbytes)):
            dist.all_to_all_single(_bytes(incoming), _bytes(outgoing), group=self.group)
            self._settle()

    def allgather(self, outgoing: Tensor, incoming: Tensor) -> None:
        if not self._ours(outgoing):
            super().allgather(outgoing, incoming)
            return
        with self.trace.span("allgather", bytes=incoming.nbytes, sent=self._share(incoming.nbytes)):
            dist.all_gather_into_tensor(_bytes(incoming), _bytes(outgoing), group=self.group)
            self._settle()

    def split(self, color: int | None, name: str = "") -> "TorchComm | None":
        """A communicator for each color; `ValueError` if this is one of them already."""
        if self.group is not None:
            raise ValueError("torch.distributed makes groups with all of its ranks: split the whole, not a part of it")
        colors = self.allgather_object((color, dist.get_rank()))
        own = None
        # All ranks make all groups, in one order.
        for each in sorted({c for c, _ in colors if c is not None}):
            group = dist.new_group([r for c, r in colors if c == each], timeout=_PATIENCE)
            own = group if each == color else own
        part = self.mpi.Split(MPI.UNDEFINED if color is None else color, self.rank)
        if part == MPI.COMM_NULL:
            return None
        comm = TorchComm(part, self.device, own, self.trace, windows=self.windows)
        part.Free()
        return comm

    def close(self) -> None:
        """End torch.distributed in this process. Collective; nothing may be on its way."""
        dist.destroy_process_group()
        self.barrier()
        self.store = None

    def _ours(self, x: Tensor) -> bool:
        if not x.is_contiguous():
            raise ValueError("only contiguous tensors can be sent")
        return x.device.type == self.device.type

    def _settle(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.current_stream(self.device).synchronize()


def _bytes(x: Tensor) -> Tensor:
    """What is only carried travels as bytes, which all backends know."""
    return x.detach().view(-1).view(torch.uint8)


def joined(comm: MpiComm, backend: str, device: torch.device, windows: bool = False) -> TorchComm:
    """The same learners, with torch.distributed for what it can do. Collective.

    Args:
        comm: MPI's transport.
        backend: ``nccl`` for GPUs, ``gloo`` for the host.
        device: of this rank's model.
        windows: see `TorchComm`.

    Raises:
        ConfigError: the backend cannot serve these devices. All ranks raise alike.
        LaunchError: torch.distributed does not start.
    """
    if isinstance(comm, SurvivingComm):
        raise ConfigError(f"--survive needs transport=mpi: {backend} does not go on without a learner")
    kind = "cuda" if backend == "nccl" else "cpu"
    whose = [comm.node(), str(device) if device.type == "cpu" else str(torch.cuda.get_device_properties(device).uuid)]
    places = comm.allgather_object((device.type, *whose))
    if any(place[0] != kind for place in places):
        raise ConfigError(
            f"transport is {backend}, but learners compute on {', '.join(sorted({p[0] for p in places}))}: "
            f"set device={kind}, or transport=mpi"
        )
    if backend == "nccl" and len(set(places)) < len(places):
        raise ConfigError(
            f"transport is nccl, but {len(places)} learners have {len(set(places))} GPU(s), and NCCL wants one for "
            "each: start fewer learners on a node, or set transport=mpi"
        )
    if not (dist.is_nccl_available() if backend == "nccl" else dist.is_gloo_available()):
        raise ConfigError(f"transport is {backend}, which this build of torch does not have: set transport=mpi")
    # Names of machines need not be known within one, and between them the usual one may lead to the wrong network.
    several = len({p[1] for p in places}) > 1
    host = os.environ.get("MASTER_ADDR", socket.gethostname()) if several else "127.0.0.1"
    try:
        store = dist.TCPStore(host, 0, comm.size, True, wait_for_workers=False) if comm.rank == 0 else None
        host, port = comm.broadcast_object((host, store.port) if store else None)
        store = store or dist.TCPStore(host, port, comm.size, False)
        dist.init_process_group(
            backend,
            store=store,
            rank=comm.rank,
            world_size=comm.size,
            timeout=_PATIENCE,
            # NCCL then begins at once, with all ranks, and not at the first exchange of two.
            device_id=device if kind == "cuda" else None,
        )
    except (RuntimeError, ValueError) as e:
        raise LaunchError(f"torch.distributed ({backend}) does not start: {e}; set transport=mpi to do without") from e
    return TorchComm(comm.mpi, device, None, comm.trace, store, windows)
