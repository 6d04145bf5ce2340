"""Interpolated modified Kneser-Ney (Chen & Goodman 1998, section 4.1.6) of counts that lie in files.

With c the count (of an order below the highest: in how many different words' company an n-gram was seen on its left,
except after <s>), h the history and h' the history without its first word:

    P(w | h) = max(c(hw) - D(c(hw)), 0) / c(h) + gamma(h) P(w | h')

where gamma(h) is the mass that discounting took from h, and the unigrams are interpolated with the uniform
distribution over the vocabulary and </s>. N-grams that are too rare to be listed leave their whole mass to gamma(h), as
in KenLM (Heafield et al. 2013).
"""

from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path

import numpy as np

from asrpar.lm.backoff import BOS, LINES, LOG_ZERO, Pieces, write_arpa
from asrpar.lm.counting import Counts, Store

Discounts = tuple[float, float, float]
# Discounts of counts 1, 2, and 3 or more where counts of counts do not give any (the values that KenLM falls back to).
FALLBACK = (0.5, 1.0, 1.5)


def discounts(n: Mapping[int, int]) -> Discounts:
    """D1, D2 and D3+ of one order, of which n[c] n-grams have the count c.

    Modified Kneser-Ney needs n-grams seen once, twice, three and four times. Where one kind is missing, or a discount
    would leave 0 < D(c) <= c, all counts get the single discount n1 / (n1 + 2 n2) of plain Kneser-Ney; where even
    that cannot be had, `FALLBACK`.
    """
    n1, n2, n3, n4 = (n.get(c, 0) for c in range(1, 5))
    if n1 and n2:
        y = n1 / (n1 + 2.0 * n2)
        if n3 and n4:
            found = (1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3)
            if all(0.0 < d <= c for c, d in enumerate(found, 1)):
                return found
        return (y, y, y)
    return FALLBACK


