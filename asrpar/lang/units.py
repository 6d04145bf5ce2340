"""Units other than phones: characters and sentencepiece."""

import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

from asrpar.errors import ConfigError, DataError
from asrpar.files.text import MARK
from asrpar.lang.unspaced import is_character

# Marks the beginning of a word, in characters as in sentencepiece.
WORD_START = "▁"
# sentencepiece leaves out a sentence with these, which it uses itself.
_RESERVED = ("\u2585", "\0")
# Its bound on the bytes of a sentence, beyond which it leaves the sentence out.
_LONGEST = 4192


class Speller(Protocol):
    """Turns any word into units."""

    tokens: list[str]

    def spell(self, word: str) -> tuple[str, ...] | None:
        """The units of a word, or None if it has a character that the units cannot write."""


class Characters:
    """Characters, with the word start as a unit of its own.

    Where text is split into characters (``split: characters``), those that are words need no word start.
    """

    def __init__(self, tokens: Iterable[str], split: bool = False) -> None:
        self.tokens = sorted(set(tokens) | {WORD_START})
        self._known = set(self.tokens)
        self._split = split

    def spell(self, word: str) -> tuple[str, ...] | None:
        """Word start and characters of ``word``, or None."""
        units = tuple(word) if self._split and is_character(word) else (WORD_START, *word)
        return units if self._known.issuperset(units) else None


class Sentencepiece:
    """A trained sentencepiece model; its control symbols and <unk> are no units."""

    def __init__(self, model: bytes) -> None:
        from sentencepiece import SentencePieceProcessor

        self.model = model
        self._sp = SentencePieceProcessor(model_proto=model)
        self.tokens = [
            self._sp.id_to_piece(i)
            for i in range(self._sp.get_piece_size())
            if not (self._sp.is_control(i) or self._sp.is_unknown(i))
        ]

    def spell(self, word: str) -> tuple[str, ...] | None:
        """The pieces of one word, or None if it has a character that was not in the training text."""
        ids = self._sp.encode(word)
        if self._sp.unk_id() in ids:
            return None
        return tuple(self._sp.id_to_piece(i) for i in ids)

    @classmethod
    def load(cls, path: str | Path) -> "Sentencepiece":
        """Read a model file."""
        return cls(Path(path).read_bytes())

    @classmethod
    def train(cls, sentences: Sequence[Sequence[str]], vocab_size: int, model_type: str) -> "Sentencepiece":
        """Train on words of sentences, all of them and however long; the same text gives the same model.

        Raises:
            ConfigError: sentencepiece refuses, most often because the text is too small for ``vocab_size``.
            DataError: no text, characters that sentencepiece reserves, or words that the model cannot write.
        """
        from sentencepiece import SentencePieceTrainer

        text = [" ".join(words) for words in sentences if words]
        if not text:
            raise DataError("there is no text to train sentencepiece units on")
        for words in sentences:
            check_characters(words, _RESERVED)
        model = io.BytesIO()
        try:
            SentencePieceTrainer.train(
                sentence_iterator=iter(text),
                model_writer=model,
                vocab_size=vocab_size,
                model_type=model_type,
                character_coverage=1.0,
                normalization_rule_name="identity",
                max_sentence_length=max(_LONGEST, *(len(line.encode()) for line in text)),
                # Words must be cut alike alone and in a sentence, so that lexicon and targets agree.
                split_by_whitespace=True,
                add_dummy_prefix=True,
                bos_id=-1,
                eos_id=-1,
                unk_id=0,
                num_threads=1,
                minloglevel=2,
            )
        except RuntimeError as e:
            # Its advice on an option of its own is not for us: rare characters must be kept.
            reason = str(e).split("] ")[-1].split(" or decrease character_coverage")[0].strip() or str(e)
            raise ConfigError(f"sentencepiece.vocab_size: {vocab_size} does not suit the text: {reason}") from e
        trained = cls(model.getvalue())
        # By words sentencepiece knows the most frequent ones only. All others must write what they were trained on.
        known = {w for words in sentences for w in words} if model_type != "word" else ()
        lost = sorted(w for w in known if "".join(trained.spell(w) or ()) != WORD_START + w)
        if lost:
            raise DataError(f"sentencepiece cannot write {len(lost)} words of its own text: {' '.join(lost[:5])}")
        return trained


def check_characters(words: Iterable[str], reserved: Sequence[str] = (WORD_START, MARK)) -> None:
    """Raise `DataError` for a word with a character that has another meaning among units, or in files of them."""
    for word in words:
        for char in reserved:
            if char in word:
                raise DataError(
                    f"the word {word!r} has the character U+{ord(char):04X}, which units cannot write: take it out of "
                    "the text"
                )


def words_of_units(tokens: Sequence[str]) -> list[str]:
    """Words of a sequence of characters or sentencepiece units."""
    return [w for w in "".join(tokens).split(WORD_START) if w]
