"""Record the order in which things happened in an asynchronous run, and make them happen in that order again.

What a learner's weights become depends on the order in which its activities (computing, communicating, serving) reach
its vectors, and on whose message a receive from anybody takes: all else follows from the data. A recording has these
events of one rank in the order in which they happened; with `Replay` each activity waits for its turn.

Strategies hold to a rule for this: what one activity tells another goes through a lock, an event or a message.
"""

import json
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from torch import Tensor

from asrpar.errors import DataError, TrainingError
from asrpar.files.paths import naming
from asrpar.files.text import read_text
from asrpar.parallel.comm import Comm, Message
from asrpar.parallel.comm.base import Buffer, Event
from asrpar.parallel.comm.forwarding import ForwardingComm
from asrpar.parallel.contract import Learner
from asrpar.parallel.learner import ForwardingLearner

VERSION = 1
NOBODY = -1
# Events after which the learner's (or server's) vectors are others than before.
WRITES = {"lock", "receive"}
COLUMNS = ("activity", "event", "peer", "step", "read", "written")


class Entry(NamedTuple):
    """An event of one rank.

    Attributes:
        activity: whose; the learner's own is ``learner``.
        event: ``gradient`` begins, ``lock`` is taken, ``set``, ``clear`` and (the end of) ``wait`` of an event, and
            ``receive`` of a message from anybody; ``pool``: there are `Comm.shared_vectors`.
        peer: who sent what was received; -1 for other events.
        step: gradients that have begun so far.
        read: version of the vectors when the event happened: how many events wrote them before.
        written: version afterwards.
    """

    activity: str
    event: str
    peer: int
    step: int
    read: int
    written: int


class Recording:
    """Writes the events of one rank.

    Args:
        path: a new file.
        facts: of the run, for its first line.
    """

    def __init__(self, path: Path, facts: dict[str, Any]) -> None:
        self.path, self.step, self.version = path, 0, 0
        self.mutex = threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True)
        with naming(path):
            self.file = path.open("w", encoding="utf-8")
            self.file.write(json.dumps({"version": VERSION, **facts}) + "\n" + "\t".join(COLUMNS) + "\n")

    def turn(self, activity: str, event: str, peer: int = NOBODY, then: Callable[[], None] | None = None) -> None:
        """Write that ``event`` happens; ``then`` makes it happen before any other event can be written."""
        with self.mutex:
            read = self.version
            self.step += event == "gradient"
            self.version += event in WRITES
            row = (activity, event, peer, self.step, read, self.version)
            with naming(self.path):
                self.file.write("\t".join(map(str, row)) + "\n")
            if then is not None:
                then()

    def before(self, activity: str, event: str) -> int | None:
        """A recorded event needs no turn."""
        return None

    def close(self) -> None:
        """Write what is left."""
        with naming(self.path):
            self.file.close()


class Replay:
    """Gives each activity of one rank its turn.

    Args:
        entries: as they were recorded.
        rank: for messages.
        make_event: a new event of the transport.
    """

    def __init__(self, entries: list[Entry], rank: int, make_event: Callable[[], Event]) -> None:
        self.entries, self.rank, self.at = entries, rank, 0
        self.make_event = make_event
        self.waiting: dict[str, Event] = {}

    def before(self, activity: str, event: str) -> int:
        """Wait until ``event`` of ``activity`` is next; the peer that it had.

        Raises:
            TrainingError: something else is next, so this is not the run that was recorded.
        """
        while self.at < len(self.entries) and self.entries[self.at].activity != activity:
            mine = self.waiting[activity] = self.make_event()
            mine.wait()
        if self.at >= len(self.entries) or self.entries[self.at].event != event:
            there = self.entries[self.at].event if self.at < len(self.entries) else "the end"
            raise TrainingError(
                f"rank {self.rank}: '{event}' of {activity} where the recording has '{there}' (event {self.at + 1}): "
                "these are not the settings, the data or the program that were recorded"
            )
        entry = self.entries[self.at]
        self.at += 1
        return entry.peer

    def turn(self, activity: str, event: str, peer: int = NOBODY, then: Callable[[], None] | None = None) -> None:
        """The event happened; let the next one's activity go on."""
        if then is not None:
            then()
        if self.at < len(self.entries):
            waiting = self.waiting.pop(self.entries[self.at].activity, None)
            if waiting is not None:
                waiting.set()

    def close(self) -> None:
        """`TrainingError` if not all that was recorded has happened."""
        if self.at < len(self.entries):
            raise TrainingError(
                f"rank {self.rank}: the run ended after {self.at} of {len(self.entries)} recorded events"
            )


