"""Reading of text files that may be damaged: every damage is noted, and what can be read is returned."""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from asrpar.corpus.problems import Place, Problems
from asrpar.files.text import BYTE_ORDER_MARK, foreign_bytes


def read_lines(problems: Problems, path: Path, content: BinaryIO | None = None) -> Iterator[tuple[Place, str]]:
    """The lines of ``path`` (or of ``content``, which came from there) that are valid UTF-8, without line ends."""
    try:
        file = path.open("rb") if content is None else content
        with file:
            yield from _lines(problems, path, file)
    except OSError as e:
        problems.unreadable(path, f"cannot be read: {e.strerror}")


def _lines(problems: Problems, path: Path, file: BinaryIO) -> Iterator[tuple[Place, str]]:
    name, head = str(path), file.read(len(BYTE_ORDER_MARK) + 8)
    marked = head.startswith(BYTE_ORDER_MARK)
    if marked:
        problems.error(Place(name, 1), "begins with a byte-order mark: save it as UTF-8 without one")
    fault = foreign_bytes(head.removeprefix(BYTE_ORDER_MARK)[:8])
    # Of another kind altogether: one message, not one for each line.
    if fault is not None and not fault.startswith("is not UTF-8"):
        problems.unreadable(Place(name, 1), fault)
        return
    file.seek(len(BYTE_ORDER_MARK) if marked else 0)
    number, windows, line = 0, [], b"\n"
    for number, line in enumerate(file, 1):
        place, text = Place(name, number), line.removesuffix(b"\n")
        if text.endswith(b"\r"):
            windows = [windows[0] if windows else number, windows[1] + 1 if windows else 1]
        try:
            words = text.removesuffix(b"\r").decode()
        except UnicodeDecodeError as e:
            problems.unreadable(place, f"is not valid UTF-8: byte 0x{text[e.start]:02x} at position {e.start + 1}")
            continue
        if "\0" in words:
            problems.unreadable(place, "has a zero byte in it: convert the file if it is UTF-16 text")
            continue
        yield place, words
    if not line.endswith(b"\n"):
        problems.warn(Place(name, number), "has no line end: the file may be cut short, and Kaldi refuses it")
    if not number:
        problems.error(path, "is empty")
    if windows:
        problems.error(
            Place(name, windows[0]),
            f"lines end in CR LF, {windows[1]} of {number} from here on; convert: sed -i 's/\\r$//' {path}",
        )
