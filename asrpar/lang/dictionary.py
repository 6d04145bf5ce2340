"""The formats of pronunciation dictionaries: lines of a file to words, probabilities and units.

lexicon     ``WORD P P``: Kaldi's lexicon.txt
lexiconp    ``WORD prob P P``: Kaldi's lexiconp.txt, and the lexicon.txt of a LANG folder
cmudict     ``WORD(2) P P``: the second pronunciation of WORD; comments after ``;;;`` at the start of a line or `` # ``
mfa         ``WORD prob s1 s2 s3 P P``: dictionaries of the Montreal Forced Aligner, and Kaldi's lexiconp_silprob.txt.
            A line may have the probability alone, or no number. The three figures on silence are not used.

Names of files say nothing: a ``.dict`` may be of any kind. `guess_format` looks at all lines of a file.
"""

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from asrpar.errors import DataError
from asrpar.files.text import read_lines

FORMATS = ("auto", "lexicon", "lexiconp", "cmudict", "mfa")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)
# Numbers as they are written where a comma parts the fraction, or a percent sign follows.
_OTHER_NUMBER = re.compile(r"[+-]?(\d+([.,]\d+)?[%‰]|\d+,\d+)")
_COMMENT = ("#", "##", "###", ";;", ";;;", "//")
# What parts words from units, or stands around them, in other notations.
_BETWEEN, _BEFORE, _AFTER = ("|", "=", ":", ",", ";", "->", "=>"), ('"', "(", "{"), (",", ";", ":", "=", "|")
VARIANT = re.compile(r"(.+)\((\d+)\)")
# How many numbers a format has between word and units.
_NUMBERS = {"lexiconp": (1,), "mfa": (0, 1, 4)}
_UNITS = "if numbers are units, set unit_settings.phones.format to lexicon"
_SEEMS = {1: "'lexiconp' (WORD prob P P)", 4: "'mfa' (WORD, probability, three figures on silence, P P)"}


class Row(NamedTuple):
    """A line: its number from 1, the word, what stands behind it, and whether tabs part word, numbers and units."""

    line: int
    word: str
    fields: list[str]
    tabs: bool

    @property
    def numbers(self) -> int:
        """How many numbers follow the word."""
        return next((i for i, f in enumerate(self.fields) if not _NUMBER.fullmatch(f)), len(self.fields))


class Entry(NamedTuple):
    """A pronunciation, and where it stands."""

    where: str
    word: str
    prob: float
    tokens: tuple[str, ...]


def read_entries(path: str | Path, format: str) -> list[Entry]:
    """The pronunciations of a dictionary in the order of its lines.

    Args:
        path: the file, gzipped or not.
        format: one of those above, or 'auto': by the content.

    Raises:
        DataError: a line that cannot be used, with file and line; a file that is of no format, or of several.
    """
    guess = format == "auto"
    rows = _rows(path, comments=format in ("auto", "cmudict"))
    if guess:
        _refuse_notations(path, rows)
    format = guess_format(path, rows) if guess else format
    return [_entry(f"{path}:{row.line}", row, format, guess) for row in rows]


def guess_format(path: str | Path, rows: Sequence[Row]) -> str:
    """The format that all ``rows`` of ``path`` have; `DataError` if they do not agree on one."""
    digits = next((row for row in rows if row.fields and row.numbers == len(row.fields)), None)
    if digits is not None:
        raise DataError(f"{path}:{digits.line}: numbers alone are the pronunciation of '{digits.word}'; {_UNITS}")
    counts = {row.numbers for row in rows}
    if not counts or counts == {0}:
        return "cmudict"  # which takes every lexicon without numbers, comments and variants
    parted = all(row.tabs for row in rows if row.numbers)
    if counts == {1}:
        return "lexiconp"
    if counts <= {0, 1, 4} and (4 in counts or parted):
        return "mfa"
    first = rows[0]
    if len(counts) == 1:
        raise DataError(
            f"{path}:{first.line}: {_follow(first)} the word '{first.word}', as in all lines: this is no "
            f"format of a lexicon; {_UNITS}"
        )
    other = next((row for row in rows if row.numbers != first.numbers), first)
    raise DataError(
        f"{path}:{other.line}: {_follow(other)} the word '{other.word}', and {_follow(first)} '{first.word}' in line "
        f"{first.line}: this is no format of a lexicon; {_UNITS}"
    )


def _follow(row: Row) -> str:
    return {0: "no number follows", 1: "1 number follows"}.get(row.numbers, f"{row.numbers} numbers follow")


