"""Pronunciations as the engines need them: to cut a path into words."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from asrpar.errors import DataError

# Pronunciations of each word, as tuples of classes.
Lexicon = Mapping[str, Sequence[tuple[int, ...]]]
# Where a lexicon keeps the token of optional silence; no graph writes this word.
SILENCE_WORD = "<eps>"


def lexicon_of(folder: Path | None, classes: Sequence[str]) -> Lexicon | None:
    """The lexicon of a language folder (None without one), with its optional silence.

    Raises:
        MissingInputError: the folder is not complete. DataError: its tokens are not ``classes``.
    """
    if folder is None:
        return None
    from asrpar.lang.lang import Lang

    lang = Lang.load(folder)
    if lang.tokens != list(classes):
        raise DataError(f"the graph was not made from {folder}: their tokens differ; make the graph (stage 5) again")
    lexicon: dict[str, list[tuple[int, ...]]] = {}
    for entry in lang.lexicon.entries:
        lexicon.setdefault(entry.word, []).append(tuple(lang.token_id(t) for t in entry.tokens))
    silence = lang.config.optional_silence.symbol
    if silence is not None:
        lexicon[SILENCE_WORD] = [(lang.token_id(silence),)]
    return lexicon
