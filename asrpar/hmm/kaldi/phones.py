"""Kaldi's ``phones.txt``, and which of its phones stand for no speech."""

import re
from collections.abc import Sequence
from pathlib import Path

from asrpar.errors import DataError, MissingInputError
from asrpar.files.text import text_lines
from asrpar.lang.symbols import read_symbols

SYMBOLS = "phones.txt"
# Of recipes' phones without speech, the one between words first; at the ends of words they have _B _I _E _S.
KNOWN = ("SIL", "SPN", "NSN", "LAU", "NOISE", "<SIL>", "<SPN>", "<NSN>")
_PLACE = re.compile(r"_[BIES]$")


def kaldi_phones(path: str | Path, silences: Sequence[str] = ()) -> tuple[list[str], list[str]]:
    """Phones in Kaldi's order, the first of which has id 1, and names of those without speech.

    Args:
        path: ``phones.txt``, or a language folder with it, whose ``phones/silence.txt`` and ``optional_silence.txt``
            are asked then.
        silences: names, that of the silence between words first; empty to find them.

    Raises:
        MissingInputError: there is no such file.
        DataError: it is no table of phones, or silences are not among them.
    """
    path = Path(path)
    folder = path if path.is_dir() else path.parent
    file = path / SYMBOLS if path.is_dir() else path
    symbols = read_symbols(file, "utils/prepare_lang.sh of Kaldi")
    if symbols[0] != "<eps>":
        raise DataError(f"{file}: the first symbol of Kaldi's phones is <eps>, not {symbols[0]}")
    phones = [s for s in symbols[1:] if not re.fullmatch(r"#\d+", s)]
    if symbols[1 : 1 + len(phones)] != phones:
        raise DataError(f"{file}: disambiguation symbols (#0, #1...) come behind all phones")
    found = list(silences) or _listed(folder / "phones") or _by_name(phones)
    absent = [s for s in found if s not in phones]
    if absent or not found:
        what = f"{absent[0]} is not one of its phones" if absent else "no phone is called SIL or the like"
        raise DataError(f"{file}: {what}: say which stand for no speech (--silence)")
    return phones, found


def _listed(folder: Path) -> list[str]:
    try:
        first = [line.strip() for _, line in text_lines(folder / "optional_silence.txt")]
        rest = [line.strip() for _, line in text_lines(folder / "silence.txt")]
    except MissingInputError:
        return []
    return [*first, *(s for s in rest if s not in first)]


def _by_name(phones: Sequence[str]) -> list[str]:
    rank = {name: n for n, name in enumerate(KNOWN)}
    base = {p: _PLACE.sub("", p).upper() for p in phones}
    # That of no place in a word is the one between words.
    return sorted((p for p in phones if base[p] in rank), key=lambda p: (rank[base[p]], len(p)))
