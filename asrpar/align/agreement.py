"""How well alignments agree: with each other, with true times, and with the spikes of a CTC model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from asrpar.align.spikes import Spikes
from asrpar.errors import DataError
from asrpar.hmm.alignments import Alignments

# Begin and end in seconds of each word, (n, 2), by utterance.
Times = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Agreement:
    """How far the bounds of the same words are apart.

    Attributes:
        differences: (words, 2) seconds, begin and end, first minus second.
    """

    differences: np.ndarray

    @property
    def words(self) -> int:
        """How many were compared."""
        return len(self.differences)

    def within(self, seconds: float) -> float:
        """The share of single bounds that are so near."""
        return float((np.abs(self.differences) <= seconds + 1e-9).mean())

    def both_within(self, seconds: float) -> float:
        """The share of words of which both bounds are."""
        return float((np.abs(self.differences) <= seconds + 1e-9).all(axis=1).mean())

    @property
    def median_error(self) -> float:
        """Of single bounds, in seconds."""
        return float(np.median(np.abs(self.differences)))

    @property
    def medians(self) -> tuple[float, float]:
        """Of the differences of begins and of ends, in seconds: whether one is late."""
        begin, end = np.median(self.differences, axis=0)
        return float(begin), float(end)


def word_times(ali: Alignments, split: str) -> dict[str, np.ndarray]:
    """Begin and end of the words of a set's utterances."""
    return {
        u.id: np.array([(start, start + length) for _, start, length in u.words]).reshape(-1, 2)
        for u in ali.utterances(split)
    }


def agreement(first: Times, second: Times) -> Agreement:
    """Compare the words of utterances that are in both.

    Raises:
        DataError: there are none, or an utterance has not the same number of words in both.
    """
    both = [utterance for utterance in first if utterance in second]
    for utterance in both:
        if len(first[utterance]) != len(second[utterance]):
            raise DataError(
                f"{utterance} has {len(first[utterance])} words in one alignment and {len(second[utterance])} in the "
                "other: they are of different transcripts"
            )
    rows = [first[utterance] - second[utterance] for utterance in both if len(first[utterance])]
    if not rows:
        raise DataError("the alignments have no words in common")
    return Agreement(np.concatenate(rows))


def spikes_inside(ali: Alignments, split: str, spikes: Mapping[str, Spikes], tolerance: float = 0.0) -> tuple[int, int]:
    """How many spikes lie in the segment of their own unit, and of how many.

    Of words for which the two chose different pronunciations no spike counts.

    Args:
        ali: an alignment.
        split: of it.
        spikes: of its utterances, see `asrpar.align.spikes`; frames are those of the features.
        tolerance: seconds by which a spike may lie outside.
    """
    segments, numbers = ali.segments(split), ali.word_numbers(split)
    if segments is None or numbers is None:
        raise DataError(f"{ali.folder} has labels of frames without phones")
    reach = tolerance / ali.frame_shift
    inside = total = 0
    for utterance, found in spikes.items():
        if utterance not in segments:
            continue
        own = segments[utterance]
        ends = np.cumsum(own.lengths) * ali.subsampling
        starts = ends - own.lengths * ali.subsampling
        word_of = numbers[utterance]
        for word in np.unique(found.words):
            here, there = word_of == word, found.words == word
            if _same(own.phones[here], found.phones[there]):
                frames = found.frames[there]
                good = (frames >= starts[here] - reach) & (frames < ends[here] + reach)
                inside, total = inside + int(good.sum()), total + len(good)
    return inside, total


def _same(a: Sequence[int] | np.ndarray, b: Sequence[int] | np.ndarray) -> bool:
    return np.array_equal(np.asarray(a), np.asarray(b))
