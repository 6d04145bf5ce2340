"""Errors that a user can mend: reported as one line, never as a traceback."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


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


def require_file(path: str | Path, made_by: str) -> None:
    """Raise `MissingInputError` unless ``path`` exists; ``made_by`` says which stage or command makes it."""
    if not Path(path).exists():
        raise MissingInputError(f"{path} is missing: run {made_by} first")


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
    """Give a temporary name beside ``path``, renamed to it if the block ends well and removed if not."""
    path = Path(path)
    temporary = path.with_name(path.name + ".tmp")
    try:
        with naming(path):
            yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
