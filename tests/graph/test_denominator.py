"""Denominators: nodes and weights by hand, contexts, several states, what is left out, what is refused."""

import math

import numpy as np
import pytest

from asrpar.errors import ConfigError
from asrpar.graph.denominator import denominator, expand
from asrpar.hmm.nodes import Split
from asrpar.hmm.phones import Phones
from asrpar.hmm.topologies import TOPOLOGIES
from asrpar.hmm.topologies.contract import State
from asrpar.hmm.tree import Tree
from asrpar.lm.phones import PhoneLm, estimate_phone_lm

A, B, SIL = 1, 2, 3
PHONES = Phones.with_silence(["a", "b"])


def tree_of(topology="chain"):
    return Tree.monophone(PHONES, TOPOLOGIES.load(topology)(TOPOLOGIES.settings(topology)))


def bigram():
    """<s> -> a 1, a -> b 1/2, a -> </s> 1/2, b -> a 1."""
    half = math.log(0.5)
    return PhoneLm([(), (A,), (B,)], [{A: (0.0, 1)}, {B: (half, 2)}, {A: (0.0, 1)}], [-math.inf, half, -math.inf])


def matrix(hmm):
    """(S, S) probabilities of arcs from row to column."""
    found = np.zeros((len(hmm.pdfs), len(hmm.pdfs)))
    found[hmm.sources, hmm.targets] = np.exp(hmm.log_probs)
    return found


def test_the_chain_topology_has_two_nodes_for_each_history():
    hmm = denominator(bigram(), tree_of(), 10)
    assert hmm.pdfs.tolist() == [0, 1, 2, 3] and hmm.phones.tolist() == [A, A, B, B]
    assert hmm.begins.tolist() == [True, False, True, False]
    a_first = a_later = [0, 0.5, 0.25, 0]
    b_first = b_later = [0.5, 0, 0, 0.5]
    np.testing.assert_allclose(matrix(hmm), [a_first, a_later, b_first, b_later])
    np.testing.assert_allclose(np.exp(hmm.initial), [1, 0, 0, 0])
    np.testing.assert_allclose(np.exp(hmm.final), [0.25, 0.25, 0, 0])


def test_states_in_a_row():
    hmm = denominator(bigram(), tree_of("three_state"), 10)
    assert hmm.pdfs.tolist() == [0, 1, 2, 3, 4, 5] and hmm.begins.tolist() == [True, False, False] * 2
    loop = tree_of("three_state").states(A)[0].loop
    found = matrix(hmm)
    np.testing.assert_allclose(np.diag(found), loop)
    np.testing.assert_allclose(found[[0, 1, 3, 4, 5], [1, 2, 4, 5, 0]], 1 - loop)
    np.testing.assert_allclose(found[2, 3], 0.5 * (1 - loop))
    np.testing.assert_allclose(np.exp(hmm.final[[2, 5]]), [0.5 * (1 - loop), 0])


@pytest.mark.parametrize("topology", ["chain", "one_state", "three_state"])
@pytest.mark.parametrize("order", [1, 2, 3])
def test_what_leaves_a_node_sums_to_one(topology, order):
    lm = estimate_phone_lm([[[(1.0, (A, A, B))]], [[(0.5, (SIL, B)), (0.5, (B, A))]]], order)
    hmm = denominator(lm, tree_of(topology), 100)
    np.testing.assert_allclose(matrix(hmm).sum(1) + np.exp(hmm.final), 1)
    assert np.exp(hmm.initial).sum() == pytest.approx(1)
    assert len(set(zip(hmm.sources, hmm.targets, strict=True))) == len(hmm.sources)


def left_tree():
    """The first frames of b ask whether a stands on their left."""
    states = [(State(0, 1, 0.5),)] * 3
    roots = {(A, 0): 0, (A, 1): 1, (B, 0): Split(0, frozenset({A}), 2, 3), (B, 1): 4, (SIL, 0): 5, (SIL, 1): 6}
    return Tree(PHONES, "chain", 2, states, roots)


def test_a_left_context_is_known_even_where_the_language_model_forgets_it():
    lm = estimate_phone_lm([[[(1.0, (B, A, B, B))]]], 1)
    hmm = denominator(lm, left_tree(), 100)
    nodes = list(zip(hmm.phones.tolist(), hmm.pdfs.tolist(), strict=True))
    # After the begin b alone; each phone after each; and the phone's later frames.
    assert sorted(nodes) == sorted([(A, 0), (A, 1)] * 2 + [(B, 2), (B, 4)] + [(B, 3), (B, 4)] * 2)
    after_a, after_b = hmm.pdfs == 2, hmm.pdfs == 3
    found = matrix(hmm) > 0
    assert found[hmm.phones == A][:, after_a].any() and not found[hmm.phones == A][:, after_b].any()
    assert found[hmm.phones == B][:, after_b].any() and not found[hmm.phones == B][:, after_a].any()
    # A language model that knows as much needs no more nodes than it has arcs to states.
    assert len(denominator(estimate_phone_lm([[[(1.0, (B, A, B, B))]]], 3), left_tree(), 100).pdfs) == 8


def test_what_leads_nowhere_is_left_out():
    ends = {
        0: ([(A, 0.0, 1), (B, 0.0, 2)], -math.inf),
        1: ([], 0.0),
        2: ([(SIL, 0.0, 3)], -math.inf),
        3: ([], -math.inf),
    }
    hmm = expand(0, ends.get, tree_of(), 100)
    assert hmm.phones.tolist() == [A, A]
    assert expand(2, ends.get, tree_of(), 100) is None
    assert expand(1, ends.get, tree_of(), 100) is None  # the end, but no phones


def test_too_many_nodes_and_right_contexts_are_refused():
    with pytest.raises(ConfigError, match=r"more than 3 nodes: lower losses\.lfmmi\.lm_order"):
        denominator(bigram(), tree_of(), 3)
    states, roots = [(State(0, 0, 0.5),)] * 3, {(p, 0): p - 1 for p in (A, B, SIL)}
    with pytest.raises(ConfigError, match="asks for the next phone"):
        denominator(bigram(), Tree(PHONES, "one_state", 3, states, roots), 100)


def test_the_fewest_frames_of_a_path():
    hmm = denominator(bigram(), tree_of("three_state"), 10)
    assert hmm.fewest_frames == 3 and denominator(bigram(), tree_of(), 10).fewest_frames == 1
