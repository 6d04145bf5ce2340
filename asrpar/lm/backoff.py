"""Back-off n-gram models in ARPA format: read, write, score.

A model is arrays, 24 bytes an n-gram, so that those of a hundred million n-grams can be held; they may lie in files
(`asrpar.lm.shelf`). An n-gram of order k is the place of its first k - 1 words among the n-grams of order k - 1, and
its last word; both make one number, and the numbers of an order are sorted.
"""

import gzip
import io
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TextIO

import numpy as np

from asrpar.errors import DataError
from asrpar.files.replacing import replacing
from asrpar.lm.shelf import MEMORY, Shelf
from asrpar.lm.sorting import sort

BOS, EOS, UNK = "<s>", "</s>", "<UNK>"
# What ARPA files write for log10 of zero.
LOG_ZERO = -99.0
LINES = 1 << 17  # of a file, that are made at once
MANY = 1 << 16  # n-grams that are looked up in the order in which they are listed

NGram = tuple[str, ...]
Pieces = Iterator[tuple[Sequence[str], list[float], list[float]]]


class ArpaLm:
    """A back-off n-gram model.

    Attributes:
        words: the unigrams, sorted; the number of a word is its place here.
        keys: by order, (N,) uint64, sorted: ``place of the prefix * V + word``; of unigrams the word.
        probs: by order, (N,) log10 probabilities.
        backoffs: by order, (N,) log10 back-off weights; those of the last order are zero.
        shelf: where arrays are made.
    """

    def __init__(
        self,
        words: list[str],
        keys: list[np.ndarray],
        probs: list[np.ndarray],
        backoffs: list[np.ndarray],
        shelf: Shelf = MEMORY,
    ) -> None:
        self.vocabulary, self.keys, self.probs, self.backoffs, self.shelf = words, keys, probs, backoffs, shelf

    @classmethod
    def of(cls, grams: Sequence[Mapping[NGram, tuple[float, float]]]) -> "ArpaLm":
        """A small model of dictionaries: ``grams[k - 1]`` maps k-grams to (log10 probability, log10 back-off)."""
        words = sorted(w for (w,) in grams[0])
        lm = cls(words, [], [], [])
        for order, own in enumerate(grams, 1):
            ids = np.array([[lm.ids[w] for w in gram] for gram in own], np.int64).reshape(len(own), order)
            values = np.array(list(own.values()), np.float64).reshape(-1, 2)
            lm.add_order(list(ids.T), values[:, 0], values[:, 1])
        return lm

    @property
    def order(self) -> int:
        """Length of the longest n-grams."""
        return len(self.keys)

    @property
    def sizes(self) -> list[int]:
        """How many n-grams there are of each order."""
        return [len(keys) for keys in self.keys]

    @cached_property
    def ids(self) -> dict[str, int]:
        """The number of each word."""
        return {word: i for i, word in enumerate(self.vocabulary)}

    @property
    def words(self) -> list[str]:
        """The unigrams, without <s> and </s>."""
        return [w for w in self.vocabulary if w not in (BOS, EOS)]

    @cached_property
    def grams(self) -> list[dict[NGram, tuple[float, float]]]:
        """The n-grams of a small model as dictionaries, see `of`."""
        return [
            {tuple(gram.split(" ")): (p, b) for piece in self.pieces(k) for gram, p, b in zip(*piece, strict=True)}
            for k in range(1, self.order + 1)
        ]

    def add_order(self, columns: list[np.ndarray], probs: np.ndarray, backoffs: np.ndarray) -> tuple[int, int] | None:
        """Add the n-grams of the next order; where the prefix of one is not listed it is, as likely as by backing off.

        Args:
            columns: numbers of words, an array for each place.
            probs: log10. backoffs: log10.

        Returns:
            the places, in what was given, of an n-gram that is there twice; None if there is none.
        """
        keys, lost = self._keys(columns)
        if len(lost):
            self._insert([column[lost] for column in columns[:-1]])
            keys, _ = self._keys(columns)
        keys, values, twice = sort(self.shelf, keys, (probs, backoffs))
        self.keys.append(keys)
        self.probs.append(values[0])
        self.backoffs.append(values[1])
        return twice

    def _keys(self, columns: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """The keys of n-grams, and the places of those whose prefixes are not listed."""
        keys, lost = self.shelf.growing(np.uint64), [np.zeros(0, np.int64)]
        for part in self.shelf.parts(len(columns[0])):
            own = [column[part] for column in columns]
            prefix = self.find(own[:-1]) if len(own) > 1 else np.zeros(len(own[0]), np.int64)
            lost.append(np.flatnonzero(prefix < 0) + part.start)
            keys.append(prefix.astype(np.uint64) * np.uint64(len(self.vocabulary)) + own[-1].astype(np.uint64))
        return keys.done(), np.concatenate(lost)

    def _insert(self, columns: list[np.ndarray]) -> None:
        """List n-grams, of the highest order so far, that are not listed; any number of times the same."""
        shorter = self.find(columns[:-1])
        lost = np.flatnonzero(shorter < 0)
        if len(lost):
            self._insert_below([column[lost] for column in columns[:-1]])
            shorter = self.find(columns[:-1])
        keys = shorter.astype(np.uint64) * np.uint64(len(self.vocabulary)) + columns[-1].astype(np.uint64)
        keys, first = np.unique(keys, return_index=True)
        probs = self.log10_probs([column[first] for column in columns[:-1]], columns[-1][first])
        self._merge(len(columns), keys, probs)

    def _insert_below(self, columns: list[np.ndarray]) -> None:
        """As `_insert`, one order down, whose places the highest order refers to."""
        top = self.keys.pop(), self.probs.pop(), self.backoffs.pop()
        old = self.keys[-1]
        self._insert(columns)
        prefix, word = np.divmod(top[0], np.uint64(len(self.vocabulary)))
        moved = np.searchsorted(self.keys[-1], old[prefix.astype(np.int64)]).astype(np.uint64)
        self.keys.append(self.shelf.keep(moved * np.uint64(len(self.vocabulary)) + word))
        self.probs.append(top[1])
        self.backoffs.append(top[2])

    def _merge(self, k: int, keys: np.ndarray, probs: np.ndarray) -> None:
        at, keep = np.searchsorted(self.keys[k - 1], keys), self.shelf.keep
        self.keys[k - 1] = keep(np.insert(self.keys[k - 1], at, keys))
        self.probs[k - 1] = keep(np.insert(self.probs[k - 1], at, probs))
        self.backoffs[k - 1] = keep(np.insert(self.backoffs[k - 1], at, 0.0))

    def prefix(self, k: int, places: slice = slice(None)) -> np.ndarray:
        """(N,) int64: the place of the first k - 1 words of each k-gram."""
        return (self.keys[k - 1][places] // np.uint64(len(self.vocabulary))).astype(np.int64)

    def last(self, k: int, places: slice = slice(None)) -> np.ndarray:
        """(N,) int64: the last word of each k-gram."""
        return (self.keys[k - 1][places] % np.uint64(len(self.vocabulary))).astype(np.int64)

    def columns(self, k: int, places: np.ndarray | slice = slice(None)) -> list[np.ndarray]:
        """The words of k-grams, an array for each place in them."""
        keys, size = self.keys[k - 1][places], np.uint64(len(self.vocabulary))
        columns = []
        for j in range(k, 1, -1):
            above, word = np.divmod(keys, size)
            columns.append(word.astype(np.int64))
            keys = self.keys[j - 2][above.astype(np.int64)]
        return [keys.astype(np.int64), *columns[::-1]]

    def find(self, columns: Sequence[np.ndarray]) -> np.ndarray:
        """(N,) int64: the places of n-grams among those of their order; -1 for those that are not listed."""
        place = columns[0].astype(np.int64)
        for k, column in enumerate(columns[1:], 2):
            place = self.longer(k, place, column)
        return place

    def longer(self, k: int, prefix: np.ndarray, word: np.ndarray) -> np.ndarray:
        """The places of k-grams whose prefixes are known by place; -1 where either is not listed."""
        if k == 1:
            return word
        if not len(self.keys[k - 1]):
            return np.full(len(word), -1)
        key = np.maximum(prefix, 0).astype(np.uint64) * np.uint64(len(self.vocabulary)) + word.astype(np.uint64)
        if len(key) > MANY:
            # From the first to the last, as processors and disks like it.
            order = np.argsort(key)
            found = np.empty(len(key), np.int64)
            found[order] = self._listed(k, key[order])
        else:
            found = self._listed(k, key)
        return np.where((prefix >= 0) & (word >= 0), found, -1)

    def _listed(self, k: int, key: np.ndarray) -> np.ndarray:
        place = np.minimum(np.searchsorted(self.keys[k - 1], key), len(self.keys[k - 1]) - 1)
        return np.where(self.keys[k - 1][place] == key, place, -1)

    def log10_probs(self, context: Sequence[np.ndarray], words: np.ndarray) -> np.ndarray:
        """(N,) log10 P(word | context).

        Args:
            context: numbers of the words before, the last one last, an array for each place; -1 where there is none.
            words: numbers.
        """
        total = np.zeros(len(words))
        left = np.arange(len(words))  # those that are not found yet
        context = list(context[max(0, len(context) - self.order + 1) :])
        for length in range(len(context), -1, -1):
            own = [column[left] for column in context[len(context) - length :]]
            # A context that is cut short by the sentence's beginning is that of a lower order.
            there = own[0] >= 0 if own else np.ones(len(left), bool)
            history = np.where(there, self.find(own), -1) if own else np.zeros(len(left), np.int64)
            place = self.longer(length + 1, history, words[left]) if own else words[left]
            found = place >= 0
            total[left[found]] += self.probs[length][place[found]]
            if own:
                backed = ~found & (history >= 0)
                total[left[backed]] += self.backoffs[length - 1][history[backed]]
            left = left[~found]
        return total

    def log10_prob(self, history: Sequence[str], word: str) -> float:
        """log10 P(word | history); only the last order-1 words of the history count.

        Raises:
            DataError: the model knows neither the word nor <UNK>.
        """
        number = self.number(word)
        if number < 0:
            raise DataError(f"the language model does not know the word '{word}', and has no {UNK}")
        context = [np.array([self.ids.get(w, -2)]) for w in history[max(0, len(history) - self.order + 1) :]]
        # Nothing longer than what follows a word that is not known is listed.
        unknown = max((i + 1 for i, w in enumerate(context) if w[0] == -2), default=0)
        return float(self.log10_probs(context[unknown:], np.array([number]))[0])

    def number(self, word: str) -> int:
        """The number of a word, or of <UNK> if it is not known; -1 where there is none."""
        return self.ids.get(word, self.ids.get(UNK, -1))

    def sentence_log_prob(self, words: Sequence[str]) -> float:
        """Natural log of P(words </s> | <s>). Raises as `log10_prob`."""
        for word in words:
            if self.number(word) < 0:
                raise DataError(f"the language model does not know the word '{word}', and has no {UNK}")
        return float(self.sentence_log10([[self.number(w) for w in words]])[0].sum()) * math.log(10.0)

    def sentence_log10(self, sentences: Sequence[Sequence[int]]) -> list[np.ndarray]:
        """Of each sentence of numbers, log10 P of each word and of its end; -1 is a word that is not known."""
        flat = np.array([i for words in sentences for i in (*words, self.ids[EOS])], np.int64)
        return np.split(self.text_log10(flat), np.cumsum([len(words) + 1 for words in sentences])[:-1])

    def text_log10(self, numbers: np.ndarray) -> np.ndarray:
        """(N,) log10 P of the words of sentences, each of which ends with </s>; LOG_ZERO of those that are -1."""
        ends = np.flatnonzero(numbers == self.ids[EOS])
        starts = np.concatenate((np.zeros(1, np.int64), ends[:-1] + 1))[: len(ends)]
        place = np.arange(len(numbers)) - np.repeat(starts, ends + 1 - starts)
        context = []
        for j in range(self.order - 1, 0, -1):
            before = np.full(len(numbers), -1)
            before[j:] = numbers[:-j]
            before[place < j] = -1
            before[place == j - 1] = self.ids.get(BOS, -1)
            context.append(before)
        return np.where(numbers < 0, LOG_ZERO, self.log10_probs(context, numbers))

    def perplexity(self, sentences: Iterable[Sequence[str]]) -> float:
        """exp of the mean negative log-probability per word, </s> counted as a word."""
        total, count = 0.0, 0
        for words in sentences:
            total += self.sentence_log_prob(words)
            count += len(words) + 1
        if not count:
            raise DataError("perplexity of no sentences")
        try:
            return math.exp(-total / count)
        except OverflowError:  # words of LOG_ZERO
            return math.inf

    def pieces(self, k: int) -> Pieces:
        """The k-grams in their order, some at once: words, log10 probabilities, log10 back-off weights."""
        word = self.vocabulary.__getitem__
        for at in range(0, len(self.keys[k - 1]), LINES):
            part = slice(at, at + LINES)
            columns = [map(word, column.tolist()) for column in self.columns(k, part)]
            grams = list(map(" ".join, zip(*columns, strict=True)))
            yield grams, self.probs[k - 1][part].tolist(), self.backoffs[k - 1][part].tolist()

    def write(self, path: str | Path) -> None:
        """Write the model as an ARPA file, n-grams sorted; gzipped if the name ends in .gz."""
        write_arpa(path, self.sizes, ((k, self.pieces(k)) for k in range(1, self.order + 1)))


def write_arpa(path: str | Path, sizes: Sequence[int], orders: Iterable[tuple[int, Pieces]]) -> None:
    """Write an ARPA file, gzipped if its name ends in .gz.

    Args:
        path: the file.
        sizes: how many n-grams each order has.
        orders: (order, its n-grams some at once), from 1 on.
    """
    with _arpa_file(path) as file:
        file.write("\\data\\\n")
        file.writelines(f"ngram {k}={n}\n" for k, n in enumerate(sizes, 1))
        for k, pieces in orders:
            file.write(f"\n\\{k}-grams:\n")
            last = k == len(sizes)
            for grams, probs, backoffs in pieces:
                file.writelines(
                    f"{p:.7g}\t{gram}\t{b:.7g}\n" if b and not last else f"{p:.7g}\t{gram}\n"
                    for gram, p, b in zip(grams, probs, backoffs, strict=True)
                )
        file.write("\n\\end\\\n")


@contextmanager
def _arpa_file(path: str | Path) -> Iterator[TextIO]:
    with replacing(path) as temporary:
        if not str(path).endswith(".gz"):
            with temporary.open("w", encoding="utf-8") as file:
                yield file
            return
        # Without a time of day in it, the same model is the same file.
        with (
            temporary.open("wb") as raw,
            gzip.GzipFile("", "wb", 1, raw, mtime=0) as packed,
            io.TextIOWrapper(io.BufferedWriter(packed, 1 << 20), encoding="utf-8") as file,
        ):
            yield file
