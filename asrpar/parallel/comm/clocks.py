"""One origin of time for all ranks, whose clocks need not agree."""

import statistics
import time
from collections.abc import Callable
from pathlib import Path

from asrpar.parallel.comm.base import Comm

ROUNDS = 5


def common_origin(comm: Comm, clock: Callable[[], int] = time.perf_counter_ns) -> int:
    """The moment on this rank's clock, in nanoseconds, at which rank 0 met the others. Collective.

    Ranks of one machine share its clock. Between machines it is estimated from barriers, which all ranks leave at about
    the same time: good to some network latencies.
    """
    stamps = []
    for _ in range(ROUNDS):
        comm.barrier()
        stamps.append(clock())
    machine = _machine()
    their_machine, theirs = comm.broadcast_object((machine, stamps))
    if machine and machine == their_machine:
        return theirs[-1]
    return theirs[-1] + int(statistics.median(a - b for a, b in zip(stamps, theirs, strict=True)))


def _machine() -> str:
    """The same for two processes if and only if they share a kernel; empty if that cannot be told."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")
    except OSError:
        return ""
