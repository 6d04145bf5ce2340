"""What every transport offers."""

import os
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from asrpar.parallel.trace import RecordingTrace, Trace

# Plain numbers that travel with a message.
MAX_NUMBERS = 6


class LearnerLost(Exception):
    """Another learner is gone. What was being done with it did not happen, or only in part."""


@dataclass(frozen=True)
class Invitation:
    """What a learner is told that comes in a lost one's place.

    Attributes:
        seat: the number of that one, among those that the run began with.
        brief: whatever they who have called it want it to know before it meets them.
    """

    seat: int
    brief: Any


@dataclass
class Message:
    """What `Comm.receive` returns.

    Attributes:
        source: the rank that sent it.
        kind: a small integer that tells the receiver what to do with it.
        numbers: plain numbers, such as a version or a count of frames.
        payload: the first elements of the tensor that was given to receive into; None if only numbers were sent. Of
            a sender that used `Comm.drafts`, it may be the sender's own memory: not to be changed.
        on_release: see `release`.
    """

    source: int
    kind: int
    numbers: tuple[float, ...]
    payload: Tensor | None
    on_release: Callable[[], None] | None = None

    def release(self) -> None:
        """The payload has been read, the sender may write there again. For receivers from senders with `drafts`."""
        if self.on_release is not None:
            self.on_release()
            self.on_release = None


class Drafts:
    """Where a sender writes its payloads; this one has a private buffer for one.

    Args:
        like: (P,) of the payloads' size, type and device.
    """

    def __init__(self, like: Tensor) -> None:
        self.own = torch.empty_like(like)

    def next(self) -> Tensor:
        """(P,) a buffer that nobody reads, to write a payload into. The sender may read it until the next call."""
        return self.own


class Pending(Protocol):
    """A message on its way."""

    def wait(self) -> None:
        """Return once the operation is complete."""


class Event(Protocol):
    """Wakes an activity."""

    def set(self) -> None:
        """Let whoever waits go on, and whoever comes later too, until it is cleared."""

    def clear(self) -> None:
        """From now on `wait` waits again."""

    def wait(self) -> None:
        """Return once the event is set."""

    def is_set(self) -> bool:
        """Whether `wait` would return at once."""


class Activity(Protocol):
    """Something that runs beside computing."""

    def check(self) -> None:
        """Raise what the activity failed with, if it did."""

    def join(self) -> None:
        """Return once the activity has ended; raises what it failed with."""


# Destination, kind, numbers and payload of a message, as `Comm.send` takes them.
Outgoing = tuple[int, int, tuple[float, ...], Tensor | None]
# See `Comm.receive`.
Buffer = Tensor | Callable[[int], Tensor] | None


def buffer_for(into: Buffer, source: int, count: int) -> Tensor:
    """(count,) a buffer for the payload of a message of ``source``; `ValueError` if there is less."""
    buffer = into(source) if callable(into) else into
    if buffer is None or buffer.numel() < count:
        raise ValueError(
            f"rank {source} sent {count} numbers, the buffer has room for {0 if buffer is None else len(buffer)}"
        )
    return buffer[:count]


