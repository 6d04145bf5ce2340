"""Pieces of words that sentencepiece learns from the training text: Kudo and Richardson 2018."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from asrpar.errors import ConfigError, DataError
from asrpar.files.paths import require_file
from asrpar.files.replacing import replacing
from asrpar.lang.lexicon import Lexicon
from asrpar.lang.places import Places
from asrpar.lang.symbols import MADE_BY
from asrpar.lang.text import Sentences
from asrpar.lang.units.contract import WORD_START, UnitInventory, check_characters
from asrpar.rules import need, one_of

MODEL = "sentencepiece.model"
TYPES = ("unigram", "bpe", "char", "word")
# sentencepiece leaves out a sentence with these, which it uses itself.
_RESERVED = ("\u2585", "\0")
# Its bound on the bytes of a sentence, beyond which it leaves the sentence out.
_LONGEST = 4192


@dataclass
class Settings:
    """Training of the sentencepiece model.

    Attributes:
        vocab_size: pieces, characters included.
        type: ``unigram``, ``bpe``, ``char`` or ``word``.
    """

    vocab_size: int = 500
    type: str = "unigram"

    def validate(self) -> None:
        need(self, "vocab_size", 3 <= self.vocab_size < 2**31, "must lie between 3 and 2147483647")
        one_of(self, "type", TYPES)


class Units(UnitInventory):
    """A trained sentencepiece model; its control symbols and <unk> are no units."""

    def __init__(self, model: bytes) -> None:
        from sentencepiece import SentencePieceProcessor

        self.model = model
        self._sp = SentencePieceProcessor(model_proto=model)
        super().__init__(
            self._sp.id_to_piece(i)
            for i in range(self._sp.get_piece_size())
            if not (self._sp.is_control(i) or self._sp.is_unknown(i))
        )

    @classmethod
    def make(cls, settings: Settings, text: Sentences, split: str, places: Places) -> Self:
        for words in text:
            check_characters(words)
        return cls.train(text, settings.vocab_size, settings.type)

    @classmethod
    def load(cls, folder: Path, tokens: Sequence[str], split: str) -> Self:
        require_file(folder / MODEL, MADE_BY)
        return cls((folder / MODEL).read_bytes())

    def write(self, folder: Path, vocabulary: Lexicon, tokens: Sequence[str]) -> list[str]:
        with replacing(folder / MODEL) as temporary:
            temporary.write_bytes(self.model)
        return [MODEL]

    def spell(self, word: str) -> tuple[str, ...] | None:
        ids = self._sp.encode(word)
        if self._sp.unk_id() in ids:
            return None
        return tuple(self._sp.id_to_piece(i) for i in ids)

    @classmethod
    def train(cls, sentences: Sequence[Sequence[str]], vocab_size: int, model_type: str) -> Self:
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
            raise ConfigError(
                f"unit_settings.sentencepiece.vocab_size: {vocab_size} does not suit the text: {reason}"
            ) from e
        trained = cls(model.getvalue())
        # By words sentencepiece knows the most frequent ones only. All others must write what they were trained on.
        known = {w for words in sentences for w in words} if model_type != "word" else ()
        lost = sorted(w for w in known if "".join(trained.spell(w) or ()) != WORD_START + w)
        if lost:
            raise DataError(f"sentencepiece cannot write {len(lost)} words of its own text: {' '.join(lost[:5])}")
        return trained
