"""How n-grams of words are written as keys that sort as their words do, and into which bucket each belongs.

A key is one number where the words fit into its 64 bits, for that is the fastest to sort; where there are too many
different words for the order, it is the words' numbers, four bytes each. What is counted is the same.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

# That numbers may need: with 1,900 buckets counting took ten times as long as with keys of bytes in four.
MOST_BUCKETS = 256


class Layout:
    """Keys of 64 bits. Those of a bucket begin with its first word, so that four words of 18 bits fit.

    Args:
        frequency: (V,) how often each word occurs, <s> too.
        order: of the longest n-grams.
        most: n-grams of a bucket, where one word alone has not more.
    """

    widest = 0  # words of a bucket; 0: what the bits allow

    def __init__(self, frequency: np.ndarray, order: int, most: int) -> None:
        self.order, self.words = order, len(frequency)
        self.bits, width = _bits_and_width(self.words, order)
        width = self.widest or width
        firsts, here, size = [0], 0, 0
        for word, count in enumerate(frequency.tolist()):
            if word > here and (word - here == width or size + count > most):
                firsts.append(word)
                here, size = word, 0
            size += count
        self.first_words = np.array(firsts, np.int64)
        self.bucket_of = np.repeat(
            np.arange(len(firsts), dtype=np.uint16), np.diff([*firsts, self.words])
        )  # of each word

    @property
    def buckets(self) -> int:
        """How many there are."""
        return len(self.first_words)

    def dtype(self, k: int) -> np.dtype:
        """Of the keys of k-grams."""
        return np.dtype(np.uint64)

    def pack(self, columns: Sequence[np.ndarray]) -> np.ndarray:
        """Keys, in no bucket yet, of n-grams, an array of words for each place."""
        keys = columns[0].astype(np.uint64)
        for column in columns[1:]:
            keys = (keys << np.uint64(self.bits)) | column.astype(np.uint64)
        return keys

    def put(self, keys: np.ndarray, k: int, bucket: np.ndarray | int) -> np.ndarray:
        """Keys of k-grams as they are in their bucket, or in the bucket of each."""
        return keys - self._begins(k)[bucket]

    def suffixes(self, keys: np.ndarray, k: int) -> np.ndarray:
        """K-grams of a bucket without their first words; these are in no bucket yet."""
        return keys & ((np.uint64(1) << self._shift(k)) - np.uint64(1))

    def last_words(self, keys: np.ndarray) -> np.ndarray:
        """The last word of each."""
        return (keys & np.uint64((1 << self.bits) - 1)).astype(np.int64)

    def prefixes(self, keys: np.ndarray) -> np.ndarray:
        """K-grams of a bucket without their last words, in the same bucket."""
        return keys >> np.uint64(self.bits)

    def columns(self, keys: np.ndarray, k: int, bucket: int) -> list[np.ndarray]:
        """The words of k-grams of a bucket, an array for each place."""
        columns = [self.last_words(keys >> np.uint64(self.bits * j)) for j in range(k - 1)][::-1]
        first = (keys >> self._shift(k)).astype(np.int64) if k > 1 else keys.astype(np.int64)
        return [first + self.first_words[bucket], *columns]

    def parts(self, k: int, sorted_keys: np.ndarray) -> Iterator[tuple[int, slice, np.ndarray]]:
        """(bucket, where its k-grams stand, their keys there) of sorted k-grams that are in no bucket yet."""
        cuts = [*np.searchsorted(sorted_keys, self._begins(k)).tolist(), len(sorted_keys)]
        for bucket, (a, b) in enumerate(pairwise(cuts)):
            if b > a:
                yield bucket, slice(a, b), self.put(sorted_keys[a:b], k, bucket)

    def _shift(self, k: int) -> np.uint64:
        """Bits behind the first word of a k-gram."""
        return np.uint64(self.bits * (k - 1))

    def _begins(self, k: int) -> np.ndarray:
        """(buckets,) the k-gram that each bucket begins with; of numbers modulo 2^64."""
        return self.first_words.astype(np.uint64) << self._shift(k)


class WideLayout(Layout):
    """Keys of four bytes a word, the highest first, so that they sort as bytes do; the same in a bucket and in none."""

    widest = 1 << 31

    def dtype(self, k: int) -> np.dtype:
        """Of the keys of k-grams."""
        return np.dtype(f"S{4 * k}")

    def pack(self, columns: Sequence[np.ndarray]) -> np.ndarray:
        """As `Layout.pack`."""
        return _keys(np.stack(columns, 1, dtype=">u4", casting="unsafe"))

    def put(self, keys: np.ndarray, k: int, bucket: np.ndarray | int) -> np.ndarray:
        """As `Layout.put`."""
        return keys

    def suffixes(self, keys: np.ndarray, k: int) -> np.ndarray:
        """As `Layout.suffixes`."""
        return _keys(_words(keys)[:, 1:])

    def last_words(self, keys: np.ndarray) -> np.ndarray:
        """As `Layout.last_words`."""
        return _words(keys)[:, -1].astype(np.int64)

    def prefixes(self, keys: np.ndarray) -> np.ndarray:
        """As `Layout.prefixes`."""
        return _keys(_words(keys)[:, :-1])

    def columns(self, keys: np.ndarray, k: int, bucket: int) -> list[np.ndarray]:
        """As `Layout.columns`."""
        return list(_words(keys).T.astype(np.int64))

    def _begins(self, k: int) -> np.ndarray:
        return self.pack([self.first_words, *[np.zeros_like(self.first_words)] * (k - 1)])


def fits(words: int, order: int) -> bool:
    """Whether n-grams of so many different words can be numbers."""
    bits, width = _bits_and_width(words, order)
    return bits * (order - 1) <= 62 and words <= width * MOST_BUCKETS


def _bits_and_width(words: int, order: int) -> tuple[int, int]:
    """Of a word's number, and how many words a bucket may have."""
    bits = max(1, (words - 1).bit_length())
    return bits, 1 << min(bits, max(0, 64 - bits * (order - 1)))


def _words(keys: np.ndarray) -> np.ndarray:
    """(N, k) the words of keys of bytes."""
    return keys.view(">u4").reshape(len(keys), keys.dtype.itemsize // 4)


def _keys(words: np.ndarray) -> np.ndarray:
    """(N,) keys of bytes of (N, k) words."""
    return np.ascontiguousarray(words).view(f"S{4 * words.shape[1]}").reshape(len(words))
