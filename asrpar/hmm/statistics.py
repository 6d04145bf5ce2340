"""What trees are built from: a Gaussian's statistics for each state in each context.

Likelihoods are those of one Gaussian with a diagonal covariance at its maximum-likelihood values (Young, Odell and
Woodland 1994): of a count n, a sum s and a sum of squares q over D dimensions, with v = max(q/n - (s/n)^2, floor),
L = -n/2 (D (1 + ln 2 pi) + sum ln v). Counts, sums and squares are the columns of *rows* (N, 1 + 2 D), float64.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from asrpar.errors import DataError
from asrpar.hmm.segments import Segments

FRAMES_AT_ONCE = 200_000


def log_likelihood(rows: np.ndarray, floor: float) -> np.ndarray:
    """L of each row (..., 1 + 2 D); 0 where nothing was counted."""
    dims = (rows.shape[-1] - 1) // 2
    count = rows[..., 0]
    n = np.maximum(count, 1e-300)[..., None]
    variance = np.maximum(rows[..., 1 + dims :] / n - np.square(rows[..., 1 : 1 + dims] / n), floor)
    return np.where(count > 0, -0.5 * count * (dims * (1 + np.log(2 * np.pi)) + np.log(variance).sum(axis=-1)), 0.0)


@dataclass
class Statistics:
    """Rows for each context and pdf class that occurs; no larger than their number, however much is counted.

    Attributes:
        width: phones of a window.
        keys: the window, and behind it the pdf class (N, width + 1), int64, sorted, no two alike.
        rows: count, sum and sum of squares (N, 1 + 2 D), float64.
    """

    width: int
    keys: np.ndarray
    rows: np.ndarray

    @staticmethod
    def summed(width: int, keys: np.ndarray, rows: np.ndarray) -> "Statistics":
        """Of keys that may be in any order and occur several times."""
        if not len(keys):
            return Statistics(width, keys, rows)
        order = np.lexsort(keys.T[::-1])
        keys = keys[order]
        begins = np.flatnonzero(np.append(True, (keys[1:] != keys[:-1]).any(axis=1)))
        return Statistics(width, keys[begins], np.add.reduceat(rows[order], begins, axis=0))

    def __add__(self, other: "Statistics") -> "Statistics":
        """Of both: of shards of the data, or of what several processes have counted."""
        if (self.width, self.rows.shape[1]) != (other.width, other.rows.shape[1]):
            raise DataError("statistics of windows or features of different sizes cannot be added")
        return Statistics.summed(
            self.width, np.concatenate([self.keys, other.keys]), np.concatenate([self.rows, other.rows])
        )

    @property
    def frames(self) -> float:
        """All that were counted."""
        return float(self.rows[:, 0].sum())

    def by_root(self) -> dict[tuple[int, int], "Statistics"]:
        """Parts by (phone, pdf class), of those that occur."""
        central = 0 if self.width == 1 else 1
        order = np.lexsort([self.keys[:, -1], self.keys[:, central]])
        roots = self.keys[order][:, [central, -1]]
        begins = np.flatnonzero(np.append(True, (roots[1:] != roots[:-1]).any(axis=1))) if len(roots) else ()
        parts = np.split(order, begins[1:]) if len(roots) else []
        return {
            (int(phone), int(k)): Statistics(self.width, self.keys[part], self.rows[part])
            for (phone, k), part in zip(roots[begins], parts, strict=True)
        }

    @property
    def nothing(self) -> "Statistics":
        """Of no frames, with windows and features of the same sizes."""
        return Statistics(self.width, self.keys[:0], self.rows[:0])

    def save(self, path: str | Path) -> None:
        """Write a shard as a numpy archive."""
        with open(path, "wb") as file:
            np.savez(file, width=self.width, keys=self.keys, rows=self.rows)

    @staticmethod
    def load(path: str | Path) -> "Statistics":
        """Read what `save` wrote."""
        with np.load(path, allow_pickle=False) as found:
            return Statistics(int(found["width"]), found["keys"], found["rows"])


@dataclass
class Counter:
    """Counts utterances into statistics, some of them at once.

    Args:
        width: phones of a window.
        frames_at_once: are held before they are added to what was counted: memory is that of the contexts, and of
            the states of so many frames.
    """

    width: int
    frames_at_once: int = FRAMES_AT_ONCE
    _done: Statistics | None = None
    _keys: list[np.ndarray] = field(default_factory=list)
    _rows: list[np.ndarray] = field(default_factory=list)
    _held: int = 0

    def add(self, segments: Segments, features: np.ndarray) -> None:
        """Count an utterance.

        Args:
            segments: its phones.
            features: of its frames (T, D).

        Raises:
            DataError: there are not as many frames as the segments have.
        """
        frames = len(segments.classes)
        if len(features) != frames:
            raise DataError(f"{len(features)} frames of features, and segments of {frames}")
        if not frames:
            return
        # Runs of one pdf class within one phone: their sums are small, and few against frames.
        of_phone = np.repeat(np.arange(len(segments.phones)), segments.lengths)
        same = (of_phone[1:] == of_phone[:-1]) & (segments.classes[1:] == segments.classes[:-1])
        begins = np.flatnonzero(np.append(True, ~same))
        wide = features.astype(np.float64)
        sums = np.add.reduceat(np.concatenate([wide, np.square(wide)], axis=1), begins, axis=0)
        counts = np.diff(np.append(begins, frames)).astype(np.float64)
        windows = segments.windows(self.width)[of_phone[begins]]
        self._keys.append(np.concatenate([windows, segments.classes[begins, None].astype(np.int64)], axis=1))
        self._rows.append(np.concatenate([counts[:, None], sums], axis=1))
        self._held += frames
        if self._held >= self.frames_at_once:
            self._settle()

    def _settle(self) -> None:
        if self._keys:
            fresh = Statistics.summed(self.width, np.concatenate(self._keys), np.concatenate(self._rows))
            self._done = fresh if self._done is None else self._done + fresh
        self._keys, self._rows, self._held = [], [], 0

    def total(self) -> Statistics:
        """All that was counted.

        Raises:
            DataError: nothing was.
        """
        self._settle()
        if self._done is None:
            raise DataError("there are no frames to make a tree of")
        return self._done


def count(utterances: Iterable[tuple[Segments, np.ndarray]], width: int) -> Statistics:
    """Statistics of utterances: their segments, and features (T, D)."""
    counter = Counter(width)
    for segments, features in utterances:
        counter.add(segments, features)
    return counter.total()
