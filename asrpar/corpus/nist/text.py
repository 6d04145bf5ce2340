"""Text of NIST's files, which are as old as their encodings."""

from pathlib import Path

from asrpar.errors import DataError, MissingInputError
from asrpar.files.text import foreign_bytes, read_text


def read_old_text(path: str | Path) -> str:
    """The content of a file in UTF-8 or else in ISO 8859-1, in which letters with accents were before.

    Raises:
        MissingInputError: no such file. DataError: no text.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingInputError(f"{path} is missing")
    raw = path.read_bytes()
    fault = foreign_bytes(raw)
    if fault is None:
        return read_text(path)
    if not fault.startswith("is not UTF-8") or b"\0" in raw:
        raise DataError(f"{path} {fault}")
    return raw.decode("iso-8859-1").replace("\r\n", "\n").replace("\r", "\n")


def old_lines(path: str | Path) -> list[tuple[int, str]]:
    """(line number from 1, line without its end) of the lines that hold something. Raises as `read_old_text`."""
    return [(n, line) for n, line in enumerate(read_old_text(path).split("\n"), 1) if line.strip()]
