"""Pronunciations as the engines need them: to cut a path into words."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from asrpar.errors import DataError
from asrpar.hmm.phones import Phones
from asrpar.lang.lang import Lang

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
    lang = Lang.load(folder)
    if lang.tokens != list(classes):
        raise DataError(f"the graph was not made from {folder}: their tokens differ; make the graph (stage 5) again")
    silence = lang.config.optional_silence.symbol
    return _lexicon(lang, lang.token_id, () if silence is None else (lang.token_id(silence),))


def phone_lexicon_of(folder: Path | None, phones: Phones, read_as: Sequence[int]) -> Lexicon | None:
    """The same of phones, where the graph is one of a tree; ``read_as``: see `asrpar.decode.phones.PhoneRuns`.

    Raises:
        MissingInputError: the folder is not complete. DataError: it has units that are not among the phones.
    """
    if folder is None:
        return None
    lang = Lang.load(folder)
    if not set(lang.tokens[1:]) <= set(phones.names):
        raise DataError(f"the graph was not made from {folder}: their phones differ; make the graph (stage 5) again")
    return _lexicon(lang, lambda name: read_as[phones.id(name)], [read_as[silence] for silence in phones.silences])


def _lexicon(lang: Lang, number: Callable[[str], int], silences: Sequence[int]) -> Lexicon:
    lexicon: dict[str, list[tuple[int, ...]]] = {}
    for entry in lang.lexicon.entries:
        lexicon.setdefault(entry.word, []).append(tuple(number(t) for t in entry.tokens))
    if silences:
        lexicon[SILENCE_WORD] = [(silence,) for silence in silences]
    return lexicon
