"""Sentences' scores under n-gram models, for rescoring."""

import math
from collections.abc import Sequence

import numpy as np

from asrpar.lm.backoff import UNK, ArpaLm


class SentenceCosts:
    """Costs of sentences, -ln P(words </s> | <s>).

    A word that the model does not know is its <UNK>, or if it has none costs as much as probability zero does in ARPA
    files.

    Attributes:
        has_unknown: whether the model has an <UNK>.
    """

    def __init__(self, lm: ArpaLm) -> None:
        self._lm = lm
        self.has_unknown = UNK in lm.ids

    def __call__(self, sentences: Sequence[Sequence[str]]) -> np.ndarray:
        """(N,) the costs of sentences."""
        if not sentences:
            return np.zeros(0)
        numbers = [[self._lm.number(w) for w in words] for words in sentences]
        return -math.log(10.0) * np.array([scores.sum() for scores in self._lm.sentence_log10(numbers)])

    def knows(self, word: str) -> bool:
        """Whether the model has the word itself."""
        return word in self._lm.ids
