"""Minimum Bayes risk, held against enumeration."""

import numpy as np
import pytest
from lattices import POINT, distance

from asrpar.decode.lattices.lattice import Lattice
from asrpar.decode.lattices.mbr import minimum_bayes_risk
from asrpar.decode.lattices.paths import at_points, best_arcs, words_of


def fan(sequences):
    """A lattice in which each of some (words, probability) has a way of its own."""
    arcs, states = [], 1
    for words, p in sequences:
        here = 0
        for i, w in enumerate(words):
            arcs.append((here, states, i % 2, w, -np.log(p) if i == 0 else 0.0, 0.0))
            here, states = states, states + 1
    final = np.full(states, np.inf)
    last = np.cumsum([len(words) for words, _ in sequences])
    final[last] = 0.0
    return Lattice.make("u", 9, list(np.array(arcs).T), final)


def costs_of(lattice):
    costs, ends = at_points(lattice, [POINT], 0)
    return costs[:, 0], ends[:, 0]


def test_risk_is_the_expected_distance_where_no_paths_meet():
    sequences = [((1, 2, 3), 0.4), ((1, 4, 3), 0.35), ((5, 4, 3), 0.25)]
    lattice = fan(sequences)
    best = minimum_bayes_risk(lattice, lattice.graph, lattice.final, (1, 2, 3))
    risks = {s: sum(p * distance(t, s) for t, p in sequences) for s, _ in sequences}
    assert best.risk == pytest.approx(risks[best.words], abs=1e-3)
    # The most probable sequence is not the one of least risk.
    assert best.words == min(risks, key=risks.get) == (1, 4, 3)
    assert best.confidences == pytest.approx((0.75, 0.6, 1.0), abs=1e-3)
    kept = minimum_bayes_risk(lattice, lattice.graph, lattice.final, (1, 2, 3), rounds=0)
    assert kept.words == (1, 2, 3) and kept.confidences == pytest.approx((0.75, 0.4, 1.0), abs=1e-3)


def test_risk_bounds_the_expected_distance_and_does_not_rise(lattices, all_paths):
    for lattice in lattices:
        costs, ends = costs_of(lattice)
        ((arcs, _),) = best_arcs(lattice, costs[:, None], ends[:, None])
        first = minimum_bayes_risk(lattice, costs, ends, words_of(lattice, arcs), rounds=0)
        found = minimum_bayes_risk(lattice, costs, ends, words_of(lattice, arcs))
        paths = all_paths(lattice, POINT)
        weights = np.exp([-cost for _, cost in paths])
        weights /= weights.sum()
        expected = sum(p * distance(words, found.words) for p, (words, _) in zip(weights, paths, strict=True))
        assert expected - 1e-6 <= found.risk <= first.risk + 1e-9
        assert found.risk <= expected + 0.3
        assert all(0.0 <= c <= 1.0 for c in found.confidences)
        assert all(0.0 <= f <= lattice.num_frames for f in found.frames)


def test_one_path_is_certain():
    lattice = fan([((1, 2, 3), 1.0)])
    found = minimum_bayes_risk(lattice, lattice.graph, lattice.final, ())
    assert (found.words, found.confidences) == ((1, 2, 3), (1.0, 1.0, 1.0))
    assert found.frames == (0.0, 1.0, 2.0) and found.risk == pytest.approx(0.0)
