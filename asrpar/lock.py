"""One process at a time in a folder that it writes to, and who that is."""

import errno
import fcntl
import json
import os
import platform
import shlex
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from asrpar.errors import AsrparError
from asrpar.log import get_logger

log = get_logger(__name__)

LOCK = ".lock"
# What file systems without locks answer.
_NO_LOCKS = {errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS}


class BusyError(AsrparError):
    """Another process writes to a folder, or reads what would be written anew."""


@dataclass(frozen=True)
class Holder:
    """Who holds a lock: a process, its host, its command line, and when it began (seconds since the epoch)."""

    pid: int
    host: str
    command: str
    since: float

    def __str__(self) -> str:
        return f"{short(self.command)} (process {self.pid} on {self.host} since {clock(self.since)})"

    def gone(self) -> bool:
        """Whether the process is known to have ended: the lock is held by what it started and left behind."""
        return self.host == platform.node() and not Path(f"/proc/{self.pid}").exists() and Path("/proc/self").exists()


def try_lock(folder: Path, name: str = LOCK, *, shared: bool = False) -> IO[str] | None:
    """Hold ``folder``, which exists, until the file that is returned is closed here and in all processes that share it.

    The lock is the kernel's and ends with its holder, however that ends; the file stays.

    Args:
        folder: what is held.
        name: of the file in it, where there are several things to hold.
        shared: hold it together with others that do so, as those do that only read.

    Returns:
        None if another process holds it.
    """
    path = folder / name
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    # Not emptied: it says who holds it.
    lock = path.open("r" if shared else "a+", encoding="utf-8")
    try:
        fcntl.flock(lock, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        return None
    except OSError as e:
        if e.errno not in _NO_LOCKS:
            lock.close()
            e.filename = str(path)
            raise
        log.warning("%s lies on a file system without locks: see to it that nothing else writes there", folder)
    if not shared:
        # Who it is only serves messages, for which a full disk is no reason to fail.
        with suppress(OSError):
            lock.truncate(0)
            lock.write(json.dumps(asdict(Holder(os.getpid(), platform.node(), shlex.join(sys.argv), time.time()))))
            lock.flush()
    return lock


def holder(folder: Path, name: str = LOCK) -> Holder | None:
    """Who wrote itself into the lock of ``folder`` last: who holds it, if `try_lock` has just returned None."""
    try:
        return Holder(**json.loads((folder / name).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


@contextmanager
def alone(folder: str | Path, name: str = LOCK) -> Iterator[IO[str]]:
    """Make ``folder`` and hold it while the block writes to it. `BusyError` says who else does."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    lock = try_lock(folder, name)
    if lock is None:
        raise BusyError(busy(folder, name))
    with lock:
        try:
            yield lock
        finally:
            lock.truncate(0)  # two folders with the same content are the same


def busy(folder: Path, name: str = LOCK) -> str:
    """One line: who holds ``folder``, and what to do."""
    who = holder(folder, name)
    by = "another process" if who is None else f"what is left of {who}, which has ended" if who.gone() else who
    return f"{folder} is being written by {by}: wait for it, end it, or choose another folder"


def short(command: str) -> str:
    """A command line in the words of a message: ``asrpar train``."""
    try:
        words = shlex.split(command)
    except ValueError:
        words = command.split()
    program, *rest = words or ["another process"]
    path = Path(program)
    name = path.parent.name if path.name == "__main__.py" else path.name
    return " ".join([name, *rest[:1]]) if name == "asrpar" else name


def clock(when: float) -> str:
    """A time of day, with the date if it is not today's."""
    then = time.localtime(when)
    today = then[:3] == time.localtime()[:3]
    return time.strftime("%H:%M" if today else "%Y-%m-%d %H:%M", then)
