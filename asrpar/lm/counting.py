"""Counts of n-grams of a text of any size, in bounded memory.

An n-gram is one key, see `asrpar.lm.packing`. The vocabulary is cut into ranges of words, buckets, so that the n-grams
that begin with a word of one bucket fit into memory; they are written to a file for each, sorted there, and counted.

What Kneser-Ney asks of a lower order, in how many different words' company an n-gram was seen on its left, comes from
the order above: each of its different n-grams, without the first word, is one.
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from asrpar.lm.packing import Layout, WideLayout, fits
from asrpar.lm.text_ids import IdFile

# Bytes that the work on one n-gram of a bucket takes, and on one word of the text while buckets are filled, with keys
# of eight bytes; and how many keys of an n-gram there are at once.
PER_NGRAM, PER_WORD, KEYS = 110, 110, 6
LEAST = 1000  # of them at once, however little memory is granted


class Store:
    """Arrays in files of one folder, by name; what is appended to one that is not there begins it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shutil.rmtree(folder, ignore_errors=True)  # of a process that was killed
        folder.mkdir(parents=True)

    def append(self, name: str, array: np.ndarray) -> None:
        """Put ``array`` to the end of a file."""
        if len(array):
            with (self.folder / name).open("ab") as file:
                file.write(np.ascontiguousarray(array))

    def write(self, name: str, array: np.ndarray) -> None:
        """Make a file of ``array``."""
        (self.folder / name).write_bytes(np.ascontiguousarray(array))

    def read(self, name: str, dtype: np.dtype | type, first: int = 0, count: int = -1) -> np.ndarray:
        """A file, or ``count`` values of it; none if there is no such file."""
        path = self.folder / name
        if count == 0 or not path.exists():
            return np.zeros(0, dtype)
        return np.fromfile(path, dtype, count, offset=first * np.dtype(dtype).itemsize)

    def remove(self, *names: str) -> None:
        """Remove files, where they are there."""
        for name in names:
            (self.folder / name).unlink(missing_ok=True)

    def close(self) -> None:
        """Remove all."""
        shutil.rmtree(self.folder, ignore_errors=True)


@dataclass
class Counts:
    """Counts of all orders: what `count_ngrams` leaves in its store.

    Of bucket b and order k, from 2 on: ``keys.k.b`` (sorted), ``counts.k.b`` (int64, as Kneser-Ney wants them),
    and where rare n-grams are not to be listed ``kept.k.b`` (bool).

    Attributes:
        layout: of the keys.
        unigrams: (V,) int64 counts of words.
        of_counts: of each order, how many n-grams have the count 1, 2, 3 and 4.
        totals: of each order, how many n-grams there are, and how many are kept.
    """

    layout: Layout
    unigrams: np.ndarray
    of_counts: list[dict[int, int]]
    totals: list[list[int]]


def count_ngrams(
    text: IdFile, rank: np.ndarray, bos: int, order: int, store: Store, memory: float, min_counts: Sequence[int] = ()
) -> Counts:
    """Count the n-grams of a text.

    Args:
        text: sentences.
        rank: (words,) the number that each word of the text has among those of the result; they order the n-grams.
        bos: <s> there.
        order: of the longest n-grams.
        store: for the counts, and all that comes between.
        memory: bytes that may be taken.
        min_counts: by order, how often an n-gram must occur in the text to be kept; the last holds for higher orders.
    """
    words = int(rank.max(initial=bos)) + 1
    frequency = np.bincount(rank[: len(text.counts)], text.counts.astype(float), minlength=words).astype(np.int64)
    unigrams = frequency.copy()
    frequency[bos] = text.sentences
    kind = Layout if fits(words, order) else WideLayout
    more = 0 if kind is Layout else KEYS * (4 * order - 8)
    most = max(LEAST, int(memory / (PER_NGRAM + more)))
    layout = kind(frequency, order, most)
    # Fewest counts by order, from 1 on; raw counts are carried along where they matter.
    least = [*min_counts, *[min_counts[-1] if min_counts else 1] * (order - len(min_counts))]
    counts = Counts(layout, unigrams, [{} for _ in range(order)], [[0, 0] for _ in range(order)])
    if order > 1:
        for block in text.blocks(max(LEAST, int(memory / (PER_WORD + more)))):
            _fill_buckets(rank[block], layout, bos, order, store)
        counts.unigrams = np.zeros(words, np.int64)
    for k in range(order, 1, -1):
        for bucket in range(layout.buckets):
            _count_bucket(k, bucket, counts, store, least, most)
    seen = counts.unigrams[counts.unigrams > 0]
    counts.of_counts[0] = {c: int((seen == c).sum()) for c in range(1, 5)}
    return counts


