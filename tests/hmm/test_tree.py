import itertools
import re

import numpy as np
import pytest

from asrpar.errors import AsrparError, DataError
from asrpar.hmm.nodes import Split
from asrpar.hmm.phones import Phones
from asrpar.hmm.segments import Segments, relabel, windows
from asrpar.hmm.topologies import TOPOLOGIES
from asrpar.hmm.topologies.contract import State
from asrpar.hmm.tree import Tree

PHONES = Phones.with_silence(["A", "B"])
SIL = 3


def topology(name, **settings):
    return TOPOLOGIES.load(name)(TOPOLOGIES.settings(name, {name: settings}))


def triphone() -> Tree:
    """A.0 has three leaves, all else is as in a monophone tree."""
    mono = Tree.monophone(PHONES, topology("chain"))
    asked = Split(0, frozenset({0, SIL}), yes=0, no=Split(2, frozenset({2}), yes=6, no=7))
    states = [mono.states(p) for p in PHONES.ids]
    return Tree(PHONES, "chain", 3, states, {**mono.roots, (1, 0): asked})


def test_monophone_trees_number_pdfs_as_kaldi_does():
    tree = Tree.monophone(PHONES, topology("three_state", silence_states=1))
    assert tree.num_pdfs == 7 and tree.width == 1 and tree.central == 0
    assert [tree.phone_of(i) for i in range(7)] == [(1, 0), (1, 1), (1, 2), (2, 0), (2, 1), (2, 2), (SIL, 0)]
    assert [tree.pdf((p,), k) for p, k in map(tree.phone_of, range(7))] == list(range(7))
    assert tree.names == ["A.0", "A.1", "A.2", "B.0", "B.1", "B.2", "SIL.0"]
    assert tree.states(1) == (State(0, 0, 0.75), State(1, 1, 0.75), State(2, 2, 0.75))


def test_contexts_lead_to_leaves_and_unseen_ones_too():
    tree = triphone()
    assert tree.num_pdfs == 8 and tree.central == 1
    for left, right in itertools.product(range(4), repeat=2):
        wanted = 0 if left in (0, SIL) else 6 if right == 2 else 7
        assert tree.pdf((left, 1, right), 0) == wanted
        assert tree.pdf((left, 1, right), 1) == 1
    assert tree.names == ["A.0.0", "A.1.0", "B.0.0", "B.1.0", "SIL.0.0", "SIL.1.0", "A.0.1", "A.0.2"]
    assert [tree.phone_of(pdf) for pdf in (0, 6, 7)] == [(1, 0)] * 3


@pytest.mark.parametrize("make", [triphone, lambda: Tree.monophone(PHONES, topology("one_state", loop=0.3))])
def test_trees_are_readable_text(tmp_path, make):
    tree = make()
    tree.write(tmp_path / "tree.txt")
    again = Tree.read(tmp_path)  # a folder, too
    assert again.roots == tree.roots and again.phones == tree.phones and again.width == tree.width
    assert again.topology == tree.topology and [again.states(p) for p in PHONES.ids] == [
        tree.states(p) for p in PHONES.ids
    ]
    assert again.digest == tree.digest and again.names == tree.names
    again.write(tmp_path / "again.txt")
    assert (tmp_path / "again.txt").read_bytes() == (tmp_path / "tree.txt").read_bytes()


def test_the_text_says_what_is_asked(tmp_path):
    triphone().write(tmp_path / "tree.txt")
    text = (tmp_path / "tree.txt").read_text()
    assert "phone A  0 1 0.5\n" in text and "silence SIL\n" in text
    assert "root A 0\n  left <none> SIL\n    pdf 0\n    right B\n      pdf 6\n      pdf 7\nroot A 1\n  pdf 1\n" in text


