"""Text of a language: its case and its words, and the transcripts of manifests."""

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from asrpar.errors import DataError, MissingInputError
from asrpar.files.text import nfc, odd_character, read_lines
from asrpar.lang.unspaced import split_characters

CASES = ("keep", "upper", "lower")
LISTED = 20  # words in a message

Sentences = list[list[str]]


def map_case(text: str, case: str) -> str:
    """`text` in upper or lower case, or as it is ('keep'); composed, which case mapping may undo."""
    return nfc(text.upper() if case == "upper" else text.lower() if case == "lower" else text)


def split_words(text: str, split: str) -> list[str]:
    """The words of a text, composed; ``split`` is 'characters' for languages without spaces, else 'blanks'."""
    return split_characters(nfc(text)) if split == "characters" else nfc(text).split()


def check_sentences(path: str | Path, lines: Sequence[str]) -> None:
    """Raise `DataError` for lines that are not sentences alone: an ARPA file, or transcripts with their ids."""
    if any(line.strip() == "\\data\\" for line in lines):
        raise DataError(f"{path} is a language model, not text: give it as lm.arpa")
    for kind, ids in (
        ("trn", [m and m[0] for line in lines for m in [re.search(r"\(\S+\)\s*$", line)]]),
        ("Kaldi text", [m and m[0] for line in lines for m in [re.match(r"(?=\S*\d)(?=\S*([^\W\d]|-))\S+", line)]]),
    ):
        if len(lines) > 1 and all(ids) and len(set(ids)) == len(lines):
            raise DataError(f"{path} is a {kind} with an id in each line, such as {ids[0]}: give sentences without ids")


def manifest_texts(manifests: str | Path, split: str) -> list[str]:
    """The transcripts in ``supervisions_<split>.jsonl.gz``, in its order and composed.

    Raises:
        MissingInputError: no such manifest (stage 1 makes it).
        DataError: a line that is not a supervision with text.
    """
    path = Path(manifests) / f"supervisions_{split}.jsonl.gz"
    if not path.is_file():
        raise MissingInputError(f"{path} is missing: run stage 1 (asrpar prepare-manifests) first")
    texts = []
    for number, line in read_lines(path):
        try:
            text = json.loads(line)["text"]
        except (json.JSONDecodeError, KeyError, TypeError) as e:
            raise DataError(f"{path}:{number}: not a supervision with a text") from e
        if not isinstance(text, str | None):
            raise DataError(f"{path}:{number}: the text is {type(text).__name__}, not str")
        odd = odd_character(text or "")
        if odd:
            raise DataError(f"{path}:{number}: the text has the character {odd}, which no word has")
        texts.append(nfc(text or ""))
    return texts


def some(words: Iterable[str]) -> str:
    """A few of the words, sorted, for a message."""
    words = sorted(words)
    return " ".join(words[:LISTED]) + (f" ... ({len(words)} in all)" if len(words) > LISTED else "")
