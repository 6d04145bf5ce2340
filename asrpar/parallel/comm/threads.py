"""Activities as threads of a process, and what ends a run when one of them fails."""

import signal
import threading
import traceback
from collections.abc import Callable
from types import FrameType, TracebackType

from asrpar.errors import AsrparError
from asrpar.launch.rank import say
from asrpar.parallel.comm.base import Comm, LearnerLost

# Wakes the main thread; the system ignores it where nobody has asked for it.
CALL = signal.SIGURG
# Seconds that the main thread has to take up an error: a call of MPI's, or a thread that it waits for, may not return.
GRACE = 3.0


class FailuresEndTheRun:
    """A block in the main thread that any failing activity ends, with its error.

    The learner may be waiting for what that activity would have sent, and other learners for the learner. So the error
    is raised in the main thread, wherever that is; and if the block has not ended soon after, ``end`` is called in the
    activity's thread. `LearnerLost` is no failure: where others can go on, the learner hears of it by itself.

    Args:
        end: reports an error and ends the process, and the job with it.
    """

    current: "FailuresEndTheRun | None" = None

    def __init__(self, end: Callable[[BaseException], None]) -> None:
        self.end, self.error = end, None
        self._over, self._first = threading.Event(), threading.Lock()

    def __enter__(self) -> "FailuresEndTheRun":
        self._before, self._outer = signal.signal(CALL, self._raise), FailuresEndTheRun.current
        FailuresEndTheRun.current = self
        return self

    def __exit__(self, kind: type | None, value: BaseException | None, trace: TracebackType | None) -> None:
        FailuresEndTheRun.current = self._outer
        signal.signal(CALL, self._before)
        self._over.set()
        if self.error is not None and value is None:
            raise self.error

    def failed(self, error: BaseException) -> None:
        """Called in the thread of an activity, with what it failed with."""
        if isinstance(error, LearnerLost) or not self._first.acquire(blocking=False):
            return
        self.error = error
        signal.pthread_kill(threading.main_thread().ident, CALL)
        if not self._over.wait(GRACE):
            self.end(error)

    def _raise(self, number: int, frame: FrameType | None) -> None:
        if self.error is not None:
            raise self.error


def end_job(comm: Comm, error: BaseException) -> None:
    """Report an error, of a user in one line, and end the job, whatever the learners are waiting for."""
    if isinstance(error, (AsrparError, OSError)):
        text = "asrpar: error: " + " ".join(str(error).split())
    else:
        text = "".join(traceback.format_exception(error))
    say(text.rstrip("\n"))
    comm.abort(1)


class Thread:
    """An `Activity` in a daemon thread: a process that fails does not wait for it."""

    def __init__(self, run: Callable[[], None], name: str) -> None:
        self._error: BaseException | None = None

        def body() -> None:
            try:
                run()
            except BaseException as e:  # also handed to whoever joins or checks
                self._error = e
                if FailuresEndTheRun.current is not None:
                    FailuresEndTheRun.current.failed(e)

        self._thread = threading.Thread(target=body, name=name, daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raise what the activity failed with, if it did."""
        if self._error is not None:
            raise self._error

    def join(self) -> None:
        """Wait for the end; raise what the activity failed with."""
        self._thread.join()
        self.check()
