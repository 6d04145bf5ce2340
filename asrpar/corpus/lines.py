"""Reading of text files that may be damaged: every damage is noted, and what can be read is returned."""

from collections.abc import Iterator
from pathlib import Path

from asrpar.corpus.problems import Place, Problems
from asrpar.files.text import BYTE_ORDER_MARK, foreign_bytes


def read_lines(problems: Problems, path: Path, content: bytes | None = None) -> Iterator[tuple[Place, str]]:
    """The lines of ``path`` (or of ``content``, which came from there) that are valid UTF-8, without line ends."""
    try:
        raw = path.read_bytes() if content is None else content
    except OSError as e:
        problems.unreadable(path, f"cannot be read: {e.strerror}")
        return
    if raw.startswith(BYTE_ORDER_MARK):
        problems.error(Place(str(path), 1), "begins with a byte-order mark: save it as UTF-8 without one")
        raw = raw.removeprefix(BYTE_ORDER_MARK)
    fault = foreign_bytes(raw[:8])  # of another kind altogether: one message, not one for each line
    if fault is not None and not fault.startswith("is not UTF-8"):
        problems.unreadable(Place(str(path), 1), fault)
        return
    lines = raw.split(b"\n")
    if lines[-1] == b"":
        lines.pop()
    elif lines[-1]:
        problems.warn(Place(str(path), len(lines)), "has no line end: the file may be cut short, and Kaldi refuses it")
    if not lines:
        problems.error(path, "is empty")
    windows = [number for number, line in enumerate(lines, 1) if line.endswith(b"\r")]
    if windows:
        problems.error(
            Place(str(path), windows[0]),
            f"lines end in CR LF, {len(windows)} of {len(lines)} from here on; convert: sed -i 's/\\r$//' {path}",
        )
    for number, line in enumerate(lines, 1):
        place = Place(str(path), number)
        try:
            text = line.removesuffix(b"\r").decode()
        except UnicodeDecodeError as e:
            problems.unreadable(place, f"is not valid UTF-8: byte 0x{line[e.start]:02x} at position {e.start + 1}")
            continue
        if "\0" in text:
            problems.unreadable(place, "has a zero byte in it: convert the file if it is UTF-16 text")
            continue
        yield place, text
