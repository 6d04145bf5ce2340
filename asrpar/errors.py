"""Errors that a user can mend: reported as one line, never as a traceback."""

import errno
import fcntl
import os
import pwd
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

# Control characters, those that turn the direction of text, and halves of characters.
_ODD = re.compile("[\0-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


class AsrparError(Exception):
    """A user's mistake. The message says what is wrong, where, and what to do, in one line."""


class MissingInputError(AsrparError):
    """A file that an earlier stage makes is not there; the message names the stage."""


class ConfigError(AsrparError):
    """A configuration that cannot be used."""


class DataError(AsrparError):
    """Speech data or manifests that cannot be used."""


class TrainingError(AsrparError):
    """Training cannot go on, for instance after too many non-finite gradients."""


class LaunchError(AsrparError):
    """The learners could not be started, or one of them failed."""


def one_line(text: str) -> str:
    """``text``, which may hold names from data, as one line that does nothing to a terminal."""
    return _ODD.sub(lambda m: m[0].encode("unicode_escape").decode(), " ".join(text.split()))


def require_file(path: str | Path, made_by: str) -> None:
    """Raise `MissingInputError` unless ``path`` exists; ``made_by`` says which stage or command makes it."""
    if not Path(path).exists():
        raise MissingInputError(f"{path} is missing: run {made_by} first")


def check_opens(path: str | Path) -> None:
    """Raise the system's own `OSError` if a file that is there cannot be opened: want of permission, or a folder.

    For the moment before its content is blamed: libraries tell of both alike.
    """
    if Path(path).is_file() or Path(path).is_dir():
        open(path, "rb").close()


def entries(folder: str | Path, pattern: str) -> list[Path]:
    """Sorted paths in ``folder`` whose names match; none where there is no such folder.

    Raises:
        PermissionError: the folder may not be read, which `Path.glob` takes for one without entries.
    """
    folder = Path(folder)
    return sorted(path for path in folder.iterdir() if path.match(pattern)) if folder.is_dir() else []


def system_error(error: OSError) -> str:
    """What the system refused, in one line: its own words, the file, and what is in the way."""
    if error.filename is None:
        return str(error)
    path = Path(os.fsdecode(error.filename))
    told = f"{error.strerror}: {path}"
    # The folder that was to be made or entered, as far as the path leads.
    there = next((p for p in (path, *path.parents) if os.path.lexists(p)), None)
    if isinstance(error, FileExistsError | NotADirectoryError) and there is not None and not there.is_dir():
        return f"{there} is no folder" + (f": {path} cannot be in it" if there != path else "; choose another")
    if isinstance(error, PermissionError) and there is not None and error.filename2 is None:
        return f"{told} ({_who(there)})"
    return told


def _who(path: Path) -> str:
    """The user of this process, and whom ``path`` belongs to."""

    def name(number: int) -> str:
        try:
            return pwd.getpwuid(number).pw_name
        except KeyError:
            return str(number)

    return f"you are {name(os.geteuid())}; {path} belongs to {name(os.lstat(path).st_uid)}"


@contextmanager
def naming(path: str | Path) -> Iterator[None]:
    """Let an `OSError` that names no file, such as that of a full disk, name ``path``, which the block writes."""
    try:
        yield
    except OSError as e:
        if e.errno is not None and e.filename is None:
            e.filename = str(path)
        raise


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Give a temporary file, renamed to ``path`` if the block ends well and removed if not.

    A link is followed, and what it leads to keeps its permissions. What is no regular file (a device, a fifo, the
    terminal) is never replaced: it gets what the block wrote when that is whole.

    Raises:
        OSError: names ``path``, if nothing can be written there.
    """
    path = Path(path)
    target = _destination(path)
    try:
        with naming(path), _aside(path) if target is None else _beside(target) as temporary:
            yield temporary
    except OSError as e:
        if target is not None and str(e.filename or "").startswith(f"{target.parent}/.{target.name}."):
            e.filename = str(path)  # the temporary name says nothing
        raise


def _destination(path: Path) -> Path | None:
    """The file that ``path`` leads to, which may not exist yet; None where it must be written to as it is."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return Path(os.path.realpath(path))
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    step = path
    while step.is_symlink():
        if os.path.realpath(step.parent).startswith("/proc/"):  # an open file, such as /dev/stdout
            return None
        step = step.parent / os.readlink(step)
    if not stat.S_ISREG(mode):
        return None
    if not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
    return Path(os.path.realpath(path))


@contextmanager
def _aside(path: Path) -> Iterator[Path]:
    """A temporary file somewhere else, which is then written to ``path``."""
    from shutil import copyfileobj
    from tempfile import TemporaryDirectory

    # Opened first: what cannot be written to had better say so before the work.
    with open(_descriptor(path), "wb") as out, TemporaryDirectory(prefix="asrpar-") as folder:
        temporary = Path(folder) / path.name
        temporary.touch()
        yield temporary
        with temporary.open("rb") as made:
            copyfileobj(made, out)


def _descriptor(path: Path) -> int:
    """A new one, to write to what is there."""
    try:
        return os.open(path, os.O_WRONLY | os.O_APPEND)
    except OSError as e:
        if e.errno != errno.ENXIO or not path.is_socket():
            raise
        # A socket cannot be opened, but may be open here, as stdout is under ssh.
        for number in map(int, os.listdir("/proc/self/fd")):
            with suppress(OSError):
                if os.path.samestat(os.fstat(number), path.stat()):
                    return os.dup(number)
        raise


@contextmanager
def _beside(target: Path) -> Iterator[Path]:
    """An empty file in the folder of ``target`` that nobody else writes to; then renamed, or gone."""
    temporary = target.with_name(f".{target.name}.tmp")
    new = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW
    try:
        # What a killed process left is used again; what a living one is writing to is not.
        number = os.open(temporary, new, 0o666)
        if not _take(number, temporary):
            os.close(number)
            raise BlockingIOError
    except OSError:
        temporary = target.with_name(f".{target.name}.{os.urandom(4).hex()}.tmp")
        number = os.open(temporary, new | os.O_EXCL, 0o666)
    try:
        yield temporary
        if target.exists():
            old = target.stat()
            with suppress(OSError):  # only root can give files away
                os.chown(temporary, old.st_uid, old.st_gid)
            temporary.chmod(stat.S_IMODE(old.st_mode))
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    finally:
        os.close(number)


def _take(number: int, path: Path) -> bool:
    """Whether the open file, of that path, is ours alone; it is then empty."""
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        found = os.fstat(number)
        if not os.path.samestat(found, path.lstat()) or found.st_nlink > 1 or found.st_uid != os.geteuid():
            return False
        os.truncate(number, 0)
        return True
    except OSError:
        return False
