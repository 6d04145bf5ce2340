"""Pronunciation lexicons; `asrpar.lang.dictionary` knows the formats of their files."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from asrpar.errors import DataError
from asrpar.files.replacing import replacing_text
from asrpar.lang.dictionary import read_entries
from asrpar.lang.text import map_case

RESERVED_WORDS = ("<eps>", "<s>", "</s>", "#0")


class Pronunciation(NamedTuple):
    """One line of a lexicon; ``prob`` in (0, 1] need not sum to one over a word's pronunciations."""

    word: str
    prob: float
    tokens: tuple[str, ...]


@dataclass
class Lexicon:
    """Pronunciations in the order of the file; the first one of a word is its canonical one."""

    entries: list[Pronunciation]

    def __post_init__(self) -> None:
        self.by_word: dict[str, list[Pronunciation]] = {}
        for entry in self.entries:
            self.by_word.setdefault(entry.word, []).append(entry)

    def __contains__(self, word: object) -> bool:
        return word in self.by_word

    @property
    def tokens(self) -> list[str]:
        """All units, sorted."""
        return sorted({t for entry in self.entries for t in entry.tokens})

    def first(self, word: str) -> tuple[str, ...]:
        """The canonical pronunciation; KeyError for an unknown word."""
        return self.by_word[word][0].tokens

    def variants(self, word: str) -> list[tuple[str, ...]]:
        """All pronunciations, the canonical one first; KeyError for an unknown word."""
        return [entry.tokens for entry in self.by_word[word]]

    def position_dependent(self) -> "Lexicon":
        """The same words with phones marked by their place in the word: _B, _I, _E, or _S for a single one."""

        def mark(tokens: tuple[str, ...]) -> tuple[str, ...]:
            if len(tokens) == 1:
                return (f"{tokens[0]}_S",)
            inner = (f"{t}_I" for t in tokens[1:-1])
            return (f"{tokens[0]}_B", *inner, f"{tokens[-1]}_E")

        return Lexicon([entry._replace(tokens=mark(entry.tokens)) for entry in self.entries])

    def write(self, path: str | Path) -> None:
        """Write lines ``WORD prob tokens...`` (Kaldi's lexiconp.txt)."""
        with replacing_text(path) as f:
            f.writelines(f"{e.word} {e.prob:.6g} {' '.join(e.tokens)}\n" for e in self.entries)


def read_lexicon(path: str | Path, format: str = "auto", case: str = "keep", strip_stress: bool = False) -> Lexicon:
    """Read a lexicon file (gzipped or not).

    Args:
        path: the file.
        format: one of `asrpar.lang.dictionary`, or 'auto', which goes by the content.
        case: 'upper', 'lower' or 'keep', for the words.
        strip_stress: remove a final 0, 1 or 2 from each phone.

    Raises:
        DataError: a line that cannot be used, with file and line; an empty lexicon.
    """
    entries: dict[tuple[str, tuple[str, ...]], Pronunciation] = {}
    for where, word, prob, tokens in read_entries(path, format):
        word = map_case(word, case)
        if strip_stress:
            tokens = tuple(t[:-1] if t[-1] in "012" and len(t) > 1 else t for t in tokens)
        entry = Pronunciation(word, prob, tokens)
        check_pronunciation(entry, where)
        # Alternatives that differed only in stress fall together; the likelier stays.
        known = entries.get((word, tokens))
        if known is None or known.prob < prob:
            entries[word, tokens] = entry
    if not entries:
        raise DataError(f"{path}: no pronunciations in this lexicon")
    return Lexicon(list(entries.values()))


def disambiguate(pronunciations: Sequence[tuple[str, ...]], silence: str | None = None) -> tuple[list[int], int]:
    """Numbers k of the disambiguation symbols #k that make pronunciations tell words apart.

    A pronunciation shared by several entries, or one that others begin with, ends in #1, #2, ... (in the order of the
    entries that share it); all others need none, shown as 0. One that is the unit ``silence`` alone counts as shared,
    where silence may stand between words: or a word would be written with the next one, where it is told from silence.

    Returns:
        the number of each pronunciation, and the highest number used.
    """
    counts = Counter([*pronunciations, *([] if silence is None else [(silence,)])])
    prefixes = {p[:n] for p in counts for n in range(1, len(p))}
    seen: Counter[tuple[str, ...]] = Counter()
    numbers = []
    for p in pronunciations:
        if counts[p] > 1 or p in prefixes:
            seen[p] += 1
            numbers.append(seen[p])
        else:
            numbers.append(0)
    return numbers, max(numbers, default=0)


def check_pronunciation(entry: Pronunciation, where: str) -> None:
    """Raise `DataError`, which begins with ``where``, for an entry that a graph cannot be made of."""
    if not entry.tokens:
        raise DataError(f"{where}: word '{entry.word}' has no pronunciation")
    if entry.word in RESERVED_WORDS:
        raise DataError(f"{where}: '{entry.word}' is a reserved word")
    for token in entry.tokens:
        if token.startswith("#") or token in ("<eps>", "<blk>"):
            raise DataError(f"{where}: '{token}' is a reserved unit")
