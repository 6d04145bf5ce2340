"""Fisher English, parts 1 and 2: transcripts and tables."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from asrpar.corpus.conversations.calls import SIDES, Call, Speaker, Turn
from asrpar.corpus.conversations.files import Found, lines_of
from asrpar.corpus.conversations.tally import Tally
from asrpar.errors import DataError

BAD_AUDIO = ("00446", "01243", "06716")  # cannot be decoded whole (Kaldi, egs/sre08)
# call → a start as written → as meant (Lhotse, fisher_english.py)
_MEANT = {"11487": {(31.09, 234.06): 231.09}}
_LINE = re.compile(r"(\d+(?:\.\d+)?)\s+(\d+(?:\.\d+)?)\s+([ABab])\s*:\s*(.*)")
_ACRONYM = re.compile(r"(?<!\S)([A-Za-z]\.(?:_[A-Za-z]\.)+)(?='?s?(?:\s|$))")
_ON_SIDE = re.compile(r"(\d{5})_([AB])/([mf])")


def read_calls(found: Found, tally: Tally) -> Iterator[Call]:
    """The calls that have a transcript, by number. Raises `DataError` for lines of another form."""
    people = read_speakers(found, tally)
    sexes = read_sexes(found)
    for number, path in sorted(found.fisher_text.items()):
        call = f"fe_03_{number}"
        if number in BAD_AUDIO:
            tally.add("calls of Fisher left out, whose audio is known to be damaged", call)
            continue
        speakers = {}
        for side in SIDES:
            unknown = Speaker(f"{call}-{side}", sexes.get((number, side)))
            speakers[side] = people.get((number, side), unknown)
        yield Call(call, found.fisher.get(number), read_transcript(path, number, tally), speakers)


def read_transcript(path: Path, number: str, tally: Tally) -> dict[str, list[Turn]]:
    """The turns of both sides: lines such as ``7.38 8.78 A: an- so the topic is``, comments after ``#``.

    Text is in one case; where a file has it in capitals, these say nothing and are made small.

    Raises:
        DataError: a line of another form.
    """
    turns: dict[str, list[Turn]] = {side: [] for side in SIDES}
    for n, line in lines_of(path):
        if line.startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        if not match:
            raise DataError(f"{path}:{n}: expected 'START END A: WORDS', not {line!r}")
        turn = Turn(float(match[1]), float(match[2]), match[4].lower())
        meant = _MEANT.get(number, {}).get((turn.start, turn.end))
        if meant is not None:
            tally.add("utterances of Fisher with a known wrong time, mended", f"fe_03_{number} {turn.start}-{turn.end}")
            turn = replace(turn, start=meant)
        turns[match[3].upper()].append(turn)
    return turns


def spelled_words(found: Found) -> set[str]:
    """Letters, lower case, of the acronyms that the transcripts have, ``ibm`` of ``i._b._m.``.

    Switchboard's transcripts have some of them as I B M that its dictionary lacks.
    """
    words: set[str] = set()
    for path in found.fisher_text.values():
        for _, line in lines_of(path):
            if "._" in line:
                words |= {match[1].lower().replace("._", "")[:-1] for match in _ACRONYM.finditer(line)}
    return words


def read_speakers(found: Found, tally: Tally) -> dict[tuple[str, str], Speaker]:
    """(call, side) → the caller by calldata, else pindata; ``fe_03_12345m`` is the man of PIN 12345.

    PINs were given to other people in the household, too, so those of a man and a woman are two speakers.

    Raises:
        DataError: a table of another form.
    """
    people: dict[tuple[str, str], Speaker] = {}
    for table in found.tables.get("calldata", []):
        for n, line in lines_of(table):
            row = [field.strip() for field in line.split(",")]
            if not row[0].isdigit():
                continue  # the names of the columns
            if len(row) < 12:
                raise DataError(f"{table}:{n}: {len(row)} fields with commas between them, expected 15")
            for side, pin, sex in ((SIDES[0], row[5], row[6]), (SIDES[1], row[10], row[11])):
                _add(people, f"{int(row[0]):05d}", side, pin, sex[:1].lower())
    for table in found.tables.get("pindata", []):
        for _, line in lines_of(table):
            pin = line.split(",", 1)[0].strip()
            for call, side, sex in _ON_SIDE.findall(line):
                _add(people, call, side, pin, sex)
    if people:
        for call in sorted(found.fisher_text):
            for side in SIDES:
                if (call, side) not in people:
                    what = "sides of Fisher whose caller is in no table: the side is the speaker"
                    tally.add(what, f"fe_03_{call}-{side}")
    return people


def _add(people: dict[tuple[str, str], Speaker], call: str, side: str, pin: str, sex: str) -> None:
    if pin.isdigit() and int(pin):
        known = sex if sex in ("m", "f") else ""
        people.setdefault((call, side), Speaker(f"fe_03_{int(pin):05d}{known or 'x'}", known or None))


def read_sexes(found: Found) -> dict[tuple[str, str], str]:
    """(call, side) → m or f, by the lists of files, which say no more of the callers."""
    sexes = {}
    for table in found.tables.get("filelist", []):
        for _, line in lines_of(table):
            match = re.search(r"(\d{5})(?:\.sph)?\s+([mf])([mf])\b", line, re.IGNORECASE)
            if match:
                sexes[match[1], SIDES[0]], sexes[match[1], SIDES[1]] = match[2].lower(), match[3].lower()
    return sexes