def read_recording(path: Path) -> tuple[dict[str, Any], list[Entry]]:
    """The facts and the events of one rank; `DataError` names a file or line that is not a recording's."""
    lines = read_text(path).splitlines()
    try:
        facts = json.loads(lines[0])
        if facts["version"] != VERSION or tuple(lines[1].split("\t")) != COLUMNS:
            raise ValueError
    except (ValueError, KeyError, IndexError, TypeError) as e:
        raise DataError(f"{path} is not a recording of version {VERSION}") from e
    entries = []
    for number, line in enumerate(lines[2:], 3):
        try:
            activity, event, *numbers = line.split("\t")
            entries.append(Entry(activity, event, *map(int, numbers)))
        except (ValueError, TypeError) as e:
            raise DataError(f"{path}:{number}: not an event; the run that wrote it was killed") from e
    return facts, entries


class WitnessedLearner(ForwardingLearner):
    """A learner whose gradients are events."""

    def __init__(self, inner: Learner, comm: Comm, witness: Recording | Replay) -> None:
        super().__init__(inner)
        self.comm, self.witness = comm, witness

    def gradient(self, batch: Any | None) -> float:
        activity = self.comm.activity()
        self.witness.before(activity, "gradient")
        self.witness.turn(activity, "gradient")
        return super().gradient(batch)


class WitnessedLock:
    """A lock whose taking is an event."""

    def __init__(self, lock: Any, comm: Comm, witness: Recording | Replay) -> None:
        self.lock, self.comm, self.witness = lock, comm, witness

    def __enter__(self) -> None:
        activity = self.comm.activity()
        self.witness.before(activity, "lock")
        self.lock.__enter__()
        self.witness.turn(activity, "lock")

    def __exit__(self, kind: type | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.lock.__exit__(kind, value, trace)


class WitnessedEvent:
    """An event between activities, each use of which is one for the recording."""

    def __init__(self, event: Event, comm: Comm, witness: Recording | Replay) -> None:
        self.event, self.comm, self.witness = event, comm, witness

    def set(self) -> None:
        """`Event.set`."""
        activity = self.comm.activity()
        self.witness.before(activity, "set")
        self.witness.turn(activity, "set", then=self.event.set)

    def clear(self) -> None:
        """`Event.clear`."""
        activity = self.comm.activity()
        self.witness.before(activity, "clear")
        self.witness.turn(activity, "clear", then=self.event.clear)

    def wait(self) -> None:
        """`Event.wait`; its end is what is recorded."""
        activity = self.comm.activity()
        self.witness.before(activity, "wait")
        self.event.wait()
        self.witness.turn(activity, "wait")

    def is_set(self) -> bool:
        """`Event.is_set`."""
        return self.event.is_set()


class WitnessedComm(ForwardingComm):
    """A transport whose locks, events and receives from anybody are witnessed."""

    def __init__(self, inner: Comm, witness: Recording | Replay) -> None:
        super().__init__(inner)
        self.witness = witness

    def wrap(self, inner: Comm) -> "WitnessedComm":
        return WitnessedComm(inner, self.witness)

    def lock(self) -> WitnessedLock:
        return WitnessedLock(self.inner.lock(), self.inner, self.witness)

    def event(self) -> WitnessedEvent:
        return WitnessedEvent(self.inner.event(), self.inner, self.witness)

    def receive(self, into: Buffer = None, source: int | None = None) -> Message:
        """In a replay from whom it was in the recording."""
        if source is not None:
            return super().receive(into, source)
        activity = self.activity()
        message = super().receive(into, self.witness.before(activity, "receive"))
        self.witness.turn(activity, "receive", message.source)
        return message

    def shared_vectors(self, like: Tensor, count: int) -> dict[int, list[Tensor]] | None:
        """That there are some, is an event."""
        vectors = super().shared_vectors(like, count)
        if vectors is not None:
            activity = self.activity()
            self.witness.before(activity, "pool")
            self.witness.turn(activity, "pool")
        return vectors


def witnessed(learner: Learner, comm: Comm, witness: Recording | Replay) -> tuple[Learner, Comm]:
    """The learner and the transport that a strategy is to be given."""
    return WitnessedLearner(learner, comm, witness), WitnessedComm(comm, witness)
