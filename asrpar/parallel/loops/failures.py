"""An error on one learner ends the whole job, also where the ranks are plain ``python train.py`` processes."""

import sys
import sysconfig
import threading
import traceback
from pathlib import Path
from types import TracebackType

from asrpar.errors import AsrparError
from asrpar.parallel.comm import Comm
from asrpar.parallel.comm.threads import FailuresEndTheRun, end_job


class Failures:
    """From now on an error that nobody handles is reported, one of a user's in one line, and the other ranks end too.

    Args:
        comm: the learners.
    """

    def __init__(self, comm: Comm) -> None:
        self.comm, self.before, self.failed = comm, sys.excepthook, False
        sys.excepthook = self.report
        # Signals can be handled in the main thread alone.
        threads = comm.size > 1 and threading.current_thread() is threading.main_thread()
        self.activities = FailuresEndTheRun(lambda error: end_job(comm, error)) if threads else None
        if self.activities:
            self.activities.__enter__()

    def report(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        """``sys.excepthook``."""
        self.failed = True
        if isinstance(error, AsrparError):
            print(f"asrpar: error: {error}{where(trace)}", file=sys.stderr, flush=True)
        else:
            self.before(kind, error, trace)
            sys.stderr.flush()
        if self.comm.size > 1:
            self.comm.abort(130 if issubclass(kind, KeyboardInterrupt) else 1)

    def over(self) -> None:
        """Whatever goes wrong later is nobody else's."""
        if sys.excepthook == self.report:
            sys.excepthook = self.before
        if self.activities:
            activities, self.activities = self.activities, None
            activities.__exit__(None, None, None)


def where(trace: TracebackType | None) -> str:
    """The last line of the user's own code: `` (train.py, line 12)``."""
    paths = sysconfig.get_paths()
    others = [Path(__file__).parents[2], *(Path(paths[name]) for name in ("stdlib", "purelib", "platlib"))]
    lines = [f for f in traceback.extract_tb(trace) if f.filename[0] != "<"]
    lines = [f for f in lines if not any(Path(f.filename).is_relative_to(folder) for folder in others)]
    return f" ({Path(lines[-1].filename).name}, line {lines[-1].lineno})" if lines else ""
