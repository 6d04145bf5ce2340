"""How well n-gram models foretell text of any size."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from asrpar.errors import DataError
from asrpar.lm.backoff import BOS, EOS, LOG_ZERO, ArpaLm
from asrpar.lm.text_ids import EOS_ID, IdFile

BLOCK = 1 << 20  # words at once
LONG, FEW = 6, 20  # words of a sentence that nobody says by chance twice, and sentences that are too few to judge by
SHARE = 0.5


@dataclass(frozen=True)
class Perplexity:
    """Of one text under one model.

    Attributes:
        sentences: of the text. words: in them. unknown: of these, that the model does not know, which are not counted.
        log10_prob: of the words that it knows and the ends of sentences. unlikely: of probability zero, not counted.
    """

    sentences: int
    words: int
    unknown: int
    unlikely: int
    log10_prob: float

    @property
    def value(self) -> float:
        """10 ** -(mean log10 probability), the ends of sentences counted as words."""
        return self._of(self.words - self.unknown - self.unlikely + self.sentences)

    @property
    def without_ends(self) -> float:
        """The same divided by the words alone, which SRILM calls ppl1."""
        return self._of(self.words - self.unknown - self.unlikely)

    def _of(self, count: int) -> float:
        return float("nan") if count <= 0 else float(10.0 ** min(300.0, -self.log10_prob / count))


def token_log10(lm: ArpaLm, text: IdFile, names: Sequence[str]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """For pieces of a text, log10 P of each word and end of a sentence, and which words the model does not know.

    Args:
        lm: a model.
        text: sentences.
        names: the word that each number of the text stands for; what the model does not know is its <UNK>.
    """
    table = np.array([lm.number(name) for name in names], np.int64)
    for block in text.blocks(BLOCK):
        numbers = table[block]
        yield lm.text_log10(numbers), numbers < 0


def perplexity(lm: ArpaLm, text: IdFile, names: Sequence[str]) -> Perplexity:
    """Perplexity of a text, see `token_log10`. Raises `DataError` if the text has no sentences."""
    if not text.sentences:
        raise DataError("perplexity of no sentences")
    unknown, unlikely, total = 0, 0, 0.0
    for log10, out in token_log10(lm, text, names):
        zero = ~out & (log10 <= LOG_ZERO)
        unknown += int(out.sum())
        unlikely += int(zero.sum())
        total += float(log10[~out & ~zero].sum())
    return Perplexity(text.sentences, text.words, unknown, unlikely, total)


def likelihoods(models: Sequence[ArpaLm], text: IdFile, names: Sequence[str]) -> tuple[np.ndarray, int]:
    """(M, N) probability of each word of a text under each of M models, and how many words no model knows.

    Such words are left out; of one that some models know, the others say zero.
    """
    probs, unknown = [], []
    for lm in models:
        pieces = list(token_log10(lm, text, names))
        log10 = np.concatenate([p for p, _ in pieces]) if pieces else np.zeros(0)
        unknown.append(np.concatenate([u for _, u in pieces]) if pieces else np.zeros(0, bool))
        probs.append(np.where(unknown[-1] | (log10 <= LOG_ZERO), 0.0, 10.0**log10))
    found = np.array(probs)
    known = found.sum(0) > 0
    return found[:, known], int((~known).sum())


def shared_sentences(text: IdFile, others: IdFile) -> tuple[int, int]:
    """How many different long sentences ``others`` has, and how many of them are in ``text``, too."""
    wanted = np.unique(np.concatenate([_long(block) for block in others.blocks(BLOCK)] or [np.zeros(0, np.uint64)]))
    found = np.zeros(len(wanted), bool)
    if len(wanted):
        for block in text.blocks(BLOCK):
            own = _long(block)
            place = np.minimum(np.searchsorted(wanted, own), len(wanted) - 1)
            found[place[wanted[place] == own]] = True
    return len(wanted), int(found.sum())


def check_apart(text: IdFile, others: IdFile, name: str, other: str) -> None:
    """Raise `DataError` if the text ``name`` holds most sentences of the text ``other``, which it must not have."""
    wanted, found = shared_sentences(text, others)
    if wanted >= FEW and found > SHARE * wanted:
        raise DataError(
            f"{name} has {found} of the {wanted} sentences of {LONG} words or more of {other}, which the language "
            "model must not have seen: take them out of it"
        )


def _long(numbers: np.ndarray) -> np.ndarray:
    """A number for each sentence of many words, the same for the same words."""
    ends = np.flatnonzero(numbers == EOS_ID)
    starts = np.concatenate((np.zeros(1, np.int64), ends[:-1] + 1))[: len(ends)]
    length = ends - starts
    place = np.arange(len(numbers)) - np.repeat(starts, length + 1)
    mixed = (numbers.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)) * (
        place.astype(np.uint64) * np.uint64(0xD1B54A32D192ED03) + np.uint64(0x8CB92BA72F3D8DD7)
    )
    mixed ^= mixed >> np.uint64(29)
    sums = np.add.reduceat(mixed, starts) if len(starts) else np.zeros(0, np.uint64)
    return sums[length >= LONG]


def names_for(words: Collection[str], vocabulary: Collection[str] | None, unknown: str | None) -> list[str]:
    """Words of a text as a model with this vocabulary reads them; the marks of sentences are in no vocabulary."""
    known = None if vocabulary is None or unknown is None else {*vocabulary, BOS, EOS}
    return [w if known is None or w in known else unknown for w in words]
