"""Pronunciations as the engines need them: to cut a path into words."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from asrpar.config import load_config
from asrpar.errors import DataError, require_file
from asrpar.lang.config import LangConfig

# Pronunciations of each word, as tuples of classes.
Lexicon = Mapping[str, Sequence[tuple[int, ...]]]
# Where a lexicon keeps the token of optional silence.
SILENCE_WORD = "<eps>"


def lexicon_of(lang: Path | None, classes: Sequence[str]) -> Lexicon | None:
    """The lexicon of a language folder (None without one), with its optional silence.

    Raises:
        MissingInputError: the folder has no lexicon. DataError: its tokens are not the graph's ``classes``.
    """
    if lang is None:
        return None
    for name in ("lexicon.txt", "lang.yaml"):
        require_file(lang / name, "asrpar prepare-lang (stage 3)")
    config = load_config(LangConfig, lang / "lang.yaml")
    return read_lexicon(lang / "lexicon.txt", classes, config.optional_silence.symbol)


def read_lexicon(path: str | Path, classes: Sequence[str], silence: str | None = None) -> Lexicon:
    """Read Kaldi's ``WORD [probability] token...`` lines into pronunciations as tuples of classes.

    Args:
        path: the lexicon.
        classes: symbols of the classes, blank first.
        silence: the token of optional silence; kept under `SILENCE_WORD`.

    Raises:
        DataError: a token that is no class, with the line.
    """
    ids = {symbol: i for i, symbol in enumerate(classes)}
    lexicon: dict[str, list[tuple[int, ...]]] = {}
    for number, line in enumerate(Path(path).read_text(encoding="utf-8").splitlines(), 1):
        word, *tokens = line.split() or [""]
        if not word:
            continue
        if tokens and tokens[0] not in ids and _is_probability(tokens[0]):
            tokens = tokens[1:]
        try:
            lexicon.setdefault(word, []).append(tuple(ids[t] for t in tokens))
        except KeyError as e:
            raise DataError(f"{path}:{number}: token {e} of '{word}' is not in tokens.txt") from None
    if silence in ids:
        lexicon[SILENCE_WORD] = [(ids[silence],)]
    return lexicon


def _is_probability(text: str) -> bool:
    try:
        return 0.0 <= float(text) <= 1.0
    except ValueError:
        return False
