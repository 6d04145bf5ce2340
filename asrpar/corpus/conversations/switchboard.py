"""Switchboard-1 with the transcripts of Mississippi State: transcripts, word times, dictionary, caller tables."""

import csv
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from asrpar.corpus.conversations.acronyms import said_by_letters
from asrpar.corpus.conversations.calls import SIDES, Call, Speaker, Turn
from asrpar.corpus.conversations.channels import MARGIN, louder_by
from asrpar.corpus.conversations.files import Found, lines_of
from asrpar.corpus.conversations.tally import Tally
from asrpar.errors import DataError

NEARLY_EMPTY = ("2167", "B")  # models that are trained on this side fail (RWTH)
MAYBE_SWAPPED = "2671"  # its transcripts may be on the wrong channels (mozilla/DeepSpeech issue 2537)
_SPELLED = re.compile(r"([A-Z]{2,})('?s)?")


class WordTime(NamedTuple):
    """A word of a word file, with the id of its segment; times in seconds. ``word`` is as written."""

    segment: str
    start: float
    end: float
    word: str


class Entry(NamedTuple):
    """A line of the dictionary: a token as transcripts have it, and its phones."""

    token: str
    phones: tuple[str, ...]


def read_calls(found: Found, tally: Tally) -> Iterator[Call]:
    """The calls that have a transcript, by number. Raises `DataError` for lines of another form."""
    people = read_speakers(found, tally)
    for number, sides in sorted(found.calls().items()):
        call = f"sw0{number}"
        turns = {side: read_trans(found.trans[number, side], tally) for side in SIDES if side in sides}
        for side in SIDES:
            if side not in sides:
                tally.add("sides of Switchboard without transcript", f"{call}-{side}")
        if NEARLY_EMPTY[0] == number and turns.pop(NEARLY_EMPTY[1], None):
            tally.add("sides of Switchboard left out, known to be nearly empty", f"{call}-{NEARLY_EMPTY[1]}")
        audio = found.switchboard.get(number)
        if number == MAYBE_SWAPPED and audio is not None:
            turns = _on_their_channels(call, audio, turns, tally)
        speakers = {side: people.get((number, side), Speaker(f"{call}-{side}")) for side in SIDES}
        yield Call(call, audio, turns, speakers)


def _on_their_channels(call: str, audio: Path, turns: dict[str, list[Turn]], tally: Tally) -> dict[str, list[Turn]]:
    """The turns of both sides, exchanged if it is the other side's channel that is loud while they talk."""
    spoken = {side: [t for t in own if t.text not in ("", "[silence]")] for side, own in turns.items()}
    try:
        louder = louder_by(audio, spoken)
    except DataError:
        return turns  # which is told of when the recording is made
    if louder > -MARGIN:
        what = "calls of Switchboard said to have the transcripts of their sides exchanged, which is not so here"
        tally.add(what, f"{call}, {louder:+.1f} dB")
        return turns
    tally.add("calls of Switchboard whose sides have each other's transcripts, put right", f"{call}, {louder:+.1f} dB")
    return {side: turns[other] for side, other in zip(SIDES, reversed(SIDES), strict=True) if other in turns}


def read_trans(path: Path, tally: Tally) -> list[Turn]:
    """The segments of a side: ``sw2999A-ms98-a-0007 12.345625 15.030000 so i know`` a line.

    Ids of ours are made of times, so one that comes twice harms nothing; but it is told.

    Raises:
        DataError: a line of another form, or of another side than the file's name says.
    """
    turns, seen = [], set()
    for name, start, end, text in _timed_lines(path):
        if name in seen:
            tally.add("segments of Switchboard with the id of another of their file, both kept", name)
        seen.add(name)
        turns.append(Turn(start, end, text))
    return turns


def read_words(path: Path) -> list[WordTime]:
    """The words of a side with their times. Raises `DataError` as `read_trans`."""
    return [WordTime(*fields) for fields in _timed_lines(path)]


def _timed_lines(path: Path) -> Iterator[tuple[str, float, float, str]]:
    side = path.name[:7].lower()
    for number, line in lines_of(path):
        fields = line.split(None, 3)
        try:
            start, end = float(fields[1]), float(fields[2])
            if not math.isfinite(start + end):
                raise ValueError(line)
        except (IndexError, ValueError):
            raise DataError(f"{path}:{number}: expected 'sw2001A-ms98-a-0001 START END WORDS', not {line!r}") from None
        if fields[0][:7].lower() != side:
            raise DataError(f"{path}:{number}: {fields[0]} is of another side than {path.name}")
        yield fields[0], start, end, fields[3] if len(fields) > 3 else ""


def read_speakers(found: Found, tally: Tally) -> dict[tuple[str, str], Speaker]:
    """(call, side) → the caller by the tables, as far as there are any; ``sw1020`` is the one of PIN 1020.

    Raises:
        DataError: a table of another form.
    """
    table = found.table("conv")
    if table is None:
        return {}
    sexes = _read_sexes(found.table("caller"))
    people: dict[tuple[str, str], Speaker] = {}
    for number, row in _rows(table):
        if not re.fullmatch(r"0?\d{4}", row[0]) or len(row) < 4:
            raise DataError(f"{table}:{number}: expected 'CALL, Y, PIN of A, PIN of B, ...', not {','.join(row)!r}")
        for side, pin in zip(SIDES, row[2:4], strict=True):
            if pin.isdigit():
                people[row[0][-4:], side] = Speaker(f"sw{int(pin):04d}", sexes.get(pin.lstrip("0")))
    for call, sides in sorted(found.calls().items()):
        for side in sorted(sides):
            if (call, side) not in people:
                tally.add(
                    "sides of Switchboard whose caller is in no table: the side is the speaker", f"sw0{call}-{side}"
                )
    return people


def _read_sexes(table: Path | None) -> dict[str, str]:
    """PIN without zeros in front → m or f."""
    if table is None:
        return {}
    sexes = {}
    for _, row in _rows(table):
        sex = row[3].strip('"').upper() if len(row) > 3 else ""
        if row[0].isdigit() and sex in ("MALE", "FEMALE"):
            sexes[row[0].lstrip("0")] = sex[0].lower()
    return sexes


def _rows(table: Path) -> Iterator[tuple[int, list[str]]]:
    for number, line in lines_of(table):
        yield number, [field.strip() for field in next(csv.reader([line], skipinitialspace=True))]


def read_dictionary(path: Path) -> list[Entry]:
    """The entries of ``sw-ms98-dict.text``, as written; comments are left out, and a first line that is a title.

    Raises:
        DataError: nothing in it, or a word without phones.
    """
    lines = [(n, line.split()) for n, line in lines_of(path) if not line.startswith("#")]
    phones = {phone for _, fields in lines[1:] for phone in fields[1:]}
    title = lines[0][1][1:] if lines else []
    if not title or not set(title) <= phones:
        lines = lines[1:]
    for number, fields in lines:
        if len(fields) < 2:
            raise DataError(f"{path}:{number}: {fields[0]!r} has no pronunciation")
    if not lines:
        raise DataError(f"{path} has no pronunciations in it")
    return [Entry(fields[0], tuple(fields[1:])) for _, fields in lines]


def spelled_words(entries: list[Entry]) -> set[str]:
    """Letters, lower case, of words in capitals that the dictionary pronounces letter by letter, such as ``ibm``."""
    found = set()
    for token, phones in entries:
        match = _SPELLED.fullmatch(re.sub(r"_\d+$", "", token))
        if match and said_by_letters(match[1], match[2] or "", phones):
            found.add(match[1].lower())
    return found
