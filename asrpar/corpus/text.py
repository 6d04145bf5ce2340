"""Text normalisation that several corpora share."""

import re

from asrpar.errors import DataError
from asrpar.files.text import nfc

_BLANKS = re.compile(r"\s+")


def upper_words(text: str, allowed: str, drop: frozenset[str] = frozenset()) -> str:
    """Upper case, words separated by single spaces, composed Unicode (NFC).

    Args:
        text: a transcript as distributed.
        allowed: the body of a regular-expression character class that every word must consist of, ``"A-Z'"``.
        drop: tokens that are no words, such as ``<s>``; compared before upper-casing.

    Raises:
        DataError: nothing is left, or a word has a character outside ``allowed``.
    """
    words = [nfc(w.upper()) for w in _BLANKS.split(nfc(text)) if w and w not in drop]
    if not words:
        raise DataError("the transcript is empty")
    for word in words:
        if not re.fullmatch(f"[{allowed}]+", word):
            raise DataError(f"the transcript has an unexpected word {word!r}")
    return " ".join(words)