class Comm(ABC):
    """A group of learners.

    Tensors are contiguous. Collectives must be called by all ranks in the same order. A `Comm` belongs to one
    activity; another one uses a `channel`. Only `send` may be called by several at once.

    Attributes:
        rank: this learner, from 0.
        size: number of learners.
        trace: where it is recorded what the time went to.
        invitation: of a learner that is alone and is to come in a lost one's place; None for all others.
        recalls: whether `call_back` brings somebody.
        passes_over: whether `pass_over` can be done.
    """

    rank: int
    size: int
    trace: Trace
    invitation: Invitation | None = None
    recalls: bool = False
    passes_over: bool = False

    @property
    def seat(self) -> int:
        """The number that this learner has for people, and that its files bear, when it begins: its rank; or a lost
        learner's, in whose place it comes."""
        return self.rank if self.invitation is None else self.invitation.seat

    @abstractmethod
    def allreduce(self, x: Tensor) -> None:
        """Replace ``x``, in place, by its sum over all ranks."""

    @abstractmethod
    def allreduce_begin(self, x: Tensor) -> Pending:
        """Begin `allreduce`, to go on while the caller computes; ``x`` must not be touched before ``wait()``.

        Several may be on their way; all ranks must begin them in the same order.
        """

    def zeros(self, numel: int, like: Tensor) -> Tensor:
        """(numel,) zeros of the type and device of ``like``, where `allreduce` is fastest. Collective."""
        return like.new_zeros(numel)

    @abstractmethod
    def broadcast(self, x: Tensor, root: int = 0) -> None:
        """Replace ``x``, in place, by the ``root``'s."""

    @abstractmethod
    def exchange(self, outgoing: Tensor, incoming: Tensor, peer: int) -> None:
        """Send ``outgoing`` to ``peer`` and fill ``incoming`` with what it sends; both sides must call it."""

    @abstractmethod
    def alltoall(self, outgoing: Tensor, incoming: Tensor) -> None:
        """Send row j of ``outgoing`` (N, ...) to rank j; row i of ``incoming`` (N, ...) is what rank i sent.

        Any type may be sent, 16-bit floats too: nothing is added up on the way.
        """

    @abstractmethod
    def allgather(self, outgoing: Tensor, incoming: Tensor) -> None:
        """Fill row i of ``incoming`` (N, ...) with the ``outgoing`` (...) of rank i; any type, as in `alltoall`."""

    @abstractmethod
    def allgather_object(self, value: Any) -> list[Any]:
        """Small Python objects of all ranks, by rank; for control and reports, not for data."""

    @abstractmethod
    def barrier(self) -> None:
        """Return once every rank has arrived."""

    @abstractmethod
    def send(self, dest: int, kind: int, numbers: tuple[float, ...] = (), payload: Tensor | None = None) -> None:
        """Send a message to ``dest``'s `receive`; ``payload`` may be changed once this returns."""

    @abstractmethod
    def send_all(self, messages: list[Outgoing]) -> Pending:
        """Begin to `send` several messages, none of which waits for another's receiver.

        Payloads must not be changed before ``wait()``.
        """

    def drafts(self, like: Tensor, count: int) -> Drafts:
        """Buffers for payloads like ``like`` (P,) that receivers may read in place, where memory is shared. Collective.

        A receiver may keep up to ``count`` of them for a while, until `Message.release`; beyond that they are copied,
        as all others are. Once for each `Comm`.
        """
        return Drafts(like)

    def shared_vectors(self, like: Tensor, count: int) -> dict[int, list[Tensor]] | None:
        """``count`` vectors like ``like`` (P,) of each rank, by rank, which all ranks can read and write; zeros at
        first. None, on all ranks, if there can be none. Collective."""
        return None

    @abstractmethod
    def receive(self, into: Buffer = None, source: int | None = None) -> Message:
        """The next message from ``source``, or from whoever sent one first; waits for it.

        Messages of one sender arrive in the order in which they were sent.

        Args:
            into: (M,) a buffer for the payload, of the sender's type, or what makes it of the sender's rank; None if
                only numbers can come.
            source: a rank; None for any.
        """

    @abstractmethod
    def channel(self) -> "Comm":
        """The same learners with messages of their own, for an activity. Collective."""

    @abstractmethod
    def split(self, color: int | None, name: str = "") -> "Comm | None":
        """The learners of the same ``color``, by their order here; None for those without one. Collective."""

    @abstractmethod
    def node(self) -> int:
        """The number of the machine that this learner runs on, from 0. Collective."""

    @abstractmethod
    def spawn(self, run: Callable[[], None], name: str) -> Activity:
        """Run something beside the caller; it uses a `channel` of its own."""

    @abstractmethod
    def lock(self) -> AbstractContextManager:
        """A new lock between the activities of this learner.

        Whoever holds it waits for no message but one that comes whatever this learner does.
        """

    @abstractmethod
    def event(self) -> Event:
        """A new event between the activities of this learner."""

    @abstractmethod
    def post(self, value: int) -> None:
        """Pin ``value`` to the notice board that all learners can read; returns at once."""

    @abstractmethod
    def posted(self) -> list[int]:
        """What each rank pinned to the board last, by rank, as far as known here; 0 before the first. Never waits."""

    def activity(self) -> str:
        """The name of the activity that asks; the learner's own is ``learner``."""
        thread = threading.current_thread()
        return "learner" if thread is threading.main_thread() else thread.name

    def recording(self, events: int) -> RecordingTrace:
        """A new trace on this transport's clock, with a capacity of so many events; made by the learner itself."""
        return RecordingTrace(events)

    def survivors(self) -> "Comm":
        """The learners that are left after `LearnerLost`. Collective among them; ends what others wait for here."""
        raise LearnerLost("this transport cannot go on without a learner")

    def lost(self) -> list[int]:
        """The ranks that are gone, as far as known here; see `pass_over`."""
        return []

    def pass_over(self) -> list[int]:
        """Go on sending to the others, and receiving from them, though some learners are gone; returns their ranks.

        Until then, receiving from anybody raises `LearnerLost`, and sums and the like do so also from then on. This is
        for one activity with its `channel`; `LearnerLost`, if the transport cannot do it, or others do not go on.
        """
        raise LearnerLost("this transport cannot pass over a learner")

    def call_back(self, seats: list[int], brief: Any) -> None:
        """Begin to start learners in the places of lost ones, beside everything else; by the first rank alone.

        Seats for which somebody is on the way are left out; and all, where learners do not come back.

        Args:
            seats: of the lost ones.
            brief: see `Invitation`.
        """

    def newcomers(self) -> list[int]:
        """Seats whose learners are ready to come in, as the first rank knows; none on other ranks. Never waits.

        Raises:
            TrainingError: somebody could not be started again and again.
        """
        return []

    def grown(self) -> "Comm":
        """These learners, in their order, and after them those that were ready; the same group if nobody was.

        Collective among the old ones and the newcomers, each of whom calls it when it is ready, and waits.
        `LearnerLost`, if one of the old ones is lost meanwhile: on all of them, and then nobody has come.
        """
        return self

    def broadcast_object(self, value: Any, root: int = 0) -> Any:
        """The ``root``'s object, on all ranks."""
        return self.allgather_object(value if self.rank == root else None)[root]

    def close(self) -> None:
        """End what the transport began in this process, after the last message. Collective."""

    def fail(self, code: int) -> None:
        """This rank is about to exit with ``code`` in an error: do not leave the others waiting for it."""

    def abort(self, code: int) -> None:
        """End this process and the job with it, now, whatever its threads are waiting for."""
        os._exit(code)

    def clock(self) -> float:
        """Seconds since some moment; virtual seconds on a virtual transport."""
        return time.perf_counter()

    def sleep(self, seconds: float) -> None:
        """Let ``seconds`` pass."""
        time.sleep(seconds)
