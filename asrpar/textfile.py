"""Text files that come from outside, read whole: what is wrong with one is a single line that names it."""

from pathlib import Path

from asrpar.errors import DataError, MissingInputError


def read_text(path: str | Path, missing: str = "") -> str:
    """The content of a UTF-8 file, line ends as ``\\n``.

    Args:
        path: the file.
        missing: what to do if it is not there, the end of the message.

    Raises:
        MissingInputError: no such file. DataError: not UTF-8; the message has the line.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingInputError(f"{path} is missing" + (f": {missing}" if missing else ""))
    raw = path.read_bytes()
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as e:
        line = raw.count(b"\n", 0, e.start) + 1
        raise DataError(f"{path} is not UTF-8 text (line {line}, byte 0x{raw[e.start]:02x}): convert it") from e
    return text.replace("\r\n", "\n").replace("\r", "\n")


def text_lines(path: str | Path, missing: str = "") -> list[tuple[int, str]]:
    """(line number from 1, line without its end) of the lines that are not blank. Raises as `read_text` does."""
    # Not splitlines(), which would part lines at characters that belong to words as well.
    return [(n, line) for n, line in enumerate(read_text(path, missing).split("\n"), 1) if line.strip()]
