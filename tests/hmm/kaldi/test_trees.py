"""Kaldi's trees, text and binary, which are written here by hand."""

import itertools
import struct

import pytest

from asrpar.errors import DataError
from asrpar.hmm.kaldi.tree import read_context_dependency, tree_text
from asrpar.hmm.nodes import Split
from asrpar.hmm.phones import Phones
from asrpar.hmm.topologies.contract import State
from asrpar.hmm.tree import Tree

MONO = (
    "ContextDependency 1 0 ToPdf TE 0 4 ( NULL TE -1 1 ( CE 0 ) TE -1 3 ( CE 1 CE 2 CE 3 ) "
    "TE -1 3 ( CE 4 CE 5 CE 6 ) ) EndContextDependency"
)
PHONES = Phones(("SIL", "A", "B"), (1,))
STATES = [(State(0, 0, 0.5),), *[tuple(State(i, i, 0.75) for i in range(3))] * 2]
CLASSES = [(1, 0), *((p, k) for p in (2, 3) for k in range(3))]
# Phones 2 and 3 share a root, and states are asked for below questions: nothing that trees made here do.
SHARED = """ContextDependency 3 1 ToPdf SE 1 [ 1 ]
{ CE 0
SE 0 [ 0 1 ]
{ SE -1 [ 0 ]
{ CE 1
SE 1 [ 2 ]
{ CE 2
CE 3
}
}
TE -1 3 ( CE 4
TE 2 4 ( CE 5
CE 5
CE 6
CE 5
)
CE 6
)
}
}
EndContextDependency """


def ask(key, values, yes, no):
    head = b"SE \4" + struct.pack("<i", key) + b"\4" + struct.pack(f"<i{len(values)}i", len(values), *values)
    return head + b"{ " + yes + no + b"} "


def table(key, *ways):
    return b"TE \4" + struct.pack("<i", key) + b"\xfc" + struct.pack("<I", len(ways)) + b"( " + b"".join(ways) + b") "


def leaf(pdf):
    return b"CE \4" + struct.pack("<i", pdf)


def binary_shared():
    inner = table(2, leaf(5), leaf(5), leaf(6), leaf(5))
    asked = ask(0, [0, 1], ask(-1, [0], leaf(1), ask(1, [2], leaf(2), leaf(3))), table(-1, leaf(4), inner, leaf(6)))
    numbers = b"\4\3\0\0\0\4\1\0\0\0"
    return b"\0BContextDependency " + numbers + b"ToPdf " + ask(1, [1], leaf(0), asked) + b"EndContextDependency "


def test_the_monophone_tree_of_kaldi(tmp_path):
    (tmp_path / "tree").write_text(MONO)
    found = read_context_dependency(tmp_path / "tree")
    tree = Tree(PHONES, "kaldi", found.width, STATES, found.roots(CLASSES, "tree"))
    assert tree.num_pdfs == 7 and [tree.phone_of(pdf) for pdf in range(7)] == CLASSES
    assert tree_text(tree).split() == MONO.split()


@pytest.mark.parametrize("form", ["text", "binary"])
def test_shared_roots_become_roots_of_each_phone(tmp_path, form):
    (tmp_path / "tree").write_bytes(SHARED.encode() if form == "text" else binary_shared())
    found = read_context_dependency(tmp_path / "tree")
    tree = Tree(PHONES, "kaldi", found.width, STATES, found.roots(CLASSES, "tree"))
    for left, phone, right, k in itertools.product(range(4), (1, 2, 3), range(4), range(3)):
        if phone == 1:
            assert k > 0 or tree.pdf((left, phone, right), k) == 0
        elif left in (0, 1):
            assert tree.pdf((left, phone, right), k) == (1 if k == 0 else phone)
        else:
            assert tree.pdf((left, phone, right), k) == (4, 6 if right == 2 else 5, 6)[k]
    assert tree.phones_of(1) == ((2, 0), (3, 0)) and tree.phones_of(6) == ((2, 1), (2, 2), (3, 1), (3, 2))
    assert tree.roots[2, 0] == Split(0, frozenset({0, 1}), 1, 4)
    # Written and read again it is the same tree, although not the same text.
    (tmp_path / "again").write_text(tree_text(tree))
    again = read_context_dependency(tmp_path / "again")
    assert again.roots(CLASSES, "again") == tree.roots


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("ContextDependency 3", "<TransitionModel>", "expected ContextDependency at line 1"),
        ("3 1 ToPdf", "5 2 ToPdf", "windows of 5 phones with the phone itself at place 2 are not read"),
        ("3 1 ToPdf", "x 1 ToPdf", "expected an integer"),
        ("CE 6\nCE 5", "CX 6\nCE 5", "expected CE, SE, TE or NULL"),
        ("TE 2 4", "TE 3 4", "asks for 3, which is no place"),
        ("SE 1 [ 1 ]", "TE 1 [ 1 ]", "expected an integer"),
        ("{ CE 1\n", "{ NULL ", "two ways of a question"),
        ("TE -1 3 ( CE 4", "TE -1 3 ( NULL", "no answer for pdf class 0 of phone 2"),
        ("EndContextDependency", "", "expected EndContextDependency"),
    ],
)
def test_damaged_trees(tmp_path, old, new, message):
    assert old in SHARED
    (tmp_path / "tree").write_text(SHARED.replace(old, new, 1))
    with pytest.raises(DataError, match=message):
        read_context_dependency(tmp_path / "tree").roots(CLASSES, str(tmp_path / "tree"))


def test_binary_trees_cut_short_anywhere(tmp_path):
    whole = binary_shared()
    for length in range(len(whole) - 1):
        (tmp_path / "tree").write_bytes(whole[:length])
        with pytest.raises(DataError):
            read_context_dependency(tmp_path / "tree")
