"""Transcripts in files: NIST's trn (``WORDS (utt-id)``) and Kaldi's text (``utt-id WORDS``)."""

import re
from pathlib import Path

from asrpar.errors import DataError, MissingInputError

_TRN = re.compile(r"(?:(.*)\s)?\(([^()\s]+)\)\s*")


def read_transcripts(path: str | Path, may_be_empty: bool = False) -> dict[str, list[str]]:
    """Words of each utterance, in the file's order.

    A file whose first line ends in ``(id)`` is taken as trn, another as Kaldi text.

    Raises:
        MissingInputError: no such file. DataError: an id comes twice, a line has no id, or the file is empty
            and must not be.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingInputError(f"{path} is missing: run asrpar decode (stage 7) first, or give another file")
    try:
        lines = [(n, line) for n, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1) if line.strip()]
    except UnicodeDecodeError as e:
        raise DataError(f"{path} is not UTF-8 text: {e.reason} at byte {e.start}") from e
    if not lines and may_be_empty:
        return {}
    if not lines:
        raise DataError(f"{path} is empty")
    is_trn = _TRN.fullmatch(lines[0][1]) is not None
    found: dict[str, list[str]] = {}
    for number, line in lines:
        if is_trn:
            match = _TRN.fullmatch(line)
            if match is None:
                raise DataError(f"{path}:{number}: no '(utt-id)' at the end of the line")
            text, utt_id = match[1] or "", match[2]
        else:
            utt_id, *rest = line.split(maxsplit=1)
            text = rest[0] if rest else ""
        if utt_id in found:
            raise DataError(f"{path}:{number}: utterance {utt_id} comes twice")
        found[utt_id] = text.split()
    return found


def read_utt2spk(path: str | Path) -> dict[str, str]:
    """Read ``utt-id speaker`` lines. Raises `DataError` for another kind of line, `MissingInputError` for no file."""
    if not Path(path).is_file():
        raise MissingInputError(f"{path} is missing: give the utt2spk file of the set")
    speakers: dict[str, str] = {}
    for number, line in enumerate(Path(path).read_text(encoding="utf-8").splitlines(), 1):
        fields = line.split()
        if len(fields) != 2:
            raise DataError(f"{path}:{number}: expected 'utt-id speaker', found '{line.strip()}'")
        speakers[fields[0]] = fields[1]
    return speakers
