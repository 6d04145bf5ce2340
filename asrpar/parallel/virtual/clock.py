"""Virtual time: activities that take turns in one process, woken by a discrete-event clock.

An activity is a greenlet; it runs until it waits. The hub, which runs the clock (SimPy), then wakes whoever comes next.
Nothing happens at the same time: what is due at one moment happens in the order in which it was scheduled, so that a
run is the same each time.
"""

import struct
import zlib
from collections import deque
from collections.abc import Callable
from typing import Any

import greenlet
import simpy

from asrpar.errors import TrainingError

# A moment and a rank, as the checksum takes them in.
_MOMENT = struct.Struct("<di")
# Activities that are named when nobody can go on.
SHOWN = 12


class Activity(greenlet.greenlet):
    """Something that runs in virtual time. What it fails with ends the whole run.

    Attributes:
        name: for people.
        rank: the learner that it belongs to.
        track: where its spans are recorded.
        waits_for: what it waits for, for people.
        lost: its learner has died: it never waits again, nor does anything that others could notice.
    """

    def __init__(self, scheduler: "Scheduler", run: Callable[[], None], rank: int, name: str) -> None:
        super().__init__(run, scheduler.hub)
        self.scheduler, self.rank, self.name = scheduler, rank, name
        self.track: Any = None
        self.waits_for = ""
        self.waiting: list[Activity] = []
        self.lost = False
        self.error: BaseException | None = None

    def check(self) -> None:
        """Raise what it was spared to fail with; other failures have ended the run."""
        if self.error is not None:
            raise self.error

    def join(self) -> None:
        """Return once it has ended; raises what `check` raises."""
        if not self.dead:
            self.waiting.append(self.scheduler.current())
            self.scheduler.park(f"the end of {self.name}")
        self.check()

    def ended(self) -> None:
        """Wake who waits for the end."""
        waiting, self.waiting = self.waiting, []
        for other in waiting:
            self.scheduler.wake(other)


class Scheduler:
    """The clock and those who live by it.

    Attributes:
        now: virtual seconds since the beginning.
        checksum: of all that was marked so far: equal for two runs in which the same happened at the same moments.
    """

    def __init__(self) -> None:
        self.clock = simpy.Environment()
        self.hub = greenlet.getcurrent()
        # Those that have not ended, in the order in which they began.
        self.activities: dict[Activity, None] = {}
        self.checksum, self.stopped = 0, False

    @property
    def now(self) -> float:
        """Virtual seconds since the beginning."""
        return self.clock.now

    def at(self, delay: float, call: Callable[[Any], Any]) -> None:
        """Let the hub call ``call(_)`` after ``delay`` seconds; it must not wait for anything."""
        self.clock.timeout(delay).callbacks.append(call)

    def mark(self, rank: int, what: str) -> None:
        """Let the checksum know that ``what`` happens now to learner ``rank``."""
        self.checksum = zlib.crc32(_MOMENT.pack(self.clock.now, rank) + what.encode(), self.checksum)

    def current(self) -> Activity:
        """Who runs now."""
        return greenlet.getcurrent()

    def begin(
        self, run: Callable[[], None], rank: int, name: str, spared: tuple[type[BaseException], ...] = ()
    ) -> Activity:
        """A new activity; it begins as soon as those before it wait.

        Args:
            run: what it does.
            rank, name: see `Activity`.
            spared: with these errors it ends alone, and leaves them to whoever joins or checks it.
        """

        def body(_: object) -> None:
            try:
                run()
            except spared as e:
                activity.error = e
            except greenlet.GreenletExit:
                pass  # killed, or not needed any more
            self.activities.pop(activity, None)
            activity.ended()

        activity = Activity(self, body, rank, name)
        self.activities[activity] = None
        self.wake(activity)
        return activity

    def wake(self, activity: Activity) -> None:
        """Let ``activity`` go on once those before it wait."""
        self.clock.timeout(0).callbacks.append(activity.switch)

    def end(self, activity: Activity) -> None:
        """End another activity where it waits, as a process ends that is killed; called by the hub or an activity."""
        if activity not in self.activities:
            return
        del self.activities[activity]
        activity.lost = True
        # It comes back here when it is out; whoever wakes it later on must not land here.
        activity.parent = greenlet.getcurrent()
        activity.throw()
        activity.parent = self.hub
        activity.ended()

    def end_all(self, rank: int) -> None:
        """End all activities of a learner but the one that calls."""
        here = greenlet.getcurrent()
        for activity in [a for a in self.activities if a.rank == rank and a is not here]:
            self.end(activity)

    def lives(self, rank: int) -> bool:
        """Whether any activity of a learner has not ended."""
        return any(activity.rank == rank for activity in self.activities)

    def park(self, what: str) -> None:
        """Wait until somebody wakes this activity; ``what`` for, for people."""
        self._wait(what)

    def sleep(self, seconds: float) -> None:
        """Let virtual time pass."""
        current = greenlet.getcurrent()
        if not current.lost:
            self.clock.timeout(seconds).callbacks.append(current.switch)
        self._wait("time to pass")

    def _wait(self, what: str) -> None:
        current = greenlet.getcurrent()
        if current.lost:
            raise greenlet.GreenletExit
        current.waits_for = what
        self.hub.switch()

    def stop(self) -> None:
        """Let `run` return as soon as the caller waits; whoever has not ended then never goes on."""
        self.stopped = True

        def end(_: object) -> None:
            raise simpy.core.StopSimulation(None)

        self.at(0, end)

    def run(self) -> None:
        """Until all activities have ended, or one of them has called `stop`.

        Raises:
            TrainingError: none of them can go on. Else what one of them failed with.
        """
        try:
            self.clock.run()
            stuck = list(self.activities)
            if self.stopped:
                for activity in stuck:
                    activity.throw()
            elif stuck:
                told = [f"rank {a.rank} ({a.name}) for {a.waits_for}" for a in stuck[:SHOWN]]
                more = " and others" if len(stuck) > SHOWN else ""
                raise TrainingError(f"at virtual second {self.now:g} all wait for ever: {', '.join(told)}{more}")
        finally:
            self.activities.clear()


class Event:
    """Wakes an activity."""

    def __init__(self, scheduler: Scheduler) -> None:
        self.scheduler, self.is_on = scheduler, False
        self.waiting: deque[Activity] = deque()

    def set(self) -> None:
        """Let whoever waits go on, and whoever comes later too, until it is cleared."""
        self.is_on = True
        while self.waiting:
            self.scheduler.wake(self.waiting.popleft())

    def clear(self) -> None:
        """From now on `wait` waits again."""
        self.is_on = False

    def wait(self) -> None:
        """Return once the event is set."""
        if not self.is_on:
            self.waiting.append(self.scheduler.current())
            self.scheduler.park("an event")

    def is_set(self) -> bool:
        """Whether `wait` would return at once."""
        return self.is_on


class Lock:
    """A lock between activities; whoever came first has it first."""

    def __init__(self, scheduler: Scheduler) -> None:
        self.scheduler, self.held = scheduler, False
        self.waiting: deque[Activity] = deque()

    def __enter__(self) -> None:
        if self.held:
            self.waiting.append(self.scheduler.current())
            # It is handed over without being free in between.
            self.scheduler.park("a lock")
        self.held = True

    def __exit__(self, *_: object) -> None:
        if self.waiting:
            self.scheduler.wake(self.waiting.popleft())
        else:
            self.held = False
