"""Kaldi's text form of lattices, out and in."""

import gzip

import numpy as np
import pytest
from lattices import best_costs

from asrpar.decode.lattices.lattice import Lattice
from asrpar.decode.lattices.text import lattice_text, packed_text, read_lattices, write_lattices
from asrpar.errors import DataError

# As lattice-copy of Kaldi prints it: the start is the state of the first line, costs of nothing are left out.
PLAIN = """utt-1
2\t0\t1\t5\t0.5,0.356675
0\t1\t0\t0
1\t3\t2\t6\t0.75,0.223144
3\t0.3,1.5

utt-2
0\t1\t1\t7\t0.2,1
1

"""
COMPACT = """utt-1
0\t1\t5\t0.5,0.8,1_1
1\t2\t6\t0.75,0.2,2
2\t0.3,1.5,2_2

"""


def read(tmp_path, text, name="lat.txt"):
    (tmp_path / name).write_text(text)
    return list(read_lattices(tmp_path / name))


def test_reads_what_kaldi_writes(tmp_path):
    one, two = read(tmp_path, PLAIN)
    assert (one.utt_id, two.utt_id, one.num_frames, two.num_frames) == ("utt-1", "utt-2", 2, 1)
    assert one.word[one.word > 0].tolist() == [5, 6] and one.label[one.label >= 0].tolist() == [0, 1]
    assert one.graph.sum() + one.final[-1] == pytest.approx(1.55)
    assert one.acoustic.sum() == pytest.approx(0.356675 + 0.223144 + 1.5)
    assert two.final.tolist() == [np.inf, 0.0] and two.acoustic.tolist() == [1.0]


def test_reads_compact_lattices(tmp_path):
    (one,) = read(tmp_path, COMPACT)
    assert one.label.tolist() == [0, 0, 1, 1, 1] and one.word.tolist() == [5, 0, 6, 0, 0]
    assert one.frame.tolist() == [0, 1, 2, 3, 4]
    assert one.acoustic.sum() == pytest.approx(2.5) and one.final[-1] == 0.3


@pytest.mark.parametrize("name", ["lat.txt", "lat.gz"])
@pytest.mark.parametrize("compact", [False, True])
def test_round_trip(tmp_path, lattices, all_paths, name, compact):
    given = [*lattices, Lattice.none("nothing")]
    write_lattices(tmp_path / name, given, compact)
    found = list(read_lattices(tmp_path / name))
    assert [x.utt_id for x in found] == [x.utt_id for x in given] and found[-1].num_states == 0
    for a, b in zip(given, found, strict=True):
        assert b.num_arcs == a.num_arcs and (b.num_frames == a.num_frames or not a.num_states)
        for column in ("label", "word", "frame"):
            assert sorted(getattr(a, column)) == sorted(getattr(b, column))
        assert best_costs(all_paths(b)) == pytest.approx(best_costs(all_paths(a)), abs=1e-5)
        assert lattice_text(b, compact) == lattice_text(a, compact)


def test_pieces_that_are_packed_one_by_one_are_one_file(tmp_path, lattices):
    path = tmp_path / "lat.gz"
    path.write_bytes(b"".join(map(packed_text, lattices)))
    assert [x.utt_id for x in read_lattices(path)] == [x.utt_id for x in lattices]
    with gzip.open(path, "rt") as f:
        assert f.read() == "".join(map(lattice_text, lattices))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("utt one\n", ":1: expected the id"),
        ("u\n0 1 2\t3 x\n", ":2: no line of a lattice: '0 1 2 3 x'"),
        ("u\n0 1 1 1 1,2\n0 1 1 -1 1,2\n1\n", ":3: no line of a lattice"),
        ("u\n0 1 1 1 1,nan\n1\n", ":2: no line of a lattice"),
        ("u\n0 1 1 1 1,2,3_4\n1\n", ":2: no line"),
        ("u\n0 1 1 1 1,2\n1 0 1 1 1,2\n1\n", ":2: the lattice of u has a cycle"),
    ],
)
def test_what_is_no_lattice_is_named(tmp_path, text, says):
    with pytest.raises(DataError, match=f"lat.txt{says}"):
        read(tmp_path, text)
