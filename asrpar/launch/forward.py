"""Pass the signals that ask for an end on to a job of MPI ranks, in a form that lets them end in good order."""

import signal
import subprocess
import threading
import time
from collections.abc import Callable
from types import FrameType

from asrpar.launch.around import Around
from asrpar.launch.watcher import ABANDONED

# Who asks: a scheduler, Ctrl-C, a terminal that is gone, Ctrl-\\, somebody who hopes for the best.
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR2)
# Seconds within which another signal is the same wish: `timeout` and schedulers send it to a process, and to its group.
SAME_WISH = 2.0


class Forwarding:
    """Signals to this process become signals to the job, for as long as the job runs.

    The first one asks the ranks to save and stop. All but SIGUSR1 give them ``grace`` seconds for it, and come a second
    time, more than `SAME_WISH` seconds later, end them at once.
    """

    def __init__(self, process: subprocess.Popen, grace: float) -> None:
        self.process, self.grace = process, grace
        self.deadline: float | None = None
        self.received: int | None = None  # the first signal
        self.forced = False  # the job did not end in good order
        self.previous: dict[int, Callable | int | None] = {}
        self._sent = self._urged = float("-inf")
        self._around = Around()

    def __enter__(self) -> "Forwarding":
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                # What nohup has switched off stays so.
                if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                    self.previous[number] = signal.signal(number, self._forward)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self.previous.items():
            signal.signal(number, handler)
        self._around.close()

    def _forward(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        self.received = self.received or number
        if number != signal.SIGUSR1 and self.deadline is None:
            self.deadline, self._urged = now + self.grace, now
        elif number != signal.SIGUSR1 and now - self._urged > SAME_WISH:
            self.end()
            return
        if now - self._sent > SAME_WISH:
            self._sent = now
            self.process.send_signal(signal.SIGUSR1)

    def end(self) -> None:
        """The job's time is up."""
        self.deadline = time.monotonic()

    def enforce(self) -> None:
        """End the job when its time is up: SIGTERM, which mpirun hands on, then SIGKILL."""
        if not self.received and self._around.gone():
            self.grace = min(self.grace, ABANDONED)
            self._forward(signal.SIGHUP, None)
        if self.deadline is None or time.monotonic() < self.deadline:
            return
        self.forced = True
        late = time.monotonic() - self.deadline
        if late > 10:
            self.process.kill()
        else:
            self.process.terminate()
            time.sleep(0.5)
