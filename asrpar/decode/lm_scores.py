"""Sentences' scores under n-gram models, for rescoring."""

import math
from collections.abc import Sequence
from functools import lru_cache

from asrpar.lm.arpa import BOS, EOS, LOG_ZERO, UNK, ArpaLm


class SentenceCosts:
    """Costs of sentences, -ln P(words </s> | <s>).

    A word that the model does not know is its <UNK>, or if it has none costs as much as probability zero does in ARPA
    files.

    Attributes:
        has_unknown: whether the model has an <UNK>.
    """

    def __init__(self, lm: ArpaLm) -> None:
        self._lm = lm
        self.has_unknown = (UNK,) in lm.grams[0]
        self._one = lru_cache(maxsize=1_000_000)(self._log10)

    def __call__(self, words: Sequence[str]) -> float:
        """The cost of a sentence."""
        known = [self._known(w) for w in words]
        history, total = (BOS,), 0.0
        for word in [*known, EOS]:
            total += LOG_ZERO if word is None else self._one(history, word)
            history = (*history, UNK if word is None else word)[max(0, len(history) + 2 - self._lm.order) :]
        return -total * math.log(10.0)

    def knows(self, word: str) -> bool:
        """Whether the model has the word itself."""
        return (word,) in self._lm.grams[0]

    def _known(self, word: str) -> str | None:
        return word if self.knows(word) else UNK if self.has_unknown else None

    def _log10(self, history: tuple[str, ...], word: str) -> float:
        return self._lm.log10_prob(history, word)
