"""Transcripts in files: NIST's trn (``WORDS (utt-id)``) and Kaldi's text (``utt-id WORDS``)."""

import re
from collections.abc import Mapping
from pathlib import Path

from asrpar.errors import DataError
from asrpar.files.text import nfc, text_lines
from asrpar.score.alternatives import OPTIONAL, Network, as_network, parse

_TIME = re.compile(r"\d+(\.\d*)?")


def read_transcripts(
    path: str | Path, may_be_empty: bool = False, optional_words: bool = False
) -> dict[str, list[str] | Network]:
    """Words of each utterance, composed (NFC), in the file's order; a network where there are alternatives.

    A file called ``*.trn`` is trn. So is one of another name whose lines all end in ``(id)``, each with its own id;
    any other is Kaldi text, whose lines may well end in a word like ``(NOISE)``. Lines that begin with ``;;`` are
    comments. In trn, ``{ A / B }`` are alternatives and ``@`` is no word.

    Args:
        path: the file.
        may_be_empty: take a file without lines for one without utterances.
        optional_words: words in brackets may be left out (``sclite -D``); by default they are words like others.

    Raises:
        MissingInputError: no such file. DataError: not UTF-8, an id comes twice, a line has no id, the file is
            empty and must not be, or alternatives that cannot be read.
    """
    path = Path(path)
    is_trn, texts = read_texts(path, may_be_empty)
    found: dict[str, list[str] | Network] = {}
    for utt_id, (number, text) in texts.items():
        if not is_trn:
            words = nfc(text).split()
            found[utt_id] = as_network(words, optional=True) if optional_words else words
            if {"{", "}", "/"} <= set(words):
                raise DataError(f"{path}:{number}: alternatives such as {{ A / B }} are of trn, 'WORDS (utt-id)'")
            continue
        try:
            found[utt_id] = parse(nfc(text), optional_words)
        except ValueError as e:
            raise DataError(f"{path}:{number}: {e} (in trn, {{ A / B / @ }} are alternatives)") from e
    return found


def read_texts(path: Path, may_be_empty: bool = False) -> tuple[bool, dict[str, tuple[int, str]]]:
    """Whether a file is trn, and the line number and the text of each utterance, as they stand there.

    Raises:
        MissingInputError, DataError: as `read_transcripts`, which says what is taken for trn.
    """
    lines = text_lines(path, "run asrpar decode (stage 7) first, or give another file")
    lines = [(number, line) for number, line in lines if not line.startswith(";;")]
    if not lines and may_be_empty:
        return path.suffix == ".trn", {}
    if not lines:
        raise DataError(f"{path} is empty")
    named = path.suffix == ".trn"
    ends = [_split_id(line, apart=not named) for _, line in lines]
    is_trn = named or (all(ends) and len({end[1] for end in ends if end}) == len(lines))
    # A damaged trn of another name is read as Kaldi text: let the message say so.
    hint = "" if is_trn or not any(ends) else " (read as 'utt-id WORDS'; call the file *.trn if it is 'WORDS (utt-id)')"
    _refuse_times(path, lines)
    found: dict[str, tuple[int, str]] = {}
    for (number, line), end in zip(lines, ends, strict=True):
        if is_trn:
            if end is None:
                raise DataError(f"{path}:{number}: no '(utt-id)' at the end of the line")
            text, utt_id = end
        else:
            utt_id, *rest = line.split(maxsplit=1)
            text = rest[0] if rest else ""
        if utt_id in found:
            raise DataError(f"{path}:{number}: utterance {utt_id} comes twice{hint}")
        found[utt_id] = number, text
    return is_trn, found


def _split_id(line: str, apart: bool) -> tuple[str, str] | None:
    """The words and the id of a line ``WORDS (utt-id)``, None if there is no id; ``apart``: a space has to part them.

    The id may have brackets of its own in pairs, as in utt(1), but no spaces.
    """
    line = line.rstrip()
    depth = 0
    for at in range(len(line) - 1, -1, -1):
        depth += (line[at] == ")") - (line[at] == "(")
        if depth <= 0:
            break
    text, utt_id = line[:at], line[at + 1 : -1].strip()
    if not line.endswith(")") or depth or not utt_id or len(utt_id.split()) > 1:
        return None
    joined = text.split()[-1] if text[-1:].strip() else ""
    if joined and (apart or joined.count("(") != joined.count(")")):
        return None
    return text, utt_id


def count_nested(transcripts: Mapping[str, list[str] | Network]) -> int:
    """How many transcripts have alternatives within alternatives, whose ties sclite may decide otherwise."""
    return sum(isinstance(t, Network) and t.nested for t in transcripts.values())


def count_bracketed(transcripts: Mapping[str, list[str] | Network]) -> int:
    """How many words stand in brackets, such as ``(%HESITATION)``."""
    words = (t.words if isinstance(t, Network) else t for t in transcripts.values())
    return sum(bool(OPTIONAL.fullmatch(word)) for of_one in words for word in of_one)


def _refuse_times(path: Path, lines: list[tuple[int, str]]) -> None:
    """Raise `DataError` for a ctm or stm, whose lines would otherwise be taken for those of Kaldi's text."""
    rows = [line.split() for _, line in lines]
    for kind, first, least in (("ctm", 2, 5), ("stm", 3, 6)):
        if rows and all(
            len(row) >= least and _TIME.fullmatch(row[first]) and _TIME.fullmatch(row[first + 1]) for row in rows
        ):
            raise DataError(
                f"{path} is a {kind}: give transcripts, 'WORDS (utt-id)' or 'utt-id WORDS'; sets whose manifests have "
                "an STM are scored by hubscr.pl (--manifests, --engine sctk)"
            )


def read_utt2spk(path: str | Path) -> dict[str, str]:
    """Read ``utt-id speaker`` lines.

    Raises:
        MissingInputError: no such file. DataError: not UTF-8, or another kind of line.
    """
    speakers: dict[str, str] = {}
    for number, line in text_lines(path, "give the utt2spk file of the set"):
        fields = line.split()
        if len(fields) != 2:
            raise DataError(f"{path}:{number}: expected 'utt-id speaker', found '{line.strip()}'")
        if speakers.setdefault(fields[0], fields[1]) != fields[1]:
            raise DataError(f"{path}:{number}: {fields[0]} is of '{speakers[fields[0]]}' in an earlier line")
    return speakers


def trn_line(text: str, utt_id: str) -> str:
    """``WORDS (utt-id)`` with its newline; an empty text leaves the id alone."""
    return f"{text} ({utt_id})\n".lstrip(" ")
