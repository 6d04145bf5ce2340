"""The base of transports around another one, which change a few of its methods."""

from abc import abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Self

from torch import Tensor

from asrpar.parallel.comm.base import Activity, Buffer, Comm, Drafts, Event, Message, Outgoing, Pending
from asrpar.parallel.trace import RecordingTrace, Trace

_NOTHING = nullcontext()


class ForwardingComm(Comm):
    """Does what ``inner`` does. Each message goes through `around`.

    Args:
        inner: the transport that does the work.
    """

    def __init__(self, inner: Comm) -> None:
        self.inner = inner
        self.rank, self.size = inner.rank, inner.size

    @abstractmethod
    def wrap(self, inner: Comm) -> Self:
        """The same around a channel or a part of `inner`."""

    def around(self) -> AbstractContextManager:
        """In which each method is called that sends, receives or waits."""
        return _NOTHING

    @property
    def trace(self) -> Trace:
        """That of `inner`."""
        return self.inner.trace

    @trace.setter
    def trace(self, trace: Trace) -> None:
        self.inner.trace = trace

    def allreduce(self, x: Tensor) -> None:
        with self.around():
            self.inner.allreduce(x)

    def allreduce_begin(self, x: Tensor) -> Pending:
        with self.around():
            return ForwardingPending(self.inner.allreduce_begin(x), self)

    def zeros(self, numel: int, like: Tensor) -> Tensor:
        with self.around():
            return self.inner.zeros(numel, like)

    def broadcast(self, x: Tensor, root: int = 0) -> None:
        with self.around():
            self.inner.broadcast(x, root)

    def exchange(self, outgoing: Tensor, incoming: Tensor, peer: int) -> None:
        with self.around():
            self.inner.exchange(outgoing, incoming, peer)

    def alltoall(self, outgoing: Tensor, incoming: Tensor) -> None:
        with self.around():
            self.inner.alltoall(outgoing, incoming)

    def allgather(self, outgoing: Tensor, incoming: Tensor) -> None:
        with self.around():
            self.inner.allgather(outgoing, incoming)

    def allgather_object(self, value: Any) -> list[Any]:
        with self.around():
            return self.inner.allgather_object(value)

    def broadcast_object(self, value: Any, root: int = 0) -> Any:
        with self.around():
            return self.inner.broadcast_object(value, root)

    def barrier(self) -> None:
        with self.around():
            self.inner.barrier()

    def send(self, dest: int, kind: int, numbers: tuple[float, ...] = (), payload: Tensor | None = None) -> None:
        with self.around():
            self.inner.send(dest, kind, numbers, payload)

    def send_all(self, messages: list[Outgoing]) -> Pending:
        with self.around():
            return ForwardingPending(self.inner.send_all(messages), self)

    def receive(self, into: Buffer = None, source: int | None = None) -> Message:
        with self.around():
            return self.inner.receive(into, source)

    def drafts(self, like: Tensor, count: int) -> Drafts:
        with self.around():
            return self.inner.drafts(like, count)

    def shared_vectors(self, like: Tensor, count: int) -> dict[int, list[Tensor]] | None:
        with self.around():
            return self.inner.shared_vectors(like, count)

    def channel(self) -> Self:
        with self.around():
            return self.wrap(self.inner.channel())

    def split(self, color: int | None, name: str = "") -> Self | None:
        with self.around():
            part = self.inner.split(color, name)
            return None if part is None else self.wrap(part)

    def node(self) -> int:
        with self.around():
            return self.inner.node()

    def post(self, value: int) -> None:
        with self.around():
            self.inner.post(value)

    def posted(self) -> list[int]:
        with self.around():
            return self.inner.posted()

    def survivors(self) -> Comm:
        return self.inner.survivors()

    def lost(self) -> list[int]:
        return self.inner.lost()

    def pass_over(self) -> list[int]:
        with self.around():
            return self.inner.pass_over()

    def call_back(self, seats: list[int], brief: Any) -> None:
        self.inner.call_back(seats, brief)

    def newcomers(self) -> list[int]:
        return self.inner.newcomers()

    def grown(self) -> Comm:
        return self.inner.grown()

    def spawn(self, run: Callable[[], None], name: str) -> Activity:
        return self.inner.spawn(run, name)

    def lock(self) -> AbstractContextManager:
        return self.inner.lock()

    def event(self) -> Event:
        return self.inner.event()

    def activity(self) -> str:
        return self.inner.activity()

    def recording(self, events: int) -> RecordingTrace:
        return self.inner.recording(events)

    def clock(self) -> float:
        return self.inner.clock()

    def sleep(self, seconds: float) -> None:
        self.inner.sleep(seconds)

    def close(self) -> None:
        self.inner.close()

    def fail(self, code: int) -> None:
        self.inner.fail(code)

    def abort(self, code: int) -> None:
        self.inner.abort(code)


class ForwardingPending:
    """What is on its way through a `ForwardingComm`."""

    def __init__(self, pending: Pending, comm: ForwardingComm) -> None:
        self.pending, self.comm = pending, comm

    def wait(self) -> None:
        """Return once the operation is complete."""
        with self.comm.around():
            self.pending.wait()
