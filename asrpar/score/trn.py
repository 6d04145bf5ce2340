"""Transcripts in files: NIST's trn (``WORDS (utt-id)``) and Kaldi's text (``utt-id WORDS``)."""

import re
from pathlib import Path

from asrpar.errors import DataError
from asrpar.textfile import nfc, text_lines

# The id may have parentheses of its own, as in utt(1).
_TRN = re.compile(r"(?:(.*)\s)?\(((?:[^()\s]|\([^()\s]*\))+)\)\s*")


def read_transcripts(path: str | Path, may_be_empty: bool = False) -> dict[str, list[str]]:
    """Words of each utterance, in the file's order.

    A file called ``*.trn`` is trn. So is one of another name whose lines all end in ``(id)``, each with its own id;
    any other is Kaldi text, whose lines may well end in a word like ``(NOISE)``.

    Raises:
        MissingInputError: no such file. DataError: not UTF-8, an id comes twice, a line has no id, or the file is
            empty and must not be.
    """
    path = Path(path)
    lines = text_lines(path, "run asrpar decode (stage 7) first, or give another file")
    if not lines and may_be_empty:
        return {}
    if not lines:
        raise DataError(f"{path} is empty")
    ends = [_TRN.fullmatch(line) for _, line in lines]
    is_trn = path.suffix == ".trn" or (all(ends) and len({m[2] for m in ends if m}) == len(lines))
    # A damaged trn of another name is read as Kaldi text: let the message say so.
    hint = "" if is_trn or not any(ends) else " (read as 'utt-id WORDS'; call the file *.trn if it is 'WORDS (utt-id)')"
    found: dict[str, list[str]] = {}
    for (number, line), match in zip(lines, ends, strict=True):
        if is_trn:
            if match is None:
                raise DataError(f"{path}:{number}: no '(utt-id)' at the end of the line")
            text, utt_id = match[1] or "", match[2]
        else:
            utt_id, *rest = line.split(maxsplit=1)
            text = rest[0] if rest else ""
        if utt_id in found:
            raise DataError(f"{path}:{number}: utterance {utt_id} comes twice{hint}")
        found[utt_id] = nfc(text).split()
    return found


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
        speakers[fields[0]] = fields[1]
    return speakers