def _refuse_notations(path: str | Path, rows: Sequence[Row]) -> None:
    """Raise `DataError` if every line has a mark that is part of another notation, and of no word or unit."""
    units = [row.fields[0] for row in rows if row.fields]
    if len(rows) < 2 or len(units) < len(rows):
        return
    mark = None
    if units[0] in _BETWEEN and len(set(units)) == 1:
        mark = f"'{units[0]}' between word and units"
    elif all(row.word.endswith(_AFTER) and len(row.word) > 1 for row in rows):
        mark = f"'{rows[0].word[-1]}' after the word"
    elif all(row.word.startswith(_BEFORE) and len(row.word) > 1 for row in rows):
        mark = f"'{rows[0].word[0]}' before the word"
    elif all(row.fields[0].startswith("/") and row.fields[-1].endswith("/") for row in rows):
        mark = "slashes around the units"
    elif all(unit.startswith("[") and unit.endswith("]") for unit in units):
        mark = f"'{units[0]}' between word and units (HTK's output symbol)"
    if mark:
        raise DataError(f"{path}:{rows[0].line}: each line has {mark}: take it out, the form is WORD P P")


@lru_cache(maxsize=4096)
def _other_number(token: str) -> bool:
    """Whether a token is a number that is not written as numbers are read here, such as 0,95 or 95% or ０．９５."""
    plain = unicodedata.normalize("NFKC", token)
    return _OTHER_NUMBER.fullmatch(plain) is not None or (
        _NUMBER.fullmatch(token) is None and _NUMBER.fullmatch(plain) is not None
    )


def _rows(path: str | Path, comments: bool) -> list[Row]:
    rows = []
    for number, line in read_lines(path):
        if comments:
            line = "" if line.startswith(";;;") else re.split(r"\s#(?=\s|$)", line, maxsplit=1)[0]
        fields = line.split()
        if not fields:
            continue
        if fields[0] in _COMMENT:
            raise DataError(
                f"{path}:{number}: a comment? They begin with ';;;', in lexicons of format auto and cmudict"
            )
        columns = [column.strip() for column in line.strip().split("\t")]
        tabs = len(columns) > 1 and columns[:-1] == fields[: len(columns) - 1]
        rows.append(Row(number, fields[0], fields[1:], tabs))
        if len(columns) == 2 and len(columns[0].split()) > 1:
            raise DataError(f"{path}:{number}: the word '{columns[0]}' has a space in it, and words must have none")
    return rows


def _entry(where: str, row: Row, format: str, guessed: bool) -> Entry:
    word, tokens, prob = row.word, row.fields, 1.0
    if format in _NUMBERS:
        count = row.numbers if format == "mfa" else 1
        if format == "mfa" and count not in _NUMBERS[format]:
            raise DataError(f"{where}: {_follow(row)} the word '{word}', and not 0, 1 or 4")
        if count:
            prob, tokens = _prob(tokens[0] if tokens else "", where), tokens[count:]
    if tokens and VARIANT.fullmatch(f"x{tokens[0]}"):
        raise DataError(f"{where}: '{tokens[0]}' stands apart from its word: write {word}{tokens[0]}")
    for token in tokens:
        if _other_number(token):
            raise DataError(
                f"{where}: '{token}' in the pronunciation of '{word}' is a number, not a unit; probabilities are "
                "written as 0.95"
            )
        # Units of digits are possible where somebody says so; none has a decimal point.
        if _NUMBER.fullmatch(token) and (guessed or format in ("cmudict", "mfa") or not token.isdigit()):
            if guessed:
                hint = _UNITS
            elif row.numbers in _SEEMS:
                hint = (
                    f"the file seems to be {_SEEMS[row.numbers]}: set unit_settings.phones.format to that, or to auto"
                )
            else:
                hint = f"is the file of the format '{format}'?"
            raise DataError(f"{where}: '{token}' in the pronunciation of '{word}' is a number, not a unit; {hint}")
    if (guessed or format == "cmudict") and (variant := VARIANT.fullmatch(word)):
        word = variant[1]
    return Entry(where, word, prob, tuple(tokens))


def _prob(field: str, where: str) -> float:
    try:
        prob = float(field)
    except ValueError:
        raise DataError(f"{where}: expected a probability after the word, found '{field}'") from None
    if not 0.0 < prob <= 1.0:
        hint = "a percentage or a count? The likeliest pronunciation of a word may have 1" if prob > 1 else ""
        hint = "a logarithm? Write the probability itself" if prob < 0 else hint
        raise DataError(f"{where}: pronunciation probability {field} is not in (0, 1]{': ' * bool(hint)}{hint}")
    return prob
