"""Processes that share the work of a stage, and end when whoever started them does, however that ends."""

import multiprocessing
import multiprocessing.util
import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from typing import Any

from asrpar.errors import AsrparError

# Processes for each core that Linux shows us, and processes on any machine, that are started when asked for.
CROWDED, ALWAYS = 4, 16
# Bytes that Linux has for the path of a socket, without the zero at its end; and what Python appends to its folder.
SOCKET, LISTENER = 107, len("/listener-xxxxxxxx")


def check_jobs(jobs: int) -> None:
    """Refuse so many processes that the machine would only change from one to the next. Raises `AsrparError`."""
    if jobs > (most := max(ALWAYS, CROWDED * len(os.sched_getaffinity(0)))):
        raise AsrparError(f"--jobs {jobs}: at most {most} processes at once make sense on this machine")


def jobs_of_part() -> int:
    """Processes of one job of an array: the cores that utils/local.sh and utils/slurm.sh say it has."""
    threads = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]  # a list is one of nested loops
    return int(threads) if threads.isdecimal() and int(threads) else 1


class Workers:
    """Processes that take tasks; use it in a ``with`` block, or call `close`.

    They start when there are tasks for them, and are ended, not waited for, if the block ends with an exception.

    Args:
        jobs: how many.
        method: ``forkserver`` or ``spawn``. A fork of a process with threads may hang.
        preload: modules that the server of forks imports, once.
        begin: called in each, first.

    Raises:
        AsrparError: far more processes than cores.
    """

    def __init__(
        self, jobs: int, method: str, preload: Iterable[str] = (), begin: Callable[[], None] | None = None
    ) -> None:
        check_jobs(jobs)
        context = multiprocessing.get_context(method)
        if preload:
            context.set_forkserver_preload(list(preload))
        self.jobs = jobs
        # The server of forks has its socket in a folder, which nobody removes once this process was killed.
        folder = _folder_of_socket() if method == "forkserver" else ""
        self._pool = ProcessPoolExecutor(jobs, mp_context=context, initializer=_begin, initargs=(begin, folder))

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future:
        """Let one of them call ``function``."""
        # Ctrl-C reaches all processes of a terminal. It is for us to answer, and processes inherit what is blocked.
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        try:
            return self._pool.submit(function, *arguments)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)

    def result(self, future: Future, work: str) -> Any:
        """What a task returned; ``work`` is what it does, for the message.

        Raises:
            AsrparError: a process died. What the task raised comes as it is.
        """
        try:
            return future.result()
        except BrokenProcessPool as e:
            raise AsrparError(
                f"a process for {work} died, most likely for lack of memory: try fewer than {self.jobs} with --jobs"
            ) from e

    def close(self, at_once: bool = False) -> None:
        """End the processes, after the tasks that they have begun or ``at_once``."""
        if at_once:
            # Python 3.14 has a method for it.
            for process in list((getattr(self._pool, "_processes", None) or {}).values()):
                process.terminate()
        self._pool.shutdown(cancel_futures=True)

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.close(at_once=kind is not None)


def _folder_of_socket() -> str:
    """Where the server of forks has its socket, made beforehand. Raises `AsrparError` where a path has no room."""
    folder = multiprocessing.util.get_temp_dir()
    if (over := len(os.fsencode(folder)) + LISTENER - SOCKET) > 0:
        raise AsrparError(
            f"the folder for temporary files, {os.path.dirname(folder)}, has a name that is too long for a socket by "
            f"{over} bytes: set TMPDIR to a shorter one, such as /tmp"
        )
    return folder


def _begin(begin: Callable[[], None] | None, folder: str) -> None:
    threading.Thread(target=_leave_with_parent, args=(folder,), daemon=True).start()
    if begin:
        begin()


def _leave_with_parent(folder: str) -> None:
    wait([multiprocessing.parent_process().sentinel])
    if folder:
        shutil.rmtree(folder, ignore_errors=True)
    os._exit(1)
