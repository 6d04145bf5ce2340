"""MPI through mpi4py, in host memory."""

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch
from mpi4py import MPI
from torch import Tensor

from asrpar.errors import LaunchError
from asrpar.parallel.comm.base import MAX_NUMBERS, Buffer, Comm, Drafts, Message, Outgoing, buffer_for
from asrpar.parallel.comm.lending import Bell, LentDrafts, rounded, vectors
from asrpar.parallel.comm.shared import SMALLEST, SharedMemory, Window
from asrpar.parallel.comm.staging import Staging
from asrpar.parallel.comm.threads import Thread
from asrpar.parallel.comm.waiting import Background, Sending, poll, poll_eagerly, poll_with_bell
from asrpar.parallel.trace import Trace

# MPI adds these up. It has no bfloat16: Open MPI adds such buffers as bytes, without an error.
_ADDED = {torch.float32, torch.float64, torch.int32, torch.int64, torch.uint8}
# What is only carried may be any type; these travel as integers of their size.
_CARRIED_AS = {torch.float16: torch.int16, torch.bfloat16: torch.int16}
_HEADER, _PAYLOAD = 1, 2


class MpiComm(Comm):
    """Learners are the ranks of an MPI communicator; GPU tensors travel through pinned host memory.

    Sums within a node are made in shared memory, unless the environment has ASRPAR_SHARED_MEMORY=0 on any rank.

    Args:
        comm: duplicated, so that our messages never meet anybody else's; COMM_WORLD by default.
        trace: of this learner.
        polling: wait without burning the core, for activities beside computing.
        share_memory: whether to, where ranks can.
    """

    def __init__(
        self,
        comm: MPI.Comm | None = None,
        trace: Trace | None = None,
        *,
        polling: bool = False,
        share_memory: bool = True,
    ) -> None:
        if MPI.Query_thread() < MPI.THREAD_MULTIPLE:
            raise LaunchError(
                "this MPI library was started without MPI_THREAD_MULTIPLE, which communication beside computing needs: "
                "build it with thread support, and unset MPI4PY_RC_THREAD_LEVEL"
            )
        origin = comm or MPI.COMM_WORLD
        self.mpi = origin.Dup()
        self.rank = self.mpi.Get_rank()
        self.size = self.mpi.Get_size()
        self.trace = trace or Trace()
        self._polling = polling
        self.staging = Staging()
        self._header = np.zeros(2 + MAX_NUMBERS)
        self._board: MPI.Comm | None = None
        self._background: MPI.Comm | None = None
        self._notes = [0] * self.size
        self._sent: list[MPI.Request] = []
        self._worker: ThreadPoolExecutor | None = None
        self._share_memory = share_memory and os.environ.get("ASRPAR_SHARED_MEMORY", "1") != "0"
        self._windows: list[Window] = []
        self._shared: dict[bool, SharedMemory] = {}
        self._bell: Bell | None = None
        self._drafts: LentDrafts | None = None
        if not polling:
            # All of the one: if it is revoked, nobody waits in any of these.
            self._board = origin.Dup()
            self._background = origin.Dup()

    def allreduce(self, x: Tensor) -> None:
        self._check(x, _ADDED)
        host = self.staging.outgoing(x)
        with self.trace.span("allreduce", bytes=x.nbytes, sent=self._share(2 * x.nbytes)):
            self._add_up(host)
        self.staging.arrived(host, x)

    def allreduce_begin(self, x: Tensor) -> Background:
        """Begin a sum over all ranks in a thread, on a communicator of its own."""
        self._check(x, _ADDED)
        if self._worker is None:
            self._worker = ThreadPoolExecutor(1, "allreduce")

        since = self.staging.moment(x)

        def run() -> None:
            host = self.staging.outgoing(x, since)
            with self.trace.span("allreduce", bytes=x.nbytes, sent=self._share(2 * x.nbytes)):
                self._add_up(host, background=True)
            self.staging.arrived(host, x, since)

        return Background(self._worker.submit(run), self, x.nbytes)

    def broadcast(self, x: Tensor, root: int = 0) -> None:
        sends = self.rank == root
        host = self.staging.outgoing(x) if sends else self.staging.incoming(x)
        with self.trace.span("broadcast", bytes=x.nbytes, sent=self._share(x.nbytes)):
            self._finish(self.mpi.Ibcast if self._polling else self.mpi.Bcast, _carried(host), root)
        if not sends:
            self.staging.arrived(host, x)

    def exchange(self, outgoing: Tensor, incoming: Tensor, peer: int) -> None:
        received = self.staging.incoming(incoming)
        with self.trace.span("exchange", peer=peer, bytes=outgoing.nbytes, sent=outgoing.nbytes):
            requests = [
                self.mpi.Irecv(_carried(received), peer, _PAYLOAD),
                self.mpi.Isend(_carried(self.staging.outgoing(outgoing)), peer, _PAYLOAD),
            ]
            self._wait_all(requests)
        self.staging.arrived(received, incoming)

    def alltoall(self, outgoing: Tensor, incoming: Tensor) -> None:
        received = self.staging.incoming(incoming)
        with self.trace.span("alltoall", bytes=outgoing.nbytes, sent=self._share(outgoing.nbytes)):
            call = self.mpi.Ialltoall if self._polling else self.mpi.Alltoall
            self._finish(call, _carried(self.staging.outgoing(outgoing)), _carried(received))
        self.staging.arrived(received, incoming)

    def allgather(self, outgoing: Tensor, incoming: Tensor) -> None:
        received = self.staging.incoming(incoming)
        with self.trace.span("allgather", bytes=incoming.nbytes, sent=self._share(incoming.nbytes)):
            call = self.mpi.Iallgather if self._polling else self.mpi.Allgather
            self._finish(call, _carried(self.staging.outgoing(outgoing)), _carried(received))
        self.staging.arrived(received, incoming)

    def allgather_object(self, value: Any) -> list[Any]:
        with self.trace.span("allgather_object"):
            return self.mpi.allgather(value)

    def barrier(self) -> None:
        with self.trace.span("barrier"):
            self._finish(self.mpi.Ibarrier if self._polling else self.mpi.Barrier)

    def send(self, dest: int, kind: int, numbers: tuple[float, ...] = (), payload: Tensor | None = None) -> None:
        """A header, and the payload if there is one."""
        requests = self._begin_send(dest, kind, numbers, payload)
        with self._send_span(dest, payload):
            self._wait_all(requests)

    def send_all(self, messages: list[Outgoing]) -> "Sending":
        """All are on their way at once."""
        requests = []
        for slot, (dest, kind, numbers, payload) in enumerate(messages):
            with self._send_span(dest, payload):
                requests += self._begin_send(dest, kind, numbers, payload, slot)
        return Sending(self, lambda: self._wait_all(requests))

    def _send_span(self, dest: int, payload: Tensor | None) -> AbstractContextManager[None]:
        size = 0 if payload is None else payload.nbytes
        sent = size + self._header.nbytes if dest != self.rank else 0
        return self.trace.span("send", peer=dest, bytes=size, sent=sent)

    def _begin_send(
        self, dest: int, kind: int, numbers: tuple[float, ...], payload: Tensor | None, slot: int = 0
    ) -> list[MPI.Request]:
        header = np.zeros(2 + MAX_NUMBERS)
        header[0], header[1] = kind, 0 if payload is None else payload.numel()
        header[2 : 2 + len(numbers)] = numbers
        lent = None if payload is None or self._drafts is None else self._drafts.lend(payload, dest)
        if lent is not None:
            header[1] = -1 - lent
        requests = [self.mpi.Isend(header, dest, _HEADER)]
        if payload is not None and payload.numel() and lent is None:
            requests.append(self.mpi.Isend(_carried(self.staging.outgoing(payload, slot=slot)), dest, _PAYLOAD))
        if self._bell:
            self._bell.ring(dest)
        return requests

    def receive(self, into: Buffer = None, source: int | None = None) -> Message:
        """The next header, and the payload that follows it from the same rank."""
        origin = MPI.ANY_SOURCE if source is None else source
        status = MPI.Status()
        with self.trace.span("wait"):
            if self._bell:
                poll_with_bell(lambda: self.mpi.Iprobe(origin, _HEADER), self._bell)
            elif self._polling:
                poll(lambda: self.mpi.Iprobe(origin, _HEADER))
            self.mpi.Recv(self._header, origin, _HEADER, status)
        sender, count = status.Get_source(), int(self._header[1])
        kind, numbers = int(self._header[0]), tuple(self._header[2:].tolist())
        if not count:
            return Message(sender, kind, numbers, None)
        if count < 0:
            return Message(sender, kind, numbers, *self._drafts.borrow(sender, -1 - count))
        buffer = buffer_for(into, sender, count)
        host = self.staging.incoming(buffer)
        with self.trace.span("receive", peer=sender, bytes=buffer.nbytes):
            self._wait_all([self.mpi.Irecv(_carried(host), sender, _PAYLOAD)])
        self.staging.arrived(host, buffer)
        return Message(sender, kind, numbers, buffer)

    def zeros(self, numel: int, like: Tensor) -> Tensor:
        """Zeros in shared memory, if they are for the host and memory can be shared."""
        x = None
        if like.device.type == "cpu" and numel * like.itemsize >= SMALLEST:
            x = self._shared_memory().zeros(numel, like.dtype)
        return like.new_zeros(numel) if x is None else x

    def drafts(self, like: Tensor, count: int) -> Drafts:
        """In shared memory, if they are for the host and memory can be shared."""
        rows = {}
        if like.device.type == "cpu" and self.size > 1:
            rows = self._shared_memory().rows(LentDrafts.bytes_needed(like, count))
        self._drafts = LentDrafts(rows, self.rank, like, count) if rows else None
        return self._drafts or Drafts(like)

    def shared_vectors(self, like: Tensor, count: int) -> dict[int, list[Tensor]] | None:
        """In shared memory, for activities of learners that are all on one machine, and on the host."""
        if self._bell is None or like.device.type != "cpu":
            return None
        rows = self._shared_memory().rows(count * rounded(like.nbytes))
        return {rank: vectors(row, like, count) for rank, row in rows.items()} or None

    def channel(self) -> "MpiComm":
        """A duplicate of the communicator, whose waits leave the core to others."""
        comm = MpiComm(self.mpi, self.trace, polling=True, share_memory=self._share_memory)
        comm._windows, comm._bell = self._windows, Bell.between(comm.mpi, self._share_memory)
        return comm

    def split(self, color: int | None, name: str = "") -> "MpiComm | None":
        part = self.mpi.Split(MPI.UNDEFINED if color is None else color, self.rank)
        if part == MPI.COMM_NULL:
            return None
        comm = MpiComm(part, self.trace, share_memory=self._share_memory)
        comm._windows = self._windows
        part.Free()
        return comm

    def node(self) -> int:
        """Machines are numbered by the lowest rank on each."""
        here = self.mpi.Split_type(MPI.COMM_TYPE_SHARED, self.rank)
        lowest = here.bcast(self.rank, 0)
        here.Free()
        return sorted(set(self.mpi.allgather(lowest))).index(lowest)

    def spawn(self, run: Callable[[], None], name: str) -> Thread:
        return Thread(run, name)

    def lock(self) -> AbstractContextManager:
        return threading.Lock()

    def event(self) -> threading.Event:
        return threading.Event()

    def post(self, value: int) -> None:
        """Tell every other rank, without waiting for any."""
        self._notes[self.rank] = value
        self._sent = [r for r in self._sent if not r.Test()]
        note = np.array([value], dtype=np.int64)
        self._sent += [self._board.Isend(note, other) for other in range(self.size) if other != self.rank]

    def posted(self) -> list[int]:
        """Take in the notes that have arrived."""
        status, note = MPI.Status(), np.zeros(1, dtype=np.int64)
        while self._board.Iprobe(MPI.ANY_SOURCE, MPI.ANY_TAG, status):
            self._board.Recv(note, status.Get_source(), status.Get_tag())
            self._notes[status.Get_source()] = int(note[0])
        return list(self._notes)

    def revoke(self) -> None:
        """Let all fail that wait on these communicators, here and elsewhere (ULFM)."""
        for comm in (self.mpi, self._board, self._background):
            if comm is not None and not comm.Is_revoked():
                comm.Revoke()

    def fail(self, code: int) -> None:
        """Let the job end with this process, also where ranks were not started with ``python -m mpi4py``."""
        from mpi4py.run import set_abort_status

        if self.size > 1:
            set_abort_status(code)

    def abort(self, code: int) -> None:
        MPI.COMM_WORLD.Abort(code)

    def _share(self, size: int) -> int:
        """Bytes that each of N ranks sends where ``size`` are in motion and 1/N of them at home already."""
        return size * (self.size - 1) // self.size

    def _add_up(self, host: Tensor, background: bool = False) -> None:
        """Sum over all ranks, in shared memory where that is faster."""
        if host.nbytes >= SMALLEST and self._shared_memory(background).allreduce(host):
            return
        if background:
            poll(self._background.Iallreduce(MPI.IN_PLACE, host.numpy()).Test)
        else:
            self._finish(self.mpi.Iallreduce if self._polling else self.mpi.Allreduce, MPI.IN_PLACE, host.numpy())

    def _shared_memory(self, background: bool = False) -> SharedMemory:
        if background not in self._shared:
            mpi = self._background if background else self.mpi
            wait = poll if background or self._polling else poll_eagerly
            self._shared[background] = SharedMemory(mpi, lambda r: wait(r.Test), self._windows, self._share_memory)
        return self._shared[background]

    def _finish(self, call: Callable[..., Any], *args: Any) -> None:
        request = call(*args)
        if request is not None:
            poll(request.Test)

    def _wait_all(self, requests: list[MPI.Request]) -> None:
        if self._polling:
            poll(lambda: MPI.Request.Testall(requests))
        else:
            MPI.Request.Waitall(requests)

    @staticmethod
    def _check(x: Tensor, types: set[torch.dtype]) -> None:
        if x.dtype not in types:
            raise TypeError(f"MPI cannot add up {x.dtype}; convert to float32 first, or use alltoall and allgather")


def _carried(x: Tensor) -> np.ndarray:
    """The bytes of a tensor as an array that MPI knows the type of."""
    return x.detach().view(_CARRIED_AS.get(x.dtype, x.dtype)).numpy()