class Estimate:
    """Probabilities of counted n-grams, in the files of a store.

    Args:
        counts: of the n-grams.
        store: where they are; it is used up.
        words: of the text, by number; in the order in which n-grams are to be listed.
        vocabulary: all words of the model, </s> among them and <s> not.
    """

    def __init__(self, counts: Counts, store: Store, words: Sequence[str], vocabulary: set[str]) -> None:
        self.counts, self.store, self.words = counts, store, words
        self.vocabulary = sorted(vocabulary | {BOS})
        self.discounts = [discounts(n) for n in counts.of_counts]
        self._unigrams(len(vocabulary))
        for k in range(2, counts.layout.order + 1):
            self._interpolate(k)

    @property
    def sizes(self) -> list[int]:
        """Listed n-grams by order."""
        return [len(self.vocabulary), *(kept for _, kept in self.counts.totals[1:])]

    def _unigrams(self, size: int) -> None:
        n = self.counts.unigrams
        total = int(n.sum())
        discount, taken = self._discount(0, n)
        self.floor = taken.sum() / total * (1.0 / size)
        self.unigrams = np.where(n > 0, (n - discount) / total, 0.0) + self.floor
        self.backoffs = np.zeros(len(n))  # log10, of histories of one word

    def _discount(self, k: int, n: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What is taken from each count; the second by kind: how often D1, D2 and D3+, times themselves."""
        table = np.array([0.0, *self.discounts[k]])
        kind = np.minimum(n, 3)
        return table[kind], np.bincount(kind, minlength=4) * table

    def _interpolate(self, k: int) -> None:
        """Probabilities of the k-grams, of which then only the listed ones are left; back-off weights of histories."""
        answered = self._lower(k) if k > 2 else None
        for b in range(self.counts.layout.buckets):
            self._bucket(k, b, answered)
        if k > 2:
            self.store.remove(*(f"answers.{c}" for c in range(self.counts.layout.buckets)))

    def _lower(self, k: int) -> np.ndarray:
        """Look up P(w | h') of all listed k-grams: each bucket of order k asks buckets of order k - 1.

        Returns:
            (buckets, buckets) how many answers for bucket b lie in the file of bucket c, one behind the other.
        """
        layout, store = self.counts.layout, self.store
        asked = np.zeros((layout.buckets, layout.buckets), np.int64)
        for b in range(layout.buckets):
            keys = store.read(f"keys.{k}.{b}", layout.dtype(k))
            shorter = np.sort(layout.suffixes(self._kept(k, b, keys), k))
            for c, where, own in layout.parts(k - 1, shorter):
                store.append(f"questions.{c}", own)
                asked[b, c] = where.stop - where.start
        for c in range(layout.buckets):
            keys = store.read(f"keys.{k - 1}.{c}", layout.dtype(k - 1))
            probs = store.read(f"probs.{k - 1}.{c}", np.float64)
            at = 0
            for n in asked[:, c].tolist():
                questions = store.read(f"questions.{c}", layout.dtype(k - 1), at, n)
                store.append(f"answers.{c}", probs[np.searchsorted(keys, questions)] if n else probs[:0])
                at += n
            store.remove(f"questions.{c}")
        return asked

    def _kept(self, k: int, b: int, values: np.ndarray) -> np.ndarray:
        kept = self.store.read(f"kept.{k}.{b}", np.bool_)
        return values[kept] if len(kept) else values

    def _bucket(self, k: int, b: int, answered: np.ndarray | None) -> None:
        layout, store = self.counts.layout, self.store
        keys, n = store.read(f"keys.{k}.{b}", layout.dtype(k)), store.read(f"counts.{k}.{b}", np.int64)
        if not len(keys):
            return
        histories = layout.prefixes(keys)
        starts = np.flatnonzero(np.concatenate(([True], histories[1:] != histories[:-1])))
        total = np.add.reduceat(n, starts)
        discount = np.array([0.0, *self.discounts[k - 1]])[np.minimum(n, 3)]
        kept = store.read(f"kept.{k}.{b}", np.bool_)
        taken = np.add.reduceat(np.where(kept, discount, n) if len(kept) else discount, starts)
        gamma = taken / total
        self._back_off(k - 1, b, histories[starts], gamma)
        of = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(keys))))
        if len(kept):
            keys, n, discount, of = keys[kept], n[kept], discount[kept], of[kept]
        shorter = layout.suffixes(keys, k)
        if answered is None:
            lower = self.unigrams[layout.last_words(shorter)]
        else:
            lower = np.empty(len(keys))
            lower[np.argsort(shorter)] = np.concatenate(
                [
                    store.read(f"answers.{c}", np.float64, int(answered[:b, c].sum()), int(answered[b, c]))
                    for c in range(layout.buckets)
                ]
            )
        store.write(f"probs.{k}.{b}", (n - discount) / total[of] + gamma[of] * lower)
        store.write(f"keys.{k}.{b}", keys)
        store.remove(f"counts.{k}.{b}", f"kept.{k}.{b}")

    def _back_off(self, k: int, b: int, histories: np.ndarray, gamma: np.ndarray) -> None:
        """Keep the back-off weights of histories of k words of a bucket, those that are listed."""
        if k == 1:
            words = self.counts.layout.columns(histories, 1, b)[0]
            self.backoffs[words] = np.log10(gamma)
            return
        keys = self.store.read(f"keys.{k}.{b}", self.counts.layout.dtype(k))
        at = np.searchsorted(keys, histories)
        # A history that is too rare to be listed itself is listed with no word, and gamma is 1.
        known = at < len(keys)
        known[known] = keys[at[known]] == histories[known]
        backoffs = np.zeros(len(keys))
        backoffs[at[known]] = np.log10(gamma[known])
        self.store.write(f"backoffs.{k}.{b}", backoffs)

    def write(self, path: str | Path) -> None:
        """Write the model as an ARPA file."""
        orders = range(2, self.counts.layout.order + 1)
        write_arpa(path, self.sizes, chain([(1, iter([self._unigram_lines()]))], ((k, self._lines(k)) for k in orders)))

    def _unigram_lines(self) -> tuple[Sequence[str], list[float], list[float]]:
        ids = {w: i for i, w in enumerate(self.words)}
        probs, backoffs = [], []
        for word in self.vocabulary:
            i = ids.get(word)
            probs.append(LOG_ZERO if word == BOS else float(np.log10(self.floor if i is None else self.unigrams[i])))
            backoffs.append(0.0 if i is None else float(self.backoffs[i]))
        return self.vocabulary, probs, backoffs

    def _lines(self, k: int) -> Pieces:
        layout, store = self.counts.layout, self.store
        word = self.words.__getitem__
        for b in range(layout.buckets):
            size = len(store.read(f"probs.{k}.{b}", np.float64))
            for at in range(0, size, LINES):
                keys = store.read(f"keys.{k}.{b}", layout.dtype(k), at, LINES)
                probs = np.log10(store.read(f"probs.{k}.{b}", np.float64, at, LINES)).tolist()
                backoffs = store.read(f"backoffs.{k}.{b}", np.float64, at, LINES)
                columns = [map(word, column.tolist()) for column in layout.columns(keys, k, b)]
                grams = list(map(" ".join, zip(*columns, strict=True)))
                yield grams, probs, backoffs.tolist() if len(backoffs) else [0.0] * len(grams)
