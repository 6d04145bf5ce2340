from itertools import product

import kaldialign
import numpy as np
import pytest

from asrpar.errors import DataError
from asrpar.score.significance import probability_better, wer_interval


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
