"""Phone n-grams: counts by hand, all ways of speaking a transcript, nothing that was not seen."""

import math

import pytest

from asrpar.errors import ConfigError, DataError
from asrpar.lm.phones import estimate_phone_lm

A, B, SIL = 1, 2, 3


def fixed(*phones):
    """A transcript that can be spoken in one way."""
    return [[(1.0, phones)]]


def silences(*words):
    """Words with silence or none around them, each with one pronunciation."""
    pause = [(0.5, ()), (0.5, (SIL,))]
    return [pause, *(c for word in words for c in ([(1.0, word)], pause))]


def test_a_bigram_by_hand():
    lm = estimate_phone_lm([fixed(A, B, A), fixed(A)], 2)
    assert lm.histories == [(), (A,), (B,)] and lm.num_arcs == 3
    assert lm.arcs[0] == {A: (0.0, 1)}
    assert lm.arcs[1][B] == (pytest.approx(math.log(1 / 3)), 2) and lm.final[1] == pytest.approx(math.log(2 / 3))
    assert lm.arcs[2] == {A: (0.0, 1)} and lm.final[2] == -math.inf
    assert lm.score([A, B, A]) == pytest.approx(math.log(2 / 9))
    assert lm.score([A, A]) == lm.score([A, B]) == lm.score([]) == -math.inf


def test_each_way_of_speaking_counts_with_its_probability():
    two = [[(0.25, (A,)), (0.75, (B, A))]]
    lm = estimate_phone_lm([two], 2)
    assert lm.score([A]) == pytest.approx(math.log(0.25)) and lm.score([B, A]) == pytest.approx(math.log(0.75))
    lm = estimate_phone_lm([silences((A,), (B,))], 4)
    ways = [
        [*([SIL] if x else []), A, *([SIL] if y else []), B, *([SIL] if z else [])]
        for x in (0, 1) for y in (0, 1) for z in (0, 1)
    ]  # fmt: skip
    assert sum(math.exp(lm.score(way)) for way in ways) == pytest.approx(1)
    assert all(lm.score(way) == pytest.approx(math.log(1 / 8)) for way in ways)


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_states_are_histories_and_probabilities_sum_to_one(order):
    lm = estimate_phone_lm([silences((A, B), (B,)), silences((B, B, A))], order)
    for history, arcs, final in zip(lm.histories, lm.arcs, lm.final, strict=True):
        assert math.fsum(math.exp(p) for p, _ in arcs.values()) + math.exp(final) == pytest.approx(1)
        for phone, (_, to) in arcs.items():
            assert lm.histories[to] == ((*history, phone)[-(order - 1) :] if order > 1 else ())


def test_a_model_of_nothing_is_refused():
    with pytest.raises(DataError, match="no training transcripts"):
        estimate_phone_lm([], 3)
    with pytest.raises(ConfigError, match="at least 1"):
        estimate_phone_lm([fixed(A)], 0)
