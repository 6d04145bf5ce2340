"""Pass the signals that ask for an end on to a job of MPI ranks, in a form that lets them end in good order."""

import signal
import subprocess
import threading
import time
from collections.abc import Callable
from types import FrameType


class Forwarding:
    """Signals to this process become signals to the job, for as long as the job runs."""

    def __init__(self, process: subprocess.Popen, grace: float) -> None:
        self.process, self.grace = process, grace
        self.deadline: float | None = None
        self.received: int | None = None  # the first signal
        self.previous: dict[int, Callable | int | None] = {}

    def __enter__(self) -> "Forwarding":
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
                self.previous[number] = signal.signal(number, self._forward)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self.previous.items():
            signal.signal(number, handler)

    def _forward(self, number: int, frame: FrameType | None) -> None:
        if number != signal.SIGUSR1 and self.deadline is not None:
            self.end()
            return
        self.received = self.received or number
        self.process.send_signal(signal.SIGUSR1)
        if number != signal.SIGUSR1:
            self.deadline = time.monotonic() + self.grace

    def end(self) -> None:
        """The job's time is up."""
        self.deadline = time.monotonic()

    def enforce(self) -> None:
        """End the job when its time is up: SIGTERM, which mpirun hands on, then SIGKILL."""
        if self.deadline is None or time.monotonic() < self.deadline:
            return
        late = time.monotonic() - self.deadline
        if late > 10:
            self.process.kill()
        else:
            self.process.terminate()
            time.sleep(0.5)
