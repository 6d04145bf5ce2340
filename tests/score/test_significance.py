from itertools import product

import kaldialign
import numpy as np
import pytest

from asrpar.errors import DataError
from asrpar.score.significance import drawn_by, probability_better, wer_interval


def test_interval_against_all_resamples():
    errors, words = [0, 1, 3, 0, 2], [4, 5, 6, 3, 7]
    rates = [100 * sum(errors[i] for i in d) / sum(words[i] for i in d) for d in product(range(5), repeat=5)]
    low, high = wer_interval(errors, words)
    # So few utterances give few different rates: the percentile may fall on the next one.
    assert np.percentile(rates, 2) <= low <= np.percentile(rates, 3)
    assert np.percentile(rates, 97) <= high <= np.percentile(rates, 98)


def test_interval_agrees_with_kaldialign():
    rng = np.random.default_rng(3)
    refs = [["A"] * n for n in rng.integers(3, 12, 300)]
    hyps = [["A" if x else "B" for x in rng.random(len(r)) > 0.1] for r in refs]
    errors = [h.count("B") for h in hyps]
    low, high = wer_interval(errors, [len(r) for r in refs])
    other = kaldialign.bootstrap_wer_ci(refs, hyps)
    assert low == pytest.approx(100 * other["ci95min"], abs=0.15)
    assert high == pytest.approx(100 * other["ci95max"], abs=0.15)
    assert low < 100 * sum(errors) / sum(map(len, refs)) < high


def test_same_counts_give_the_same_interval():
    errors, words = [1, 0, 2, 1] * 20, [5, 6, 7, 8] * 20
    assert wer_interval(errors, words) == wer_interval(errors, words)
    assert wer_interval(errors, words) != wer_interval(errors, words, seed=1)
    assert wer_interval([0] * 4, [3] * 4) == (0.0, 0.0)


def test_resamples_without_words_have_no_rate():
    # Each of the two utterances is the only one in a quarter of the resamples; one of them has no words.
    assert wer_interval([1, 0], [2, 0]) == (50.0, 50.0)


def test_chunks_do_not_change_the_interval(monkeypatch):
    whole = wer_interval([1, 0, 2], [3, 3, 3], replications=1000)
    monkeypatch.setattr("asrpar.score.significance._CHUNK", 30)
    assert wer_interval([1, 0, 2], [3, 3, 3], replications=1000) == whole


def test_paired_bootstrap():
    words = [5] * 50
    rng = np.random.default_rng(1)
    a = rng.integers(0, 3, 50)
    assert probability_better(a, a, words) == 0.5
    assert probability_better(a, np.maximum(a - 1, 0), words) > 0.999
    assert probability_better(np.maximum(a - 1, 0), a, words) < 0.001
    b = rng.permutation(a)
    assert probability_better(a, b, words) == pytest.approx(1 - probability_better(b, a, words))


def test_paired_bootstrap_against_all_resamples():
    a, b = np.array([1, 0, 2, 1]), np.array([0, 1, 1, 1])
    sums = [(a - b)[list(d)].sum() for d in product(range(4), repeat=4)]
    exact = np.mean([1.0 if s > 0 else 0.5 if s == 0 else 0.0 for s in sums])
    assert probability_better(a, b, [3] * 4) == pytest.approx(exact, abs=0.015)


def test_wrong_lengths():
    with pytest.raises(DataError):
        wer_interval([1], [1, 2])
    with pytest.raises(DataError):
        wer_interval([], [])


def test_speakers_are_drawn_with_all_of_their_utterances():
    errors, words = [1, 2, 0, 4, 1, 0, 3, 2, 1, 1], [5, 6, 4, 9, 5, 3, 8, 6, 5, 7]
    speakers = list("abcdeabcde")
    by_speaker = {s: (sum(x for x, t in zip(errors, speakers, strict=True) if t == s),
                      sum(x for x, t in zip(words, speakers, strict=True) if t == s)) for s in "abcde"}  # fmt: skip
    sums = list(by_speaker.values())
    rates = [100 * sum(sums[i][0] for i in d) / sum(sums[i][1] for i in d) for d in product(range(5), repeat=5)]
    low, high = wer_interval(errors, words, speakers)
    assert np.percentile(rates, 2) <= low <= np.percentile(rates, 3)
    assert np.percentile(rates, 97) <= high <= np.percentile(rates, 98)


def test_speakers_who_differ_make_the_interval_wider():
    # Ten speakers of twenty utterances, half of them with an error in each utterance.
    errors, words = [int(i % 10 < 5) for i in range(200)], [4] * 200
    speakers = [i % 10 for i in range(200)]
    low, high = wer_interval(errors, words)
    wide_low, wide_high = wer_interval(errors, words, speakers)
    assert wide_high - wide_low > 4 * (high - low)
    better = [0] * 40 + errors[40:]
    assert probability_better(errors, better, words, speakers) > 0.99
    # One speaker who is better is no proof, though his many utterances look like one.
    one = [0 if s == 0 else e for e, s in zip(errors, speakers, strict=True)]
    assert probability_better(errors, one, words) > 0.999
    assert probability_better(errors, one, words, speakers) < 0.9


def test_few_speakers_are_not_drawn():
    errors, words = [1, 0, 2, 1, 0, 0, 1, 2], [5, 6, 7, 8] * 2
    assert drawn_by("aabbccdd") == "utterances" and drawn_by("aabbccde") == "speakers"
    assert wer_interval(errors, words, "aabbccdd") == wer_interval(errors, words)
    assert wer_interval(errors, words, "aabbccde") != wer_interval(errors, words)
    # Each his own speaker: the same.
    assert wer_interval(errors, words, "abcdefgh") == wer_interval(errors, words)
    with pytest.raises(DataError, match="the speaker of each utterance: 5 of 8"):
        wer_interval(errors, words, "abcde")
