"""TensorBoard's file of a run."""

import threading
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

from asrpar.files.paths import naming


class Events:
    """Writes scalars; an `OSError`, as on a full disk, names the folder.

    TensorBoard writes in a thread, and raises what went wrong there at the next call. That the thread ended need not be
    told a second time, by a traceback.

    Args:
        folder: where the file goes.
        purge_step: TensorBoard forgets what another run wrote from here on.
    """

    def __init__(self, folder: Path, purge_step: int | None = None) -> None:
        self.folder, self._tell = folder, threading.excepthook
        threading.excepthook = self._ended
        with naming(folder):
            self._writer = SummaryWriter(str(folder), purge_step=purge_step)

    def add_scalar(self, name: str, value: float, step: int) -> None:
        """One point."""
        with naming(self.folder):
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        """Write what is left."""
        try:
            with naming(self.folder):
                self._writer.close()
        finally:
            threading.excepthook = self._tell

    def _ended(self, what: threading.ExceptHookArgs) -> None:
        if not (isinstance(what.exc_value, OSError) and "tensorboard" in type(what.thread).__module__):
            self._tell(what)
