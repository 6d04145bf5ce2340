"""What is there, what can be opened, and what the system said where it refused."""

import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from asrpar.errors import MissingInputError


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
