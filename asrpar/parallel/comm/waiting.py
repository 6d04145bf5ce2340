"""Waiting for MPI: for what a request, a message or a thread is about to bring, without burning somebody's core."""

import time
from collections.abc import Callable
from concurrent.futures import Future

from asrpar.parallel.comm.base import Comm
from asrpar.parallel.comm.lending import Bell

# Seconds between two looks at a request: a blocking MPI call would burn the core that somebody computes on.
_SHORTEST, _LONGEST = 50e-6, 1e-3
# The same where somebody rings. At the first look MPI takes in what has come, and at the second one finds it; after
# that, only a message that is behind its bell could be missed.
_WITH_BELL = (0.0, 0.1)
# Where only the learner itself waits: seconds before the first sleep.
_EAGER = 200e-6


def poll(done: Callable[[], bool]) -> None:
    """Return once ``done()`` is true; looks often at first, then each millisecond."""
    pause = _SHORTEST
    while not done():
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST)


def poll_with_bell(done: Callable[[], bool], bell: Bell) -> None:
    """Return once ``done()`` is true; looks again when somebody has rung, and now and then."""
    pause = 0
    while not done():
        pause = 0 if bell.wait(_WITH_BELL[pause]) else 1


def poll_eagerly(done: Callable[[], bool]) -> None:
    """Return once ``done()`` is true. Short waits cost no sleep, long ones leave the core to a learner that is late."""
    begin = time.perf_counter()
    while not done():
        waited = time.perf_counter() - begin
        if waited > _EAGER:
            time.sleep(min(waited / 8, _LONGEST))


class Background:
    """A collective that a thread is seeing through."""

    def __init__(self, future: Future, comm: Comm, size: int) -> None:
        self._future, self._comm, self._bytes = future, comm, size

    def wait(self) -> None:
        """Return once it is complete."""
        with self._comm.trace.span("wait", bytes=self._bytes):
            self._future.result()


class Sending:
    """Messages on their way."""

    def __init__(self, comm: Comm, wait_all: Callable[[], None]) -> None:
        self._comm, self._wait_all = comm, wait_all

    def wait(self) -> None:
        """Return once they are complete."""
        with self._comm.trace.span("wait"):
            self._wait_all()
