"""Files and folders are made under a temporary name beside the one that they will have, and renamed when whole."""

import errno
import fcntl
import os
import re
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from asrpar.errors import ConfigError
from asrpar.files.paths import entries, naming


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


@contextmanager
def replacing_text(path: str | Path) -> Iterator[TextIO]:
    """Give a UTF-8 file to write to, which is `replacing` ``path``."""
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        yield file


@contextmanager
def replacing_folder(folder: str | Path) -> Iterator[Path]:
    """Give an empty folder beside ``folder``, which takes its place if the block ends well, and is removed if not.

    A link to a folder stays. What a killed process has left is removed, so hold ``folder`` with `alone_with`. Whatever
    else was in it is lost: see `check_replaceable`.

    Raises:
        OSError: names ``folder``, if nothing can be written there, or it is a file.
    """
    folder = Path(folder).resolve()
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))
    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh, old = folder.with_name(f".{folder.name}.new"), folder.with_name(f".{folder.name}.old")
    for leftover in (fresh, old):
        shutil.rmtree(leftover, ignore_errors=True)
    try:
        with naming(folder):
            fresh.mkdir()
            yield fresh
        if folder.exists():
            folder.rename(old)
        fresh.rename(folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)


def check_replaceable(folder: str | Path, own: re.Pattern[str], what: str) -> None:
    """Refuse to replace a folder that holds anything but what is made there; to be asked before the work.

    Args:
        folder: that of `replacing_folder`, which may not be there yet.
        own: names of what is made.
        what: the folder is then, for people, such as ``an exported alignment``.

    Raises:
        ConfigError: it holds something else, which would be lost.
    """
    others = [path.name for path in entries(folder, "*") if not own.fullmatch(path.name)]
    if others:
        raise ConfigError(f"{folder} holds something else than {what} ({others[0]}): give another folder, or remove it")


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
