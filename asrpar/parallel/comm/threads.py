"""Activities as threads of a process."""

import threading
from collections.abc import Callable


class Thread:
    """An `Activity` in a daemon thread: a process that fails does not wait for it."""

    def __init__(self, run: Callable[[], None], name: str) -> None:
        self._error: BaseException | None = None

        def body() -> None:
            try:
                run()
            except BaseException as e:  # handed to whoever joins or checks
                self._error = e

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
