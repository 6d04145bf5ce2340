"""Mixing matrices and matchings."""

from functools import reduce

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from asrpar.config import check
from asrpar.errors import ConfigError
from asrpar.parallel.gossip import graphs
from asrpar.parallel.gossip.mixer import TOPOLOGIES, MixingSettings, mixing_matrices

sizes = st.integers(1, 20)


@pytest.mark.parametrize(("size", "gap"), [(8, 0.1953), (16, 0.0507), (64, 0.0032)])
def test_spectral_gap_of_the_ring(size, gap):
    assert graphs.spectral_gap(graphs.ring(size)) == pytest.approx(gap, abs=5e-5)


@pytest.mark.parametrize("size", [1, 2, 5, 8])
def test_the_complete_graph_agrees_at_once(size):
    assert graphs.spectral_gap(graphs.complete(size)) == pytest.approx(1.0, abs=1e-7)


def test_learners_that_never_meet_have_no_gap():
    assert graphs.spectral_gap(graphs.averaging([(0, 1), (2, 3)], 4)) == pytest.approx(0.0)


@settings(max_examples=40, deadline=None)
@given(sizes, st.sampled_from(sorted(TOPOLOGIES)))
def test_every_graph_is_doubly_stochastic_and_brings_all_together(size, name):
    matrices = mixing_matrices("dpsgd", MixingSettings(topology=name), size, graphs.check_doubly_stochastic)
    assert all(m.shape == (size, size) and bool((m >= 0).all()) for m in matrices)
    assert graphs.spectral_gap(reduce(torch.matmul, matrices)) > 1e-3


@settings(max_examples=30, deadline=None)
@given(sizes)
def test_matchings_are_doubly_stochastic_and_touch_nobody_twice(size):
    for matching in graphs.tournament(size):
        graphs.check_doubly_stochastic(graphs.averaging(matching, size))
        touched = [i for pair in matching for i in pair]
        assert len(touched) == len(set(touched))
        assert all(0 <= i < j < size for i, j in matching)


@settings(max_examples=30, deadline=None)
@given(sizes, st.integers(0, 1000))
def test_rounds_hold_every_edge_once_and_no_learner_twice(size, seed):
    matrix = torch.rand(size, size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    matrix[matrix < 0.7] = 0.0
    rounds = graphs.matchings(matrix)
    edges = [pair for matching in rounds for pair in matching]
    wanted = {(i, j) for i in range(size) for j in range(i + 1, size) if matrix[i, j] or matrix[j, i]}
    assert set(edges) == wanted
    assert len(edges) == len(wanted)
    assert all(len({i for pair in m for i in pair}) == 2 * len(m) for m in rounds)


@pytest.mark.parametrize(("size", "rounds"), [(2, 1), (4, 2), (5, 3), (16, 2)])
def test_a_ring_takes_two_rounds_and_three_if_odd(size, rounds):
    assert len(graphs.matchings(graphs.ring(size))) == rounds


@pytest.mark.parametrize("size", [2, 5, 6])
def test_tournament_lets_everybody_meet_everybody(size):
    met = [pair for matching in graphs.tournament(size) for pair in matching]
    assert sorted(met) == [(i, j) for i in range(size) for j in range(i + 1, size)]


def test_one_round_of_exponential_averages_powers_of_two_exactly():
    product = reduce(torch.matmul, graphs.exponential(8))
    assert torch.equal(product, graphs.complete(8))


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ({"topology": "rink"}, "topology 'rink' is unknown; did you mean 'ring'"),
        ({"topology": "matrix"}, "give matrix or matrix_file"),
        ({"topology": "matrix", "matrix": [[1.0]]}, "2 learners need 2 rows of 2"),
        ({"topology": "matrix", "matrix": [[1.0, 0.0], [1.0]]}, "2 learners need 2 rows of 2"),
        ({"topology": "matrix", "matrix": [[1.5, -0.5], [-0.5, 1.5]]}, "negative"),
        ({"topology": "matrix", "matrix": [[0.5, 0.5], [0.6, 0.5]]}, "row 1 .* adds up to 1.1"),
        ({"topology": "matrix", "matrix": [[0.5, 0.5], [0.6, 0.4]]}, "column 0 .* adds up to 1.1"),
        ({"topology": "matrix", "matrix": [[1.0, 0.0], [0.0, 1.0]]}, "never hear of each other"),
        ({"topology": "matrix", "matrix": [[0.0, 1.0], [1.0, 0.0]]}, "swaps them for ever"),
        ({"topology": "matrix", "matrix_file": "/nowhere"}, "cannot read a mixing matrix from /nowhere"),
    ],
)
def test_impossible_graphs_are_refused(block, message):
    with pytest.raises(ConfigError, match=message):
        check(MixingSettings(**block))
        mixing_matrices("dpsgd", MixingSettings(**block), 2, graphs.check_doubly_stochastic)


def test_a_matrix_can_come_from_a_file(tmp_path):
    path = tmp_path / "t.txt"
    path.write_text("0.75, 0.25\n\n0.25 0.75\n")
    block = MixingSettings(topology="matrix", matrix_file=str(path))
    (matrix,) = mixing_matrices("dpsgd", block, 2, graphs.check_doubly_stochastic)
    assert matrix.tolist() == [[0.75, 0.25], [0.25, 0.75]]
