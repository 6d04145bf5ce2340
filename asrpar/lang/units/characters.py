"""Characters, with the beginning of a word as a unit of its own."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from asrpar.lang.places import Places
from asrpar.lang.text import Sentences
from asrpar.lang.units.contract import WORD_START, UnitInventory, check_characters
from asrpar.lang.unspaced import is_character


@dataclass
class Settings:
    """Characters have no settings."""


class Units(UnitInventory):
    """Characters of the training text.

    Where text is split into characters (``split: characters``), those that are words need no word start.
    """

    def __init__(self, tokens: Iterable[str], split: bool = False) -> None:
        super().__init__(sorted(set(tokens) | {WORD_START}))
        self._known = set(self.tokens)
        self._split = split

    @classmethod
    def make(cls, settings: Settings, text: Sentences, split: str, places: Places) -> Self:
        for words in text:
            check_characters(words)
        return cls((c for words in text for w in words for c in w), split == "characters")

    @classmethod
    def load(cls, folder: Path, tokens: Sequence[str], split: str) -> Self:
        # Longer ones are the blank, and the unit of <UNK>.
        return cls((t for t in tokens if len(t) == 1), split == "characters")

    def spell(self, word: str) -> tuple[str, ...] | None:
        units = tuple(word) if self._split and is_character(word) else (WORD_START, *word)
        return units if self._known.issuperset(units) else None
