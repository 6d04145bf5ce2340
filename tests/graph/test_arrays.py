import os

import kaldifst
import numpy as np
import pytest

from asrpar.errors import DataError
from asrpar.graph.arrays import Arrays, read_const

TEXT = "0 1 1 2 0.5\n0 2 0 3 1.5\n1 2 4 0 0.25\n2 0 5 5 2\n2 2 0 0 0.125\n1 0.75\n2 3\n"


@pytest.fixture
def fst():
    return kaldifst.compile(TEXT)


def by_iterators(fst):
    arcs = [
        (s, a.ilabel, a.olabel, float(a.weight.value), a.nextstate)
        for s in kaldifst.StateIterator(fst)
        for a in kaldifst.ArcIterator(fst, s)
    ]
    return fst.start, [float(fst.final(s).value) for s in kaldifst.StateIterator(fst)], arcs


def by_arrays(arrays):
    arcs = [(s, *map(float, a)) for s, a in zip(arrays.sources.tolist(), arrays.arcs.tolist(), strict=True)]
    return arrays.start, arrays.finals.tolist(), arcs


def test_arrays_equal_what_openfst_iterates_over(fst, small):
    for graph in (fst, kaldifst.StdConstFst(fst), kaldifst.StdVectorFst.read(str(small[1] / "HLG.fst"))):
        assert by_arrays(Arrays.of(graph)) == by_iterators(graph)


def test_there_and_back(fst, tmp_path):
    arrays = Arrays.of(fst)
    assert by_iterators(arrays.fst()) == by_iterators(fst)
    arrays.write_const(tmp_path / "ours.fst")
    kaldifst.StdConstFst(fst).write(str(tmp_path / "theirs.fst"))
    again, theirs = (by_arrays(read_const(tmp_path / f"{name}.fst")) for name in ("ours", "theirs"))
    assert again == theirs
    # But for what OpenFst knows of it and we do not: its properties.
    ours, theirs = ((tmp_path / f"{name}.fst").read_bytes() for name in ("ours", "theirs"))
    assert ours[:33] == theirs[:33] and ours[41:] == theirs[41:]


def test_what_openfst_makes_of_it_is_right_whatever_it_knew_before(fst):
    labels = Arrays.of(fst)
    labels.arcs["ilabel"] = [3, 1, 1, 1, 1]
    changed = labels.fst()
    kaldifst.arcsort(changed, "ilabel")
    assert [a.ilabel for a in kaldifst.ArcIterator(changed, 0)] == [1, 3]


def test_no_states():
    empty = Arrays.of(kaldifst.StdVectorFst())
    assert (empty.start, len(empty.finals), len(empty.arcs)) == (-1, 0, 0)
    assert empty.fst().start == -1


def test_a_lattice_equals_its_text(fst):
    empty = kaldifst.Lattice()
    assert (Arrays.of(empty).start, len(Arrays.of(empty).finals)) == (-1, 0)
    lattice = kaldifst.Lattice()
    for _ in range(3):
        lattice.add_state()
    lattice.start = 1
    lattice.set_final(2, kaldifst.LatticeWeight(0.5, 0.25))
    for source, *arc in ((1, 3, 4, 1.5, 2.5, 0), (1, 1, 0, 0.0, 3.0, 2), (0, 2, 7, 1.0, 0.125, 2)):
        i, o, graph, acoustic, dest = arc
        lattice.add_arc(source, kaldifst.LatticeArc(i, o, kaldifst.LatticeWeight(graph, acoustic), dest))
    arrays = Arrays.of(lattice)
    assert (arrays.start, arrays.finals.tolist(), arrays.sources.tolist()) == (1, [np.inf, np.inf, 0.75], [0, 1, 1])
    assert arrays.arcs.tolist() == [(2, 7, 1.0, 0.125, 2), (3, 4, 1.5, 2.5, 0), (1, 0, 0.0, 3.0, 2)]


def test_too_little_memory_is_one_line(fst, monkeypatch):
    arrays = Arrays.of(fst)
    monkeypatch.setattr(os, "memfd_create", lambda name: os.open("/dev/full", os.O_RDWR))
    for use in (lambda: Arrays.of(fst), arrays.fst):
        with pytest.raises(DataError, match="larger than the memory there is"):
            use()


def test_other_files_are_refused(fst, tmp_path):
    path = tmp_path / "x.fst"
    fst.write(str(path))
    with pytest.raises(DataError, match="is no const transducer of OpenFst"):
        read_const(path)
    Arrays.of(fst).write_const(path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    with pytest.raises(DataError, match=r"cut short or damaged: .* for 3 states, 5 arcs"):
        read_const(path)
    path.write_bytes(whole[:25] + np.array([1], "<i4").tobytes() + whole[29:])
    with pytest.raises(DataError, match="symbol tables or padding"):
        read_const(path)
