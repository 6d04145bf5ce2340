import numpy as np
import pytest

from asrpar.hmm.phones import Phones
from asrpar.hmm.segments import Segments
from asrpar.hmm.topologies import TOPOLOGIES
from asrpar.hmm.topologies.contract import State
from asrpar.hmm.transitions import with_counted_loops
from asrpar.hmm.tree import Tree

PHONES = Phones.with_silence(["A", "B"])


def mono(name):
    return Tree.monophone(PHONES, TOPOLOGIES.load(name)(TOPOLOGIES.settings(name)))


def test_loops_are_frames_behind_the_first_over_all():
    # Phone A ten times: 1, 4 and 2 frames in its states; B once, which tells too little.
    one = Segments(np.array([1] * 10), np.array([7] * 10), np.tile(np.repeat([0, 1, 2], [1, 4, 2]), 10))
    two = Segments(np.array([2]), np.array([3]), np.arange(3))
    tree = with_counted_loops(mono("three_state"), [one, two])
    assert [s.loop for s in tree.states(1)] == pytest.approx([0.01, 0.75, 0.5])
    assert tree.states(2) == mono("three_state").states(2)
    assert tree.digest == mono("three_state").digest


def test_one_state_of_two_pdf_classes():
    one = Segments(np.array([1] * 10), np.array([5] * 10), np.tile([0, 1, 1, 1, 1], 10))
    assert with_counted_loops(mono("chain"), [one]).states(1) == (State(0, 1, 0.8),)


def test_states_that_a_class_does_not_tell_are_left_alone():
    states = (State(0, 0, 0.6), State(0, 0, 0.7))
    tree = Tree(PHONES, "other", 1, [states] * 3, {(p, 0): p - 1 for p in PHONES.ids})
    one = Segments(np.array([1] * 10), np.array([5] * 10), np.zeros(50, np.int64))
    assert with_counted_loops(tree, [one]).states(1) == states