def _fill_buckets(words: np.ndarray, layout: Layout, bos: int, order: int, store: Store) -> None:
    """Write the n-grams of a piece of text to the files of their buckets."""
    ends = np.flatnonzero(words == words[-1])  # the end of a sentence, as the last is
    starts = np.concatenate(([0], ends[:-1] + 1))
    padded = np.insert(words, starts, bos)
    begin = starts + np.arange(len(starts))
    length = np.diff(np.append(begin, len(padded)))
    left = np.repeat(begin + length, length) - np.arange(len(padded))  # words from here to the end of the sentence
    for k in range(2, order):
        # What begins with <s> has nothing on its left: its counts are those of the text.
        at = begin[length >= k]
        keys, n = np.unique(_pack(layout, padded, at, k), return_counts=True)
        _append(store, layout, k, keys, n.astype(np.int64), n.astype(np.int64))
    at = np.flatnonzero(left >= order)
    bucket = layout.bucket_of[padded[at]]
    keys = layout.put(_pack(layout, padded, at, order), order, bucket)
    by_bucket = np.argsort(bucket, kind="stable")
    keys = keys[by_bucket]
    cuts = np.searchsorted(bucket[by_bucket], np.arange(layout.buckets + 1))
    for b in np.flatnonzero(np.diff(cuts)).tolist():
        store.append(f"text.{b}", keys[cuts[b] : cuts[b + 1]])


def _pack(layout: Layout, padded: np.ndarray, at: np.ndarray, k: int) -> np.ndarray:
    return layout.pack([padded[at + j] for j in range(k)])


def _append(store: Store, layout: Layout, k: int, keys: np.ndarray, n: np.ndarray, raw: np.ndarray) -> None:
    """Put a part of the counts of order k, sorted, to those of the buckets."""
    for bucket, where, own in layout.parts(k, keys):
        store.append(f"part.{k}.{bucket}", own)
        store.append(f"part_n.{k}.{bucket}", n[where])
        store.append(f"part_raw.{k}.{bucket}", raw[where])


def _count_bucket(k: int, bucket: int, counts: Counts, store: Store, least: Sequence[int], most: int) -> None:
    """Sort and count the k-grams of a bucket, and pass them on to order k - 1."""
    layout = counts.layout
    if k == layout.order:
        keys, n = _from_text(store, f"text.{bucket}", layout.dtype(k), most)
        raw = n
        store.remove(f"text.{bucket}")
    else:
        names = [f"{kind}.{k}.{bucket}" for kind in ("part", "part_n", "part_raw")]
        keys, n, raw = (
            store.read(name, t) for name, t in zip(names, (layout.dtype(k), np.int64, np.int64), strict=True)
        )
        keys, n, raw = _summed(keys, n, raw)
        store.remove(*names)
    if not len(keys):
        return
    for c in range(1, 5):
        counts.of_counts[k - 1][c] = counts.of_counts[k - 1].get(c, 0) + int((n == c).sum())
    kept = raw >= least[k - 1]
    counts.totals[k - 1][0] += len(keys)
    counts.totals[k - 1][1] += int(kept.sum())
    store.write(f"keys.{k}.{bucket}", keys)
    store.write(f"counts.{k}.{bucket}", n)
    if least[k - 1] > 1:
        store.write(f"kept.{k}.{bucket}", kept)
    shorter = layout.suffixes(keys, k)
    if k == 2:
        # Only a bigram is shorter by a word alone.
        counts.unigrams += np.bincount(layout.last_words(shorter), minlength=len(counts.unigrams))
        return
    if least[k - 2] > 1:
        by_key = np.argsort(shorter)
        shorter, raw = shorter[by_key], raw[by_key]
    else:
        shorter = np.sort(shorter)
    starts = _starts(shorter)
    n = np.diff(np.append(starts, len(shorter)))
    _append(store, layout, k - 1, shorter[starts], n, np.add.reduceat(raw, starts) if least[k - 2] > 1 else n)


def _from_text(store: Store, name: str, dtype: np.dtype, most: int) -> tuple[np.ndarray, np.ndarray]:
    """The different n-grams of a file and how often each occurs; of one that is too large by pieces."""
    keys, n, at = np.zeros(0, dtype), np.zeros(0, np.int64), 0
    while len(found := store.read(name, dtype, at, most)):
        at += len(found)
        found.sort()
        starts = _starts(found)
        times = np.diff(np.append(starts, len(found)))
        found = found[starts]
        if len(keys):
            found, times, _ = _summed(np.concatenate((keys, found)), np.concatenate((n, times)))
        keys, n = found, times
    return keys, n


def _summed(
    keys: np.ndarray, n: np.ndarray, raw: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The different keys, sorted, and the sums of their counts."""
    if not len(keys):
        return keys, n, n
    by_key = np.argsort(keys)
    keys = keys[by_key]
    starts = _starts(keys)
    n = np.add.reduceat(n[by_key], starts)
    return keys[starts], n, n if raw is None else np.add.reduceat(raw[by_key], starts)


def _starts(keys: np.ndarray) -> np.ndarray:
    """Where a new one begins among sorted keys."""
    return np.flatnonzero(np.concatenate(([True], keys[1:] != keys[:-1]))) if len(keys) else np.zeros(0, np.int64)
