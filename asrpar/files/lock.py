"""One process at a time in a folder that it writes to, and who that is."""

import errno
import fcntl
import json
import os
import platform
import shlex
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import IO

from asrpar.errors import AsrparError
from asrpar.launch.guard import JOB, belongs, is_orphan
from asrpar.log import get_logger

log = get_logger(__name__)

LOCK = ".lock"
# What file systems without locks answer.
_NO_LOCKS = {errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS}


class BusyError(AsrparError):
    """Another process writes to a folder, or reads what would be written anew."""


@dataclass(frozen=True)
class Holder:
    """Who holds a lock: a process, its host, its command line, and when it began (seconds since the epoch).

    ``job`` is that of `asrpar.launch.guard` to which it belongs, if any.
    """

    pid: int
    host: str
    command: str
    since: float
    job: str = ""

    def __str__(self) -> str:
        return f"{short(self.command)} (process {self.pid} on {self.host} since {clock(self.since)})"

    def gone(self) -> bool:
        """Whether the process is known to have ended: the lock is held by what it started and left behind."""
        return self.host == platform.node() and not Path(f"/proc/{self.pid}").exists() and Path("/proc/self").exists()

    def orphaned(self) -> bool:
        """Whether it is known to be here, and the `asrpar launch` that it belongs to to have gone."""
        # The same host name may be that of another container, with another temporary folder.
        here = bool(self.job) and self.host == platform.node() and belongs(self.pid, self.job)
        return here and (not Path(self.job).exists() or is_orphan(self.job))


def try_lock(folder: Path, name: str = LOCK, *, shared: bool = False) -> IO[str] | None:
    """Hold ``folder``, which exists, until the file that is returned is closed here and in all processes that share it.

    The lock is the kernel's and ends with its holder, however that ends.

    Args:
        folder: what is held.
        name: of the file in it, where there are several things to hold.
        shared: hold it together with others that do so, as those do that only read. The file must be there.

    Returns:
        None if another process holds it.
    """
    path = folder / name
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    while True:
        lock = _open(path, shared)
        try:
            fcntl.flock(lock, kind | fcntl.LOCK_NB)
            there = path.exists() and os.path.samestat(os.fstat(lock.fileno()), path.stat())
            if there and (shared or lock.writable() or not _remove(path)):
                break
            lock.close()  # whoever held it has just removed it, or we have
        except BlockingIOError:
            lock.close()
            return None
        except OSError as e:
            if e.errno not in _NO_LOCKS:
                lock.close()
                e.filename = str(path)
                raise
            log.warning("%s lies on a file system without locks: see to it that nothing else writes there", folder)
            break
    if not shared:
        # Who it is only serves messages, for which a full disk is no reason to fail.
        with suppress(OSError):
            who = Holder(os.getpid(), platform.node(), shlex.join(sys.argv), time.time(), os.environ.get(JOB, ""))
            os.truncate(lock.fileno(), 0)
            os.write(lock.fileno(), json.dumps(asdict(who)).encode())  # past the buffer, which would try it again
    return lock


def _open(path: Path, shared: bool) -> IO[str]:
    """The file of a lock, which is not emptied: it says who holds it."""
    if not shared:
        try:
            return path.open("a+", encoding="utf-8")
        except PermissionError:
            # In a folder that several users share it may be another's.
            if not all(os.access(p, mode, effective_ids=True) for p, mode in ((path, os.R_OK), (path.parent, os.W_OK))):
                raise
    return path.open("r", encoding="utf-8")


def _remove(path: Path) -> bool:
    """Make room for a file of our own, where the system allows it."""
    try:
        path.unlink()
    except OSError:
        return False
    return True


