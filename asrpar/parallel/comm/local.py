"""The transport of a learner that is alone."""

import threading
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from torch import Tensor

from asrpar.parallel.comm.base import Buffer, Comm, Message, Outgoing, buffer_for
from asrpar.parallel.comm.threads import Thread
from asrpar.parallel.trace import Trace


class Done:
    """An operation that was complete when it began."""

    def wait(self) -> None:
        """Nothing to wait for."""


class LocalComm(Comm):
    """One learner: collectives leave their argument as it is; it can send messages to itself."""

    rank = 0
    size = 1

    def __init__(self, trace: Trace | None = None) -> None:
        self.trace = trace or Trace()
        self._messages: deque[Message] = deque()
        self._arrived = threading.Condition()
        self._posted = 0

    def allreduce(self, x: Tensor) -> None:
        """The sum over one learner."""

    def allreduce_begin(self, x: Tensor) -> Done:
        return Done()

    def broadcast(self, x: Tensor, root: int = 0) -> None:
        """Nothing to do."""

    def exchange(self, outgoing: Tensor, incoming: Tensor, peer: int) -> None:
        """A learner that is alone can only exchange with itself."""
        incoming.copy_(outgoing)

    def alltoall(self, outgoing: Tensor, incoming: Tensor) -> None:
        incoming.copy_(outgoing)

    def allgather(self, outgoing: Tensor, incoming: Tensor) -> None:
        incoming.copy_(outgoing[None])

    def allgather_object(self, value: Any) -> list[Any]:
        return [value]

    def barrier(self) -> None:
        """Nothing to do."""

    def send(self, dest: int, kind: int, numbers: tuple[float, ...] = (), payload: Tensor | None = None) -> None:
        """Put a message into the own box."""
        with self._arrived:
            copy = None if payload is None else payload.detach().clone()
            self._messages.append(Message(0, kind, tuple(map(float, numbers)), copy))
            self._arrived.notify()

    def send_all(self, messages: list[Outgoing]) -> Done:
        for message in messages:
            self.send(*message)
        return Done()

    def receive(self, into: Buffer = None, source: int | None = None) -> Message:
        """The oldest message in the own box."""
        with self._arrived:
            self._arrived.wait_for(lambda: self._messages)
            message = self._messages.popleft()
        if message.payload is not None:
            message.payload = buffer_for(into, 0, message.payload.numel()).copy_(message.payload)
        return message

    def channel(self) -> "LocalComm":
        return LocalComm(self.trace)

    def split(self, color: int | None, name: str = "") -> "LocalComm | None":
        return None if color is None else LocalComm(self.trace)

    def node(self) -> int:
        return 0

    def spawn(self, run: Callable[[], None], name: str) -> Thread:
        return Thread(run, name)

    def lock(self) -> AbstractContextManager:
        return threading.Lock()

    def event(self) -> threading.Event:
        return threading.Event()

    def post(self, value: int) -> None:
        self._posted = value

    def posted(self) -> list[int]:
        return [self._posted]
