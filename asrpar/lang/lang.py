"""The LANG folder in use: units, words, and the targets of a transcript."""

from collections.abc import Sequence
from pathlib import Path

from asrpar.config import load_config
from asrpar.errors import ConfigError, DataError
from asrpar.files.checksums import check_checksums
from asrpar.files.paths import require_file
from asrpar.lang.config import LangConfig
from asrpar.lang.lexicon import Lexicon, read_lexicon
from asrpar.lang.oov import spell_by_letters
from asrpar.lang.symbols import MADE_BY, read_symbols
from asrpar.lang.text import split_words
from asrpar.lang.units import UNITS
from asrpar.lang.units.contract import UnitInventory

BLANK = "<blk>"


class Lang:
    """Units and words of a recipe.

    Attributes:
        tokens: the acoustic model's classes; class 0 is the blank.
        words: the words of words.txt by id; <eps> is 0, the last three are #0, <s> and </s>.
        lexicon: pronunciations of the words that the graph can output.
        config: the LangConfig it was made with.

    Args:
        units: that write words outside the vocabulary; None if there is nothing that could.
    """

    def __init__(
        self,
        tokens: list[str],
        words: list[str],
        lexicon: Lexicon,
        config: LangConfig,
        units: UnitInventory | None = None,
    ) -> None:
        self.tokens, self.words, self.lexicon, self.config = tokens, words, lexicon, config
        self._units = units
        self._token_ids = {t: i for i, t in enumerate(tokens)}
        self._word_ids = {w: i for i, w in enumerate(words)}

    @classmethod
    def load(cls, folder: str | Path) -> "Lang":
        """Read a LANG folder.

        Raises:
            MissingInputError: a file of it is not there.
            DataError: a file of it is damaged, or not as it was made.
        """
        folder = Path(folder)
        for name in ("lang.yaml", "tokens.txt", "words.txt", "lexicon.txt"):
            require_file(folder / name, MADE_BY)
        try:
            config = load_config(LangConfig, folder / "lang.yaml")
        except ConfigError as e:
            raise DataError(f"{e}: run {MADE_BY} again") from e
        tokens = [t for t in read_symbols(folder / "tokens.txt") if not t.startswith("#")]
        words = read_symbols(folder / "words.txt")
        lexicon = read_lexicon(folder / "lexicon.txt", "lexiconp")
        units = UNITS.load(config.units).load(folder, tokens, config.split)
        # After what a reader can tell with a line's number.
        check_checksums(folder, MADE_BY)
        return cls(tokens, words, lexicon, config, units)

    def split(self, text: str) -> list[str]:
        """The words of a transcript, composed: see the setting ``split``."""
        return split_words(text, self.config.split)

    @property
    def num_tokens(self) -> int:
        """Number of classes, the blank included."""
        return len(self.tokens)

    def token_id(self, token: str) -> int:
        """Class of a unit; DataError for an unknown one."""
        if token not in self._token_ids:
            raise DataError(f"'{token}' is not a unit of this language folder")
        return self._token_ids[token]

    def word_id(self, word: str) -> int:
        """Id of a word; DataError for an unknown one unless the OOV policy is 'unk'."""
        if word in self._word_ids:
            return self._word_ids[word]
        if self.config.oov.policy == "unk":
            return self._word_ids[self.config.oov.word]
        raise DataError(f"'{word}' is not in the vocabulary")

    def encode(self, text: str) -> list[int]:
        """CTC targets of a transcript: the classes of each word's first pronunciation.

        Words outside the graph's vocabulary are looked up in the whole lexicon that the folder was made from, so that
        the loss of a dev set can be computed.

        Raises:
            DataError: a word has no pronunciation and the OOV policy does not map it.
        """
        ids: list[int] = []
        for word in self.split(text):
            units = self.pronounce(word)
            if units is None:
                raise DataError(f"word '{word}' has no pronunciation (oov.policy is '{self.config.oov.policy}')")
            ids.extend(self._token_ids[u] for u in units)
        return ids

    def encode_variants(self, text: str, limit: int = 16) -> list[list[int]]:
        """All CTC targets of a transcript, one for each combination of its words' pronunciations.

        The first is `encode`'s. Of more than ``limit`` combinations those are kept that depart least from the first
        pronunciations. Empty where a word has none, as with the OOV policy 'skip': such utterances are left out.
        """
        # (departure from the first pronunciations, token ids); the best of each prefix are enough for the best of all.
        ranked: list[tuple[int, tuple[int, ...]]] = [(0, ())]
        for word in self.split(text):
            first = self.pronounce(word)
            if first is None:
                return []
            variants = list(dict.fromkeys([first, *self._pronunciations(word)]))
            ids = [tuple(self._token_ids[u] for u in units) for units in variants]
            longer = [(cost + i, prefix + more) for cost, prefix in ranked for i, more in enumerate(ids)]
            ranked = sorted(longer, key=lambda pair: pair[0])[:limit]
        return [list(ids) for ids in dict.fromkeys(ids for _, ids in ranked)]

    def pronounce(self, word: str) -> tuple[str, ...] | None:
        """Units of a word, or None if the lexicon has none and the OOV policy does not map it."""
        known = self._pronunciations(word)
        if known:
            return known[0]
        if self.config.oov.policy == "spell":
            return spell_by_letters(word, self.lexicon, *([self._units.lexicon] if self._units else []))
        if self.config.oov.policy == "unk":
            return (self.config.oov.unit,)
        return None

    def _pronunciations(self, word: str) -> list[tuple[str, ...]]:
        """All that lexicon or units have, the canonical one first."""
        if word in self.lexicon:
            return self.lexicon.variants(word)
        return [entry.tokens for entry in self._units.pronunciations(word)] if self._units else []

    def decode_tokens(self, ids: Sequence[int]) -> list[str]:
        """Words of a sequence of classes (repeats merged and blanks removed before), without a graph.

        Raises:
            ConfigError: only a graph can tell words of such units.
        """
        return self.split(" ".join(UNITS.load(self.config.units).words([self.tokens[i] for i in ids])))