def holder(folder: Path, name: str = LOCK) -> Holder | None:
    """Who wrote itself into the lock of ``folder`` last: who holds it, if `try_lock` has just returned None."""
    try:
        return Holder(**json.loads((folder / name).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


@contextmanager
def alone(folder: str | Path, name: str = LOCK, what: str | Path = "") -> Iterator[IO[str]]:
    """Make ``folder`` and hold it while the block writes to it.

    SIGTERM and SIGHUP end the block as Ctrl-C does, so that what is half made is removed; so is a folder left empty.

    Args:
        folder: what is held.
        name: of the lock file, which stays only if it is the usual one.
        what: how messages call it, if not by ``folder``.

    Raises:
        BusyError: says who holds it.
    """
    folder = Path(folder)
    new = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    lock = try_lock(folder, name)
    if lock is None:
        raise BusyError(busy(folder, name, what))
    with lock, ending_on_sigterm():
        try:
            yield lock
            new = []
        finally:
            with suppress(OSError):
                if lock.writable():
                    os.truncate(lock.fileno(), 0)  # two folders with the same content are the same
                if name != LOCK or (new and os.listdir(folder) == [name]):
                    (folder / name).unlink()
                for path in new:
                    path.rmdir()


def alone_with(result: str | Path) -> AbstractContextManager[IO[str]]:
    """Hold ``result``, a file or folder that is replaced whole, by a lock beside it. Like `alone`."""
    result = Path(os.path.abspath(result))
    return alone(result.parent, f".{result.name}.lock", result)


@contextmanager
def reading(folder: str | Path) -> Iterator[None]:
    """Keep others from writing ``folder`` anew meanwhile, where it has a lock that can be read.

    Raises:
        BusyError: it is being written.
    """
    folder = Path(folder)
    lock: AbstractContextManager | None
    try:
        lock = try_lock(folder, shared=True)
    except OSError:  # no lock, or no right to it: then nobody can be kept out
        lock = nullcontext()
    if lock is None:
        raise BusyError(busy(folder))
    with lock:
        yield


def busy(folder: Path, name: str = LOCK, what: str | Path = "") -> str:
    """One line: who holds ``folder``, and what to do."""
    does, who = "written", holder(folder, name)
    by = "another process" if who is None else f"what is left of {who}, which has ended" if who.gone() else str(who)
    if (reader := _reader(folder / name)) is not None:
        does, by = "read", reader
    elif who is not None and who.orphaned():
        end = f"end it (kill -9 {who.pid}) and start again"
        return f"{what or folder} is being {does} by {by}, whose launcher has gone: {end}"
    return f"{what or folder} is being {does} by {by}: wait for it, end it, or choose another folder"


def _reader(path: Path) -> str | None:
    """One of the processes that share a lock, in words; None if the lock is not shared."""
    try:
        number = path.stat().st_ino
        # 1: FLOCK  ADVISORY  READ 1234 fd:01:5678 0 EOF
        held = [line.split() for line in Path("/proc/locks").read_text(encoding="utf-8").splitlines()]
        found = [x[4] for x in held if x[1] == "FLOCK" and x[3] == "READ" and x[5].endswith(f":{number}")]
        command = Path(f"/proc/{found[0]}/cmdline").read_text(encoding="utf-8", errors="replace").split("\0")
    except (OSError, IndexError):
        return None
    return f"{short(shlex.join(word for word in command if word))} (process {found[0]})"


@contextmanager
def ending_on_sigterm() -> Iterator[None]:
    """Let SIGTERM end the block as Ctrl-C does, with the exit code of a shell; SIGHUP, of a lost terminal, too.

    Not where something else catches them, or has switched them off, as nohup does.
    """
    mine = threading.current_thread() is threading.main_thread()
    heard = [n for n in (signal.SIGTERM, signal.SIGHUP) if mine and signal.getsignal(n) == signal.SIG_DFL]

    def answer(how: Callable[[int, FrameType | None], None] | signal.Handlers) -> None:
        for number in heard:
            signal.signal(number, how)

    def ended(number: int, frame: FrameType | None) -> None:
        answer(signal.SIG_IGN)  # `timeout` sends it twice: what is removed then is removed whole
        raise SystemExit(128 + number)

    answer(ended)
    try:
        yield
    finally:
        answer(signal.SIG_DFL)


def short(command: str) -> str:
    """A command line in the words of a message: ``asrpar train``."""
    try:
        words = shlex.split(command)
    except ValueError:
        words = command.split()
    paths = [Path(word) for word in words]
    for i, path in enumerate(paths):  # python -m asrpar train, asrpar train
        if path.name == "asrpar" or path.parts[-2:] == ("asrpar", "__main__.py"):
            return " ".join(["asrpar", *words[i + 1 : i + 2]])
    return paths[0].name if paths else "another process"


def clock(when: float) -> str:
    """A time of day, with the date if it is not today's."""
    then = time.localtime(when)
    today = then[:3] == time.localtime()[:3]
    return time.strftime("%H:%M" if today else "%Y-%m-%d %H:%M", then)
