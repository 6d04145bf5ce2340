"""Topologies and transition models in Kaldi's text and binary forms, which are written here by hand."""

import struct

import numpy as np
import pytest

from asrpar.errors import DataError, MissingInputError
from asrpar.hmm.kaldi.stream import Stream
from asrpar.hmm.kaldi.topology import left_to_right, read_topology, topology_text
from asrpar.hmm.kaldi.transitions import TransitionModel, read_transition_model, transition_model_text
from asrpar.hmm.topologies.contract import State

# One state for phone 1, three for phones 2 and 3.
TOPO = """<Topology>
<TopologyEntry>
<ForPhones>
2 3
</ForPhones>
<State> 0 <PdfClass> 0 <Transition> 0 0.75 <Transition> 1 0.25 </State>
<State> 1 <PdfClass> 1 <Transition> 1 0.75 <Transition> 2 0.25 </State>
<State> 2 <PdfClass> 2 <Transition> 2 0.75 <Transition> 3 0.25 </State>
<State> 3 </State>
</TopologyEntry>
<TopologyEntry>
<ForPhones>
1
</ForPhones>
<State> 0 <PdfClass> 0 <Transition> 0 0.5 <Transition> 1 0.5 </State>
<State> 1 </State>
</TopologyEntry>
</Topology>
"""
LOGS = [-0.693147, -0.693147, *[-0.287682, -1.386294] * 6]
MODEL = f"""<TransitionModel>
{TOPO}<Triples> 7
1 0 0
2 0 1
2 1 2
2 2 3
3 0 4
3 1 5
3 2 6
</Triples>
<LogProbs>
 [ 0 {" ".join(map(str, LOGS))} ]
</LogProbs>
</TransitionModel>
<DIMENSION> 39 <NUMPDFS> 7
"""
CHAIN = """<Topology>
<TopologyEntry> <ForPhones> 1 2 </ForPhones>
<State> 0 <ForwardPdfClass> 0 <SelfLoopPdfClass> 1 <Transition> 0 0.5 <Transition> 1 0.5 </State>
<State> 1 </State>
</TopologyEntry>
</Topology>
"""


def i32(*values):
    return b"".join(b"\4" + struct.pack("<i", v) for v in values)


def vector(*values):
    return b"\4" + struct.pack(f"<i{len(values)}i", len(values), *values)


def f32(*values):
    return b"".join(b"\4" + struct.pack("<f", v) for v in values)


def binary_model():
    """The same model as Kaldi writes it in binary form."""
    three = b"".join(i32(k, 2, k) + f32(0.75) + i32(k + 1) + f32(0.25) for k in range(3))  # pdf class, two transitions
    entries = [i32(4) + three + i32(-1, 0), i32(2, 0, 2, 0) + f32(0.5) + i32(1) + f32(0.5) + i32(-1, 0)]
    topo = b"<Topology> " + vector(1, 2, 3) + vector(-1, 1, 0, 0) + i32(2) + b"".join(entries) + b"</Topology> "
    triples = [(1, 0, 0), (2, 0, 1), (2, 1, 2), (2, 2, 3), (3, 0, 4), (3, 1, 5), (3, 2, 6)]
    tuples = b"<Triples> " + i32(7) + b"".join(i32(*t) for t in triples) + b"</Triples> "
    logs = b"<LogProbs> FV " + i32(15) + struct.pack("<15f", 0, *LOGS) + b"</LogProbs> "
    return b"\0B<TransitionModel> " + topo + tuples + logs + b"</TransitionModel> <DIMENSION> \4\1\0\0\0"


@pytest.mark.parametrize("form", ["text", "binary", "written"])
def test_transition_ids(tmp_path, form):
    path = tmp_path / "final.mdl"
    path.write_bytes(binary_model() if form == "binary" else MODEL.encode())
    model = read_transition_model(path)
    if form == "written":
        path.write_text(transition_model_text(model))
        model = read_transition_model(path)
    assert len(model.tuples) == 7 and model.num_ids == 14 and model.num_pdfs == 7
    assert model.pdf_of[1:].tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6]
    assert model.is_loop[1:].tolist() == [True, False] * 7
    assert np.flatnonzero(model.is_final).tolist() == [2, 8, 14]
    assert model.phone_of[1:].tolist() == [1] * 2 + [2] * 6 + [3] * 6
    assert model.class_of[1:].tolist() == [0, 0, *[0, 0, 1, 1, 2, 2] * 2]
    assert model.log_probs == pytest.approx([0, *LOGS], abs=1e-6)
    assert model.first_ids.tolist() == [1, 3, 5, 7, 9, 11, 13]


def test_probabilities_of_a_topology_make_the_same_model(tmp_path):
    (tmp_path / "final.mdl").write_text(MODEL)
    read = read_transition_model(tmp_path / "final.mdl")
    made = TransitionModel.of(read.topology, [tuple(t) for t in reversed(read.tuples.tolist())])
    assert np.array_equal(made.tuples, read.tuples) and made.log_probs == pytest.approx(read.log_probs, abs=1e-6)