def test_digests_are_of_what_labels_depend_on():
    tree = triphone()
    other = tree.with_states([tuple(s._replace(loop=0.9) for s in tree.states(p)) for p in PHONES.ids])
    assert other.digest == tree.digest and other.states(1)[0].loop == 0.9
    assert Tree.monophone(PHONES, topology("chain")).digest != tree.digest
    states = [tree.states(p) for p in PHONES.ids]
    assert Tree(PHONES, "kaldi", 3, states, tree.roots).digest == tree.digest


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("asrpar-tree 1", "ContextDependency", "is no tree of asrpar"),
        ("width 3", "width three", "width three is not a number"),
        ("width 3", "width 4", "windows of 4 phones"),
        ("width 3", "width 2", "asks for no neighbour"),
        ("  left <none> SIL", "  left X", r"tree.txt:9: 'X' is not a phone"),
        ("right B", "phone B", "asks for no neighbour"),
        ("pdf 7", "pdf 8", "8 pdfs are not numbered from 0 to 7"),
        ("pdf 7", "pdf x", r"tree.txt:13: expected 'pdf NUMBER'"),
        ("root A 1\n  pdf 1\n", "", "lacks a root of phone 1, pdf class 1"),
        ("root SIL 1\n  pdf 5\n", "root SIL 1\n", "is cut short"),
        ("phone A  0 1 0.5", "phone A  0 1 1.5", "loop probabilities between 0 and 1"),
        ("phone A  0 1 0.5", "phone A  0 1", "two pdf classes and a loop probability"),
        ("silence SIL", "silence S", "expected 'silence'"),
        ("root B 0", "branch B 0", "expected 'root PHONE CLASS'"),
    ],
)
def test_damaged_trees(tmp_path, old, new, message):
    triphone().write(tmp_path / "tree.txt")
    text = (tmp_path / "tree.txt").read_text()
    assert old in text
    (tmp_path / "tree.txt").write_text(text.replace(old, new))
    with pytest.raises(DataError, match=message) as e:
        Tree.read(tmp_path)
    assert "\n" not in str(e.value) and "tree.txt" in str(e.value)


def test_a_missing_tree_names_who_makes_it(tmp_path):
    with pytest.raises(AsrparError, match=re.escape("asrpar align or build-tree (stage 4)")):
        Tree.read(tmp_path / "tree.txt")


def test_windows_that_are_none():
    tree = triphone()
    for window, k, message in [
        ((1,), 0, "asks for 3 phones"),
        ((1, 4, 1), 0, "the tree knows 3"),
        ((1, 1, 1), 2, "phone A has no pdf class 2"),
        ((1, 0, 1), 0, "phone <none> has no pdf class 0"),
    ]:
        with pytest.raises(DataError, match=message):
            tree.pdf(window, k)


def test_shared_pdfs_tell_no_phone():
    mono = Tree.monophone(PHONES, topology("one_state"))
    tree = Tree(PHONES, "one_state", 1, [mono.states(p) for p in PHONES.ids], {(1, 0): 0, (2, 0): 0, (3, 0): 1})
    assert tree.phones_of(0) == ((1, 0), (2, 0)) and tree.phone_of(1) == (3, 0)
    assert tree.class_of(0) == 0
    with pytest.raises(DataError, match="pdf 0 does not tell one phone: it is shared by A B"):
        tree.phone_of(0)
    mono = Tree.monophone(PHONES, topology("chain"))
    tree = Tree(PHONES, "chain", 1, [mono.states(p) for p in PHONES.ids], {**mono.roots, (3, 1): 4})
    with pytest.raises(DataError, match="pdf 4 does not tell one pdf class"):
        tree.class_of(4)


def test_windows_reach_beyond_the_utterance():
    assert windows(np.array([3, 1]), 3).tolist() == [[0, 3, 1], [3, 1, 0]]
    assert windows(np.array([3, 1]), 2).tolist() == [[0, 3], [3, 1]]
    assert windows(np.array([3, 1]), 1).tolist() == [[3], [1]]


def test_relabelling_gives_each_frame_the_leaf_of_its_context():
    tree = triphone()
    segments = Segments(np.array([1, 1, 2, 3]), np.array([2, 3, 1, 2]), np.array([0, 1, 0, 1, 1, 0, 0, 1]))
    labels = relabel(segments, tree)
    assert labels.tolist() == [0, 1, 6, 1, 1, 2, 4, 5] and labels.dtype == np.int32
    with pytest.raises(DataError, match="do not agree"):
        Segments(np.array([1]), np.array([2]), np.array([0]))
