"""Kaldi's text tables: ``key value`` lines, ordered by key in the C locale."""

import re
from dataclasses import dataclass
from pathlib import Path

from asrpar.corpus.ids import Twins
from asrpar.corpus.lines import read_lines
from asrpar.corpus.problems import Place, Problems
from asrpar.errors import DataError
from asrpar.files.replacing import replacing
from asrpar.files.text import odd_character

_SPACES = re.compile(r"[ \t]+")
# White space that Python splits at and Kaldi's tables do not.
_ODD_SPACE = re.compile(r"[^\S \t]")


@dataclass(frozen=True)
class Row:
    """One line of a table; the spaces inside of ``value`` are as they are in the file."""

    value: str
    place: Place

    @property
    def fields(self) -> list[str]:
        """The value's fields."""
        return [f for f in _SPACES.split(self.value) if f]


Table = dict[str, Row]


def read_table(
    problems: Problems, path: Path, form: str, least: int = 2, most: int | None = None, ordered: bool = True
) -> Table:
    """A table: key → the first line that has it. What is wrong with the table is added to ``problems``.

    Args:
        problems: gets unreadable files and lines, malformed ones, double keys and lines out of order.
        path: an existing file.
        form: what a line looks like, for messages.
        least: fields that a line has at least, the key included.
        most: fields that a line has at most; None for any number.
        ordered: the keys have to be in the order of the C locale.
    """
    table: Table = {}
    entries: list[tuple[str, Place]] = []
    for place, line in read_lines(problems, path):
        odd = _ODD_SPACE.search(line)
        if odd:
            problems.error(place, f"has the white-space character U+{ord(odd[0]):04X}; use plain spaces")
        key, *rest = _SPACES.split(line.strip(" \t"), maxsplit=1)
        row = Row(rest[0] if rest else "", place)
        count = len(row.fields) + bool(key)
        if count < least or (most is not None and count > most):
            problems.error(place, f"malformed: {count} fields; the form is `{form}`")
            continue
        if line[0] in " \t":
            problems.error(place, "malformed: begins with a space")
        table.setdefault(key, row)
        entries.append((key, place))
    problems.check_order(entries, ordered)
    return table


def write_table(path: Path, rows: dict[str, str]) -> None:
    """Write a table sorted in the C locale, whole or not at all.

    Raises:
        DataError: a key has spaces, or a value a line break.
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


def same_keys(
    problems: Problems, path: Path, table: dict[str, Place], other: Path, others: dict[str, Place], kind: str
) -> None:
    """Note every key that only one of two tables has, unless the other one could not be read.

    Args:
        problems: gets them.
        path: the one file.
        table: its keys, and where they stand.
        other: the other file.
        others: likewise.
        kind: what the keys name.
    """
    for mine, there, theirs in ((table, other, others), (others, path, table)):
        if not problems.read(there):
            continue
        twins = Twins(theirs)
        for key, place in mine.items():
            if key not in theirs:
                problems.error(place, f"{kind} '{key}' is not in {there.name}{twins.hint(key)}")
