"""Interpolated modified Kneser-Ney of a small text with dictionaries: what asrpar.lm is held against.

Of the formulas of `asrpar.lm.kneser_ney`, word by word.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from asrpar.errors import ConfigError, DataError
from asrpar.lm.backoff import BOS, EOS, LOG_ZERO, ArpaLm, NGram
from asrpar.lm.kneser_ney import discounts


def estimate_ngram(sentences: Iterable[Sequence[str]], order: int, vocabulary: Iterable[str] = ()) -> ArpaLm:
    """Estimate an n-gram model.

    Args:
        sentences: words of each sentence, without <s> and </s>.
        order: 1 to 5.
        vocabulary: words to know beyond those of the sentences; they get their part of the uniform distribution.

    Raises:
        DataError: no sentences, or <s> or </s> inside one.
        ConfigError: an order outside 1..5.
    """
    if not 1 <= order <= 5:
        raise ConfigError(f"n-gram order {order} is not between 1 and 5")
    raw = _count(sentences, order)
    if not raw[0]:
        raise DataError("the language model has no training text")
    words = ({w for (w,) in raw[0]} | set(vocabulary) | {EOS}) - {BOS}
    probs: dict[NGram, float] = {(): 1.0 / len(words)}
    grams: list[dict[NGram, tuple[float, float]]] = []
    gammas: list[dict[NGram, float]] = []
    for k in range(1, order + 1):
        counts = raw[k - 1] if k == order else _continuations(raw[k - 1], raw[k])
        current, gamma = _interpolate(counts, discounts(Counter(counts.values())), probs)
        if k == 1:
            for w in words:
                current.setdefault((w,), gamma[()] * probs[()])
        probs = current
        gammas.append(gamma)
        grams.append({gram: (math.log10(p), 0.0) for gram, p in current.items()})
    grams[0][(BOS,)] = (LOG_ZERO, 0.0)
    # gammas[k] belongs to histories of k words, which stand in the file as k-grams.
    for k in range(1, order):
        for history, gamma_h in gammas[k].items():
            grams[k - 1][history] = (grams[k - 1][history][0], math.log10(gamma_h))
    return ArpaLm.of(grams)


def _count(sentences: Iterable[Sequence[str]], order: int) -> list[Counter[NGram]]:
    raw: list[Counter[NGram]] = [Counter() for _ in range(order)]
    for words in sentences:
        if BOS in words or EOS in words:
            raise DataError(f"{BOS} or {EOS} inside a sentence of the language model's text")
        padded = (BOS, *words, EOS)
        for end in range(2, len(padded) + 1):
            for k in range(1, min(order, end) + 1):
                raw[k - 1][padded[end - k : end]] += 1
    return raw


def _continuations(raw: Counter[NGram], longer: Counter[NGram]) -> Counter[NGram]:
    """Adjusted counts of one order from its own counts and those of the next."""
    counts = Counter({gram: c for gram, c in raw.items() if gram[0] == BOS})
    for gram in longer:
        counts[gram[1:]] += 1
    return counts


def _interpolate(
    counts: Counter[NGram], discount: tuple[float, float, float], lower: dict[NGram, float]
) -> tuple[dict[NGram, float], dict[NGram, float]]:
    """Probabilities of the listed n-grams, and gamma of each history."""
    total: dict[NGram, int] = defaultdict(int)
    taken: dict[NGram, float] = defaultdict(float)
    for gram, c in counts.items():
        total[gram[:-1]] += c
        taken[gram[:-1]] += discount[min(c, 3) - 1]
    gamma = {h: taken[h] / total[h] for h in total}
    probs = {
        gram: (c - discount[min(c, 3) - 1]) / total[gram[:-1]]
        + gamma[gram[:-1]] * (lower[gram[1:]] if len(gram) > 1 else lower[()])
        for gram, c in counts.items()
    }
    return probs, gamma