def test_topologies_read_as_they_are_written():
    found = read_topology(Stream(TOPO.encode(), "topo"))
    assert found[2] is found[3] and found[2] == left_to_right([State(i, i, 0.75) for i in range(3)])
    assert read_topology(Stream(topology_text(found).encode(), "topo")) == found
    chain = read_topology(Stream(CHAIN.encode(), "topo"))
    assert chain[1] == left_to_right([State(0, 1, 0.5)])
    assert read_topology(Stream(topology_text(chain).encode(), "topo")) == chain


def test_tuples_of_states_with_two_pdfs(tmp_path):
    chain = read_topology(Stream(CHAIN.encode(), "topo"))
    model = TransitionModel.of(chain, [(1, 0, 0, 1), (2, 0, 2, 3)])
    assert model.pdf_of[1:].tolist() == [1, 0, 3, 2] and model.class_of[1:].tolist() == [1, 0, 1, 0]
    (tmp_path / "m").write_text(transition_model_text(model))
    assert "<Tuples> 2\n1 0 0 1\n2 0 2 3\n</Tuples>" in (tmp_path / "m").read_text()
    assert np.array_equal(read_transition_model(tmp_path / "m").tuples, model.tuples)
    segments = model.segments(np.array([2, 1, 1, 2, 4]), "u")
    assert (segments.phones.tolist(), segments.lengths.tolist()) == ([1, 1, 2], [3, 1, 1])
    assert segments.classes.tolist() == [0, 1, 1, 0, 0]


@pytest.fixture
def model(tmp_path):
    (tmp_path / "final.mdl").write_text(MODEL)
    return read_transition_model(tmp_path / "final.mdl")


@pytest.mark.parametrize(
    ("ids", "phones", "lengths", "classes"),
    [
        ([2, 1, 1, 4, 3, 6, 8, 7, 2], [1, 2, 1], [3, 5, 1], [0, 0, 0, 0, 0, 1, 2, 2, 0]),  # loops behind the way on
        ([1, 1, 2, 3, 4, 6, 7, 8, 2], [1, 2, 1], [3, 5, 1], [0, 0, 0, 0, 0, 1, 2, 2, 0]),  # and before it
        ([4, 6, 8, 4, 6, 8], [2, 2], [3, 3], [0, 1, 2, 0, 1, 2]),  # the same phone twice
        ([2, 1, 2, 1], [1, 1], [2, 2], [0] * 4),
        ([1, 2, 1, 2], [1, 1], [2, 2], [0] * 4),
    ],
)
def test_phones_of_an_alignment(model, ids, phones, lengths, classes):
    found = model.segments(np.array(ids), "u")
    assert found.phones.tolist() == phones and found.lengths.tolist() == lengths and found.classes.tolist() == classes


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([2, 15], "the alignment of u has 15: the model has transition-ids 1 to 14"),
        ([0, 2], "has 0:"),
        ([], "has nothing"),
        ([4, 6], "ends within a phone"),
        ([4, 2], "goes from phone to phone where none ends"),
    ],
)
def test_alignments_that_are_none(model, ids, message):
    with pytest.raises(DataError, match=message):
        model.segments(np.array(ids, np.int64), "u")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("<TransitionModel>", "<Nnet3>", "expected <TransitionModel> at line 1, where '<Nnet3>'"),
        ("<Triples> 7", "<Triples> x", "expected an integer at line"),
        ("3 2 6\n", "3 3 6\n", "state 3 of phone 3"),
        ("3 2 6\n", "4 0 6\n", "state 0 of phone 4"),
        (" -0.693147 -0.693147", " -0.693147", "14 transition-ids, and 13 probabilities"),
        ("</LogProbs>", "", "expected </LogProbs>"),
        ("<State> 3 </State>", "", "states of phone 2 that lead to its last one"),
        ("<State> 1 <PdfClass> 1", "<State> 5 <PdfClass> 1", "state 1: states are numbered"),
        ("<Transition> 1 0.75", "<Way> 1 0.75", "expected <PdfClass>, <Transition>"),
    ],
)
def test_damaged_models(tmp_path, old, new, message):
    assert old in MODEL
    (tmp_path / "m").write_text(MODEL.replace(old, new, 1))
    with pytest.raises(DataError, match=message) as e:
        read_transition_model(tmp_path / "m")
    assert str(tmp_path / "m") in str(e.value) and "\n" not in str(e.value)


def test_binary_files_cut_short_anywhere(tmp_path):
    whole = binary_model()
    end = whole.index(b"<DIMENSION>")
    for length in range(end - 1):
        (tmp_path / "m").write_bytes(whole[:length])
        with pytest.raises(DataError):
            read_transition_model(tmp_path / "m")
    with pytest.raises(MissingInputError):
        read_transition_model(tmp_path / "nowhere")
