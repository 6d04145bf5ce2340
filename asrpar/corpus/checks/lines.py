"""Reading of text files that may be damaged: every damage is noted, and what can be read is returned."""

import re
from collections.abc import Iterator
from pathlib import Path

from asrpar.corpus.checks.report import DataSet, Place
from asrpar.files.text import BYTE_ORDER_MARK, foreign_bytes

_BLANKS = re.compile(r"[ \t]+")
# White space that Python splits at and Kaldi does not.
_ODD_BLANK = re.compile(r"[^\S \t]")


def read_lines(data: DataSet, path: Path, content: bytes | None = None) -> Iterator[tuple[Place, str]]:
    """The lines of ``path`` (or of ``content``, which came from there) that are valid UTF-8, without line ends."""
    raw = path.read_bytes() if content is None else content
    if raw.startswith(BYTE_ORDER_MARK):
        data.error(path, 1, "begins with a byte-order mark; save as UTF-8 without one")
        raw = raw.removeprefix(BYTE_ORDER_MARK)
    fault = foreign_bytes(raw[:4])  # of another kind altogether: one message, not one for each line
    if fault is not None and not fault.startswith("is not UTF-8"):
        data.error(path, 1, fault)
        data.unread.add(str(path))
        return
    lines = raw.split(b"\n")
    if lines[-1] == b"":
        lines.pop()
    if not lines:
        data.error(path, 0, "is empty")
    windows = [number for number, line in enumerate(lines, 1) if line.endswith(b"\r")]
    if windows:
        data.error(
            path,
            windows[0],
            f"lines end in CR LF, {len(windows)} of {len(lines)} from here on; convert: sed -i 's/\\r$//' {path}",
        )
    for number, line in enumerate(lines, 1):
        try:
            yield Place(str(path), number), line.removesuffix(b"\r").decode()
        except UnicodeDecodeError as e:
            data.error(path, number, f"is not valid UTF-8: byte 0x{line[e.start]:02x} at position {e.start + 1}")
            data.unread.add(str(path))


def read_table(
    data: DataSet, path: Path, form: str, least: int, most: int | None = None
) -> list[tuple[str, list[str], Place]]:
    """A Kaldi table: (first field, other fields, place) of each well-formed line; duplicates and order are checked.

    Args:
        data: takes the problems.
        path: an existing file.
        form: what a line looks like, for messages.
        least: fields that a line has at least, the first included.
        most: fields that a line has at most; None for any number.
    """
    rows = []
    for place, line in read_lines(data, path):
        odd = _ODD_BLANK.search(line)
        if odd:
            data.error(place.file, place.line, f"has the white-space character U+{ord(odd[0]):04X}; use plain blanks")
        fields = [f for f in _BLANKS.split(line) if f]
        if len(fields) < least or (most is not None and len(fields) > most):
            data.error(place.file, place.line, f"malformed: {len(fields)} fields; the form is `{form}`")
            continue
        if line[0] in " \t":
            data.error(place.file, place.line, "malformed: begins with a space")
        rows.append((fields[0], fields[1:], place))
    data.check_order([(key, place) for key, _, place in rows])
    return rows
