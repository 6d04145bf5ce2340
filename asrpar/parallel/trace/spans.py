"""What the time of a learner went to."""

import functools
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

T = TypeVar("T")

_NOTHING = nullcontext()
# Whole values of a count from here on share the last class of its histogram.
LAST_CLASS = 64


class Trace:
    """Records spans of time and counts; this one forgets everything.

    Spans are named by what they are: ``compute`` (gradient), ``apply`` (local optimizer), ``data`` (waiting for a
    batch), and for messages the operation, such as ``allreduce``; ``wait`` is waiting for somebody to send one.
    Activities record into the same trace as the learner that they belong to; what they do is hidden behind its
    computing.
    """

    def span(self, name: str, **arguments: float) -> AbstractContextManager[None]:
        """Time what is done inside; ``arguments`` such as peer, bytes and staleness go with it.

        ``sent`` are the bytes that this rank sends, for a collective as in its bandwidth-optimal form.
        """
        return _NOTHING

    def count(self, name: str, value: float) -> None:
        """Record one value of a quantity, such as ``staleness``."""


def timed(name: str) -> Callable[[Callable[..., T]], Callable[..., T]]:
    """Let a method of an object with a ``trace`` be a span ``name`` of it."""

    def wrap(method: Callable[..., T]) -> Callable[..., T]:
        @functools.wraps(method)
        def inside(self: Any, *arguments: Any, **more: Any) -> T:
            with self.trace.span(name):
                return method(self, *arguments, **more)

        return inside

    return wrap


class Count:
    """The values of one quantity.

    Attributes:
        number, total, greatest, last: of all values.
        histogram: number of values by whole value, the last class open; values that are not whole are left out.
    """

    __slots__ = ("greatest", "histogram", "last", "number", "total")

    def __init__(self) -> None:
        self.number, self.total, self.greatest, self.last = 0, 0.0, float("-inf"), 0.0
        self.histogram: dict[int, int] = {}

    def add(self, value: float) -> None:
        """One more value."""
        self.number += 1
        self.total += value
        self.greatest = max(self.greatest, value)
        self.last = value
        if value == value // 1:
            at = min(max(int(value), 0), LAST_CLASS)
            self.histogram[at] = self.histogram.get(at, 0) + 1


class Track:
    """What one thread has recorded; only that thread writes here.

    Attributes:
        number: 0 for the learner itself.
        name: of the activity.
        thread: that is it now; another of this name may follow it.
        open: the innermost span that has begun and not ended.
        totals: by name of span: how many, nanoseconds without the spans inside, bytes sent.
        counts: by name.
        events: finished spans (name, begin, nanoseconds, arguments) and counts (name, moment, -1, value), not yet
            written.
    """

    __slots__ = ("counts", "events", "name", "number", "open", "thread", "totals")

    def __init__(self, number: int, name: str) -> None:
        self.number, self.name = number, name
        self.thread = threading.current_thread()
        self.open: Span | None = None
        self.totals: dict[str, list[int]] = {}
        self.counts: dict[str, Count] = {}
        self.events: list[tuple[str, int, int, Any]] = []


class Span:
    """A span of a `RecordingTrace`, from ``with`` to the end of its block."""

    __slots__ = ("arguments", "begin", "inner", "name", "parent", "trace", "track")

    def __init__(self, trace: "RecordingTrace", name: str, arguments: dict[str, float]) -> None:
        self.trace, self.name, self.arguments = trace, name, arguments

    def __enter__(self) -> None:
        self.track = track = self.trace.track()
        self.parent = track.open
        self.inner = 0
        track.open = self
        self.begin = self.trace.clock()

    def __exit__(self, *_: object) -> None:
        trace, track, name = self.trace, self.track, self.name
        nanoseconds = trace.clock() - self.begin
        track.open = parent = self.parent
        if parent is not None:
            parent.inner += nanoseconds
        total = track.totals.get(name)
        if total is None:
            total = track.totals[name] = [0, 0, 0]
        total[0] += 1
        total[1] += nanoseconds - self.inner
        if "sent" in self.arguments:
            total[2] += self.arguments["sent"]
        if trace.capacity > 0:
            trace.capacity -= 1
            track.events.append((name, self.begin, nanoseconds, self.arguments))


class RecordingTrace(Trace):
    """Keeps totals, and single events as well, up to a certain number of them.

    Made in the learner's thread; whatever other threads record is hidden communication. A span with another one inside
    counts only for its own time, so that the times of a thread never add up to more than its time.

    Args:
        events: greatest number of events; 0 keeps totals only.
        clock: nanoseconds.

    Attributes:
        learner: the track of the learner's own thread.
        tracks: of all threads that have recorded something.
        capacity: for so many more events.
    """

    def __init__(self, events: int = 0, clock: Callable[[], int] = time.perf_counter_ns) -> None:
        self.capacity = events
        self.clock = clock
        self.tracks: list[Track] = []
        self._here = threading.local()
        self._new = threading.Lock()
        self.learner = self.track()

    def track(self) -> Track:
        """The track of whoever asks; a transport whose activities are no threads has to say here who that is."""
        try:
            return self._here.track
        except AttributeError:
            thread = threading.current_thread()
            with self._new:
                name = thread.name if self.tracks else "learner"
                # An activity that begins anew in each epoch stays in one row of the viewer.
                track = next((t for t in self.tracks if t.name == name and not t.thread.is_alive()), None)
                if track is None:
                    track = Track(len(self.tracks), name)
                    self.tracks.append(track)
                track.thread, track.open = thread, None
            self._here.track = track
            return track

    def span(self, name: str, **arguments: float) -> Span:
        return Span(self, name, arguments)

    def count(self, name: str, value: float) -> None:
        track = self.track()
        found = track.counts.get(name)
        if found is None:
            found = track.counts[name] = Count()
        found.add(value)
        if self.capacity > 0:
            self.capacity -= 1
            track.events.append((name, self.clock(), -1, value))

    def totals(self) -> dict[str, list[float]]:
        """[number, seconds, bytes sent] of all spans that have ended, by ``learner/NAME`` and ``hidden/NAME``."""
        found: dict[str, list[float]] = {}
        for track in list(self.tracks):
            where = "hidden" if track.number else "learner"
            for name, (number, nanoseconds, size) in list(track.totals.items()):
                total = found.setdefault(f"{where}/{name}", [0, 0.0, 0])
                total[0] += number
                total[1] += nanoseconds * 1e-9
                total[2] += size
        return found

    def counts(self) -> dict[str, list[Count]]:
        """The values of each quantity, one `Count` for each thread that recorded it."""
        found: dict[str, list[Count]] = {}
        for track in list(self.tracks):
            for name, count in list(track.counts.items()):
                found.setdefault(name, []).append(count)
        return found

    def doing(self) -> str:
        """Name of the span that the learner is in; empty between spans. May be asked from any thread."""
        span = self.learner.open
        return span.name if span is not None else ""
