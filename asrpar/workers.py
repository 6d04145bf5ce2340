"""Processes that share the work of a stage, and end when whoever started them does, however that ends."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing.connection import wait
from typing import Any

from asrpar.errors import AsrparError

# Processes for each core that Linux shows us, and processes on any machine, that are started when asked for.
CROWDED, ALWAYS = 4, 16


def check_jobs(jobs: int) -> None:
    """Refuse so many processes that the machine would only change from one to the next. Raises `AsrparError`."""
    if jobs > (most := max(ALWAYS, CROWDED * len(os.sched_getaffinity(0)))):
        raise AsrparError(f"--jobs {jobs}: at most {most} processes at once make sense on this machine")


@contextmanager
def workers(
    jobs: int, method: str, preload: Iterable[str] = (), begin: Callable[[], None] | None = None
) -> Iterator["Workers"]:
    """``jobs`` processes; ended, not waited for, if the block ends with an exception.

    Args:
        jobs: how many.
        method: ``forkserver`` or ``spawn``. A fork of a process with threads may hang.
        preload: modules that the server of forks imports, once.
        begin: called in each, first.

    Raises:
        AsrparError: far more processes than cores.
    """
    check_jobs(jobs)
    context = multiprocessing.get_context(method)
    if preload:
        context.set_forkserver_preload(list(preload))
    pool = ProcessPoolExecutor(jobs, mp_context=context, initializer=_begin, initargs=(begin,))
    try:
        yield Workers(pool)
    except BaseException:
        # Python 3.14 has a method for it.
        for process in list((getattr(pool, "_processes", None) or {}).values()):
            process.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


class Workers:
    """Processes that take tasks."""

    def __init__(self, pool: ProcessPoolExecutor) -> None:
        self._pool = pool

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future:
        """Let one of them call ``function``."""
        # Ctrl-C reaches all processes of a terminal. It is for us to answer, and processes inherit what is blocked.
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        try:
            return self._pool.submit(function, *arguments)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


def _begin(begin: Callable[[], None] | None) -> None:
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    if begin:
        begin()


def _leave_with_parent() -> None:
    wait([multiprocessing.parent_process().sentinel])
    os._exit(1)
