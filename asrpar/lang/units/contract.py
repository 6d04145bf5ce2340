"""What a kind of units has to offer, and the mark by which units tell where a word begins."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

from asrpar.errors import DataError
from asrpar.files.text import MARK
from asrpar.lang.lexicon import Lexicon, Pronunciation
from asrpar.lang.places import Places
from asrpar.lang.text import Sentences

# Marks the beginning of a word, in characters as in sentencepiece.
WORD_START = "▁"


class UnitInventory(ABC):
    """Units of one kind, and how words are written in them.

    Attributes:
        has_lexicon: whether words have the pronunciations of a lexicon. Other units write every word.
        tokens: all units; empty where those that pronunciations in use have are all.
        lexicon: pronunciations that are not made from the word itself.
    """

    has_lexicon: ClassVar[bool] = False

    def __init__(self, tokens: Iterable[str] = (), lexicon: Lexicon | None = None) -> None:
        self.tokens: Sequence[str] = list(tokens)
        self.lexicon = Lexicon([]) if lexicon is None else lexicon

    @classmethod
    @abstractmethod
    def make(cls, settings: Any, text: Sentences, split: str, places: Places) -> Self:
        """The units of a language that is being made.

        Args:
            settings: of this kind, checked.
            text: the training transcripts.
            split: what a word is, 'blanks' or 'characters' (see `LangConfig`).
            places: where files that the settings name are looked for.

        Raises:
            ConfigError, DataError, MissingInputError: settings, text or files that cannot be used.
        """

    @classmethod
    @abstractmethod
    def load(cls, folder: Path, tokens: Sequence[str], split: str) -> Self:
        """The units of a LANG folder, of which ``tokens`` are the classes, to pronounce words outside its vocabulary.

        Raises:
            MissingInputError, DataError: a file is missing, or damaged.
        """

    def write(self, folder: Path, vocabulary: Lexicon, tokens: Sequence[str]) -> list[str]:
        """Write what `load` needs besides tokens.txt into a LANG folder; the names of the files.

        Args:
            folder: which exists.
            vocabulary: the pronunciations in lexicon.txt.
            tokens: the model's classes.
        """
        return []

    def spell(self, word: str) -> tuple[str, ...] | None:
        """The units that a word is written in; None where it has a character that these units cannot write."""
        return None

    def pronunciations(self, word: str) -> list[Pronunciation]:
        """All pronunciations of a word, the canonical one first; empty if it has none."""
        if word in self.lexicon:
            return self.lexicon.by_word[word]
        units = self.spell(word)
        return [Pronunciation(word, 1.0, units)] if units is not None else []

    @staticmethod
    def words(tokens: Sequence[str]) -> list[str]:
        """The words that a sequence of units spells.

        Raises:
            ConfigError: only a graph can tell words of such units.
        """
        return [w for w in "".join(tokens).split(WORD_START) if w]


def check_characters(words: Iterable[str], reserved: Sequence[str] = (WORD_START, MARK)) -> None:
    """Raise `DataError` for a word with a character that has another meaning among units, or in files of them."""
    for word in words:
        for char in reserved:
            if char in word:
                raise DataError(
                    f"the word {word!r} has the character U+{ord(char):04X}, which units cannot write: take it out of "
                    "the text"
                )
