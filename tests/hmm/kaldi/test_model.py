"""Kaldi's trees and models as trees here, and back."""

import itertools

import numpy as np
import pytest

from asrpar.errors import DataError
from asrpar.hmm.alignment_files import Aligned, writing_alignments
from asrpar.hmm.alignments import AlignmentInfo, Alignments
from asrpar.hmm.kaldi.model import TransitionIds, export_model, import_tree, scaled_counts
from asrpar.hmm.kaldi.topology import NO_PDF, KaldiState, left_to_right
from asrpar.hmm.kaldi.transitions import TransitionModel
from asrpar.hmm.kaldi.tree import ContextDependency, Leaf, Table
from asrpar.hmm.nodes import Split
from asrpar.hmm.phones import Phones
from asrpar.hmm.segments import Segments, relabel
from asrpar.hmm.topologies import TOPOLOGIES
from asrpar.hmm.topologies.contract import State
from asrpar.hmm.tree import Tree

PHONES = Phones(("SIL", "A", "B"), (1,))


def chain():
    """Pairs of pdfs: the first frame asks for the phone on the left, later ones ask otherwise."""
    topology = TOPOLOGIES.load("chain")(TOPOLOGIES.settings("chain"))
    mono = Tree.monophone(PHONES, topology)
    roots = {**mono.roots, (2, 0): Split(0, frozenset({0, 1}), 2, 6), (2, 1): Split(0, frozenset({1, 2}), 3, 7)}
    return Tree(PHONES, "chain", 2, [mono.states(p) for p in PHONES.ids], roots)


def test_pairs_of_pdfs_are_those_of_one_context():
    model = export_model(chain())
    # Left 0 gives 2 and 7, left 1 gives 2 and 3, left 2 gives 6 and 3, left 3 gives 6 and 7: all four here.
    assert model.tuples.tolist() == [[1, 0, 0, 1], *([2, 0, a, b] for a in (2, 6) for b in (3, 7)), [3, 0, 4, 5]]
    narrow = chain()
    roots = {**narrow.roots, (2, 1): Split(0, frozenset({0, 1}), 3, 7)}
    tree = Tree(PHONES, "chain", 2, [narrow.states(p) for p in PHONES.ids], roots)
    assert export_model(tree).tuples.tolist() == [[1, 0, 0, 1], [2, 0, 2, 3], [2, 0, 6, 7], [3, 0, 4, 5]]


@pytest.mark.parametrize("name", ["chain", "three_state", "one_state"])
def test_transition_ids_read_as_what_they_were_made_of(name):
    draw = np.random.default_rng(2)
    tree = chain() if name == "chain" else Tree.monophone(PHONES, TOPOLOGIES.load(name)(TOPOLOGIES.settings(name)))
    model, ids = export_model(tree), None
    maker = TransitionIds(tree, model)
    for _ in range(5):
        phones = draw.integers(1, 4, size=8)
        lengths = draw.integers(3, 7, size=8)
        last = {"chain": 1, "three_state": 2, "one_state": 0}[name]
        classes = np.concatenate([np.minimum(np.arange(n), last) for n in lengths])
        segments = Segments(phones, lengths, classes)
        ids = maker.of(segments, "u")
        assert model.pdf_of[ids].tolist() == relabel(segments, tree).tolist()
        found = model.segments(ids, "u")
        assert found.phones.tolist() == phones.tolist() and found.lengths.tolist() == lengths.tolist()
        assert found.classes.tolist() == classes.tolist()
    if name == "three_state":
        for classes in ([0, 0, 2], [0, 2, 1], [1, 1, 2]):
            with pytest.raises(DataError, match=r"u: a phone skips states or goes back.*export pdfs"):
                maker.of(Segments(np.array([2]), np.array([3]), np.array(classes)), "u")


def ergodic():
    """Silence of Kaldi's kind: its states lead to each other, and share a pdf."""
    ways = tuple((t, 0.25) for t in range(4))
    silence = (*(KaldiState(k, k, ways) for k in range(3)), KaldiState(NO_PDF, NO_PDF, ()))
    speech = left_to_right([State(k, k, 0.6) for k in range(3)])
    topology = {1: silence, 2: speech, 3: speech}
    triples = [(1, k, 0) for k in range(3)] + [(p, k, 3 * p - 5 + k) for p in (2, 3) for k in range(3)]
    tables = [Table(-1, tuple(Leaf(d) for p, _, d in triples if p == phone)) for phone in (1, 2, 3)]
    model = TransitionModel.of(topology, [(p, k, d, d) for p, k, d in triples])
    return ContextDependency(1, 0, Table(0, (None, *tables))), model


def test_silence_with_ways_back_keeps_its_classes_of_frames(tmp_path, caplog):
    context, model = ergodic()
    tree = import_tree(context, model, PHONES, "tree")
    assert "states of SIL do not go from left to right" in caplog.text
    assert [tree.phones_of(0), tree.num_pdfs] == [((1, 0), (1, 1), (1, 2)), 7]
    assert [s.loop for s in tree.states(1)] == pytest.approx([0.25] * 3)
    assert tree.states(2) == tuple(State(k, k, 0.6) for k in range(3))
    # From state 0 to 2, back to 1, and out; ids of state k are 4 k + 1 (to state 0) to 4 k + 4 (out).
    ids = np.array([3, 10, 8, 14, 13, 16, 18])
    segments = model.segments(ids, "u")
    assert segments.phones.tolist() == [1, 2] and segments.lengths.tolist() == [3, 4]
    assert segments.classes.tolist() == [0, 2, 1, 0, 0, 1, 2]
    # Which class a frame is of is kept where its pdf does not tell it.
    rows = np.array([[1, 3, -1], [2, 4, 0]])
    with writing_alignments(tmp_path / "ali", tree, AlignmentInfo("kaldi")) as out, out.split("train") as writer:
        writer.add(Aligned("u", model.pdf_of[ids], rows, ["W"], classes=segments.classes))
    found = Alignments.open(tmp_path / "ali").segments("train")["u"]
    assert found.classes.tolist() == segments.classes.tolist()
    with writing_alignments(tmp_path / "ali", tree, AlignmentInfo("kaldi")) as out, out.split("train") as writer:
        writer.add(Aligned("u", model.pdf_of[ids], rows, ["W"]))
    with pytest.raises(DataError, match="pdf 0 does not tell one pdf class"):
        Alignments.open(tmp_path / "ali").segments("train")


def test_trees_with_phones_in_another_order():
    tree = chain()
    other = tree.with_phones(Phones(("A", "B", "SIL"), (3,)))
    new = [0, 3, 1, 2]
    for left, phone, k in itertools.product(range(4), (1, 2, 3), (0, 1)):
        assert other.pdf((new[left], new[phone]), k) == tree.pdf((left, phone), k)
    assert other.with_phones(PHONES).roots == tree.roots
    with pytest.raises(DataError, match="other phones than the tree's: C SIL"):
        tree.with_phones(Phones(("A", "B", "C"), (3,)))


def test_counts_and_priors():
    assert scaled_counts(np.array([3.0, 1.0, 0.0]), 8).tolist() == [3, 1, 0]
    assert scaled_counts(np.array([0.75, 0.25, 0.0]), 8).tolist() == [6, 2, 0]
    for wrong in ([-1.0, 2.0], [0.0, 0.0], [np.nan, 1.0]):
        with pytest.raises(DataError, match="not negative"):
            scaled_counts(np.array(wrong), 8)
