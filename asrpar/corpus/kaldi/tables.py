"""Kaldi's text tables: ``key value`` lines, ordered by key in the C locale."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from asrpar.errors import DataError
from asrpar.files.replacing import replacing
from asrpar.files.text import BYTE_ORDER_MARK, foreign_bytes, nfc, odd_character

_BLANK = re.compile(r"[ \t\r]+")  # what Kaldi separates by; other Unicode blanks belong to the words
UNLIKE = "its letters are composed of other characters (NFC, NFD): write ids in one way"


@dataclass
class Problems:
    """Findings of all files, reported together: ``file:line: what``."""

    where: str
    found: list[str] = field(default_factory=list)
    lost: bool = False  # a file could not be read at all, so that others seem to have lines too many

    def add(self, path: Path | str, line: int | None, what: str) -> None:
        """Note one problem; line numbers start at 1."""
        self.found.append(f"{Path(path).name}:{line}: {what}" if line else f"{Path(path).name}: {what}")

    def unreadable(self, path: Path | str, what: str) -> None:
        """Note, before all else, that nothing of a file could be read."""
        self.found.insert(0, f"{Path(path).name} {what}")
        self.lost = True

    def raise_if_any(self, show: int = 3) -> None:
        """Raise a `DataError` with the number of problems and the first few, if there are any."""
        if self.found:
            more = f" (and {len(self.found) - show} more)" if len(self.found) > show else ""
            count = f"{len(self.found)} problem{'s' if len(self.found) > 1 else ''}"
            raise DataError(f"{self.where}: {count}: {'; '.join(self.found[:show])}{more}")


@dataclass
class Row:
    """One line of a table."""

    line: int
    value: str

    @property
    def fields(self) -> list[str]:
        """The value's fields."""
        return [f for f in _BLANK.split(self.value) if f]


def read_table(path: Path, problems: Problems, empty_values: bool = False, ordered: bool = True) -> dict[str, Row]:
    """Read a table; what is wrong with it is added to ``problems``.

    Args:
        path: the file.
        problems: gets unreadable files, lines without a value, double keys and lines out of order.
        empty_values: a line may hold a key alone, as in ``text``.
        ordered: the keys have to be in the order of the C locale.
    """
    try:
        raw = path.read_bytes()
    except OSError as e:
        problems.unreadable(path, f"cannot be read: {e.strerror}")
        return {}
    fault = foreign_bytes(raw)
    if fault is not None:
        problems.unreadable(path, fault)
        return {}
    if raw.startswith(BYTE_ORDER_MARK):
        problems.add(path, 1, "begins with a byte-order mark: save it as UTF-8 without one")
    rows: dict[str, Row] = {}
    lines = raw.removeprefix(BYTE_ORDER_MARK).decode("utf-8").split("\n")
    if lines and not lines[-1]:
        lines.pop()
    if not lines:
        problems.add(path, None, "is empty")
    previous = ""
    for n, line in enumerate(lines, 1):
        key, *rest = _BLANK.split(line.strip(" \t\r"), maxsplit=1)
        value = rest[0] if rest else ""
        if not key:
            problems.add(path, n, "empty line")
            continue
        if not value and not empty_values:
            problems.add(path, n, f"'{key}' has no value")
        if key in rows:
            problems.add(path, n, f"'{key}' occurs twice")
        elif ordered and key < previous:  # the order of code points is that of UTF-8 bytes, LC_ALL=C
            problems.add(path, n, f"'{key}' comes after '{previous}': sort the file with LC_ALL=C")
        rows.setdefault(key, Row(n, value))
        previous = key
    return rows


def write_table(path: Path, rows: dict[str, str]) -> None:
    """Write a table sorted in the C locale, whole or not at all.

    Raises:
        DataError: a key has blanks, or a value a line break.
    """
    content = table_content(path.name, rows)
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def table_content(name: str, rows: dict[str, str]) -> bytes:
    """What `write_table` writes; ``name`` is for its errors."""
    lines = []
    for key, value in sorted(rows.items()):
        check_key(key)
        odd = odd_character(key + value) or ("line break" if "\n" in value else None)
        if odd:
            raise DataError(f"the entry of {key!r} for {name} has a {odd} in it")
        lines.append(f"{key} {value}".rstrip(" ") + "\n")
    return "".join(lines).encode("utf-8")


def check_key(key: str) -> None:
    """Raises `DataError` unless ``key`` can be an id in Kaldi's files: not empty, and without any space."""
    if not key or re.search(r"\s", key) or "\0" in key:
        raise DataError(f"{key!r} cannot be an id in Kaldi's files: it has a space in it or is empty")


def id_fault(utt_id: str) -> str | None:
    """Why an utterance's id cannot stand in files of transcripts, ``WORDS (utt-id)``; None if it can."""
    if utt_id.split() != [utt_id]:
        return "has a space in it" if utt_id else "is empty"
    depth = 0
    for char in utt_id:
        depth += (char == "(") - (char == ")")
        if depth < 0:
            break
    return "has a bracket without its partner" if depth else None


def same_keys(problems: Problems, path: Path, rows: dict[str, Row], other: Path, others: dict[str, Row]) -> None:
    """Add every key that only one of two tables has."""
    for here, mine, there, theirs in ((path, rows, other, others), (other, others, path, rows)):
        twins = Twins(theirs)
        for key, row in mine.items():
            if key not in theirs:
                problems.add(here, row.line, f"'{key}' is not in {there.name}{twins.hint(key)}")


class Twins:
    """Ids that look like others, which is why those are not found among them."""

    def __init__(self, keys: Iterable[str]) -> None:
        self._composed = {nfc(key) for key in keys if not key.isascii()}

    def hint(self, missing: str) -> str:
        """What a message about a key that is not there ends with: nothing, unless one is there that looks like it."""
        return f"; one that looks like it is, but {UNLIKE}" if nfc(missing) in self._composed else ""
