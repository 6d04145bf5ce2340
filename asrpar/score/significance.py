"""Bootstrap: how sure an error rate is, and how sure a difference between two (Bisani and Ney, 2004).

What is drawn is speakers, each with all of his utterances (blockwise bootstrap: Liu and Peng, 2020, arXiv 1912.09508):
utterances of one speaker resemble each other, and drawn one by one they promise more than is known. Everything is
seeded: the same counts give the same interval on every machine.
"""

from collections.abc import Hashable, Iterator, Sequence

import numpy as np

from asrpar.errors import DataError

REPLICATIONS = 10_000
SEED = 0
# Fewer speakers than this have fewer than a hundred different resamples, too few for tails of 2.5 %.
MIN_SPEAKERS = 5
# Indices drawn at once: 4 million at 8 bytes.
_CHUNK = 4_000_000


def drawn_by(speakers: Sequence[Hashable]) -> str:
    """``speakers`` or, where there are too few of them, ``utterances``: what is resampled."""
    return "speakers" if len(set(speakers)) >= MIN_SPEAKERS else "utterances"


def wer_interval(
    errors: Sequence[int],
    ref_words: Sequence[int],
    speakers: Sequence[Hashable] | None = None,
    replications: int = REPLICATIONS,
    seed: int = SEED,
) -> tuple[float, float]:
    """The 95 % interval of the word error rate in percent: 2.5 and 97.5 percentiles over resampled sets.

    Args:
        errors: errors of each utterance.
        ref_words: reference words of each utterance.
        speakers: who spoke each utterance. Speakers are resampled if there are at least `MIN_SPEAKERS`, otherwise
            utterances.
        replications: resampled sets.
        seed: of the resampling.
    """
    e, w = (_blocks(counts, speakers) for counts in _arrays(errors, ref_words))
    rates = np.concatenate([_rates(e, w, i) for i in _resamples(len(e), replications, seed)])
    low, high = np.nanpercentile(rates, [2.5, 97.5])
    return float(low), float(high)


def probability_better(
    errors_a: Sequence[int],
    errors_b: Sequence[int],
    ref_words: Sequence[int],
    speakers: Sequence[Hashable] | None = None,
    replications: int = REPLICATIONS,
    seed: int = SEED,
) -> float:
    """Paired bootstrap: fraction of resampled sets on which B has fewer errors than A; a tie counts one half.

    0.5 says that nothing tells the two apart; above 0.975 or below 0.025 the difference is significant at 5 %.

    Args:
        errors_a: errors of A in each utterance.
        errors_b: errors of B in the same utterances.
        ref_words: reference words of each; only used to check that the sets have the same length.
        speakers: as for `wer_interval`.
        replications: resampled sets.
        seed: of the resampling.
    """
    a, _ = _arrays(errors_a, ref_words)
    b, _ = _arrays(errors_b, ref_words)
    difference = _blocks(a - b, speakers)
    wins = 0.0
    for indices in _resamples(len(difference), replications, seed):
        sums = difference[indices].sum(axis=1)
        wins += float((sums > 0).sum()) + 0.5 * float((sums == 0).sum())
    return wins / replications


def _arrays(errors: Sequence[int], ref_words: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    e, w = np.asarray(errors, dtype=np.int64), np.asarray(ref_words, dtype=np.int64)
    if len(e) != len(w) or len(e) == 0:
        raise DataError(f"bootstrap needs one count for each utterance: {len(e)} of errors, {len(w)} of words")
    return e, w


def _blocks(counts: np.ndarray, speakers: Sequence[Hashable] | None) -> np.ndarray:
    """Sums of what is drawn as one, in the order in which each first comes."""
    if speakers is None or drawn_by(speakers) == "utterances":
        return counts
    if len(speakers) != len(counts):
        raise DataError(f"bootstrap needs the speaker of each utterance: {len(speakers)} of {len(counts)} are known")
    number = {speaker: n for n, speaker in enumerate(dict.fromkeys(speakers))}
    sums = np.zeros(len(number), dtype=counts.dtype)
    np.add.at(sums, [number[speaker] for speaker in speakers], counts)
    return sums


def _resamples(utterances: int, replications: int, seed: int) -> Iterator[np.ndarray]:
    rng = np.random.default_rng(seed)
    while replications > 0:
        now = min(replications, max(1, _CHUNK // utterances))
        yield rng.integers(0, utterances, size=(now, utterances))
        replications -= now


def _rates(errors: np.ndarray, words: np.ndarray, indices: np.ndarray) -> np.ndarray:
    # A resample of empty references alone has no rate.
    counted = words[indices].sum(axis=1)
    return 100.0 * errors[indices].sum(axis=1) / np.where(counted > 0, counted, np.nan)
