"""What stands around an engine: the blank or none, sweeps without times, what is refused."""

import kaldifst
import numpy as np
import pytest

from asrpar.decode.config import DecodeConfig
from asrpar.decode.decoder import make_decoder
from asrpar.decode.scales import Scaled, SearchPoint, scaled
from asrpar.errors import ConfigError, DataError

# Frames of "a b b": class 0 is a unit like others.
CLASSES = [0, 0, 1, 1, 2, 0]


def log_probs(classes, size=3):
    x = np.full((len(classes), size), -9.0, dtype=np.float32)
    x[range(len(classes)), classes] = -0.1
    return x


def write_graph_without_blank(folder):
    """The words A = a and BC = b c in any order; a unit lasts one frame or more, and nothing stands between units."""
    fst = kaldifst.StdVectorFst()
    start, in_a, in_b, in_c = (fst.add_state() for _ in range(4))
    fst.start = start
    for state in (start, in_a, in_c):
        fst.set_final(state, 0.0)
        if state != in_a:
            fst.add_arc(state, kaldifst.StdArc(1, 1, 0.0, in_a))
        fst.add_arc(state, kaldifst.StdArc(2, 2, 0.0, in_b))
    for label, state in ((1, in_a), (2, in_b), (3, in_c)):
        fst.add_arc(state, kaldifst.StdArc(label, 0, 0.0, state))
    fst.add_arc(in_b, kaldifst.StdArc(3, 0, 0.0, in_c))
    kaldifst.arcsort(fst, "ilabel")
    folder.mkdir()
    fst.write(str(folder / "HLG.fst"))
    (folder / "tokens.txt").write_text("a 0\nb 1\nc 2\n")
    (folder / "words.txt").write_text("<eps> 0\nA 1\nBC 2\n")
    return folder


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_model_without_a_blank(tmp_path, jobs):
    config = DecodeConfig(engines={"kaldi": {"jobs": jobs}})
    utterances = [("u", log_probs(CLASSES)), ("v", log_probs([1, 2, 2]))]
    with make_decoder(config, write_graph_without_blank(tmp_path / "graph"), 1.0, blank=None) as decoder:
        assert decoder.axes == ("lm_scale", "beam", "word_penalty")
        u, v = decoder.decode(utterances)
        # What there is no axis for changes nothing.
        assert decoder.decode(utterances, SearchPoint(blank_penalty=50.0)) == [u, v]
    assert (u.words, u.start_times, u.end_times) == (["A", "BC", "A"], [0, 2, 5], [2, 5, 6])
    assert (v.words, v.start_times, v.end_times) == (["BC"], [0], [3])
    assert u.score == pytest.approx(-0.6)


def test_model_and_graph_have_the_same_blank(tmp_path):
    graph = write_graph_without_blank(tmp_path / "graph")
    for text in ("graph: HLG\nsettings: {topology: ctc_modified}\n", "topology: ctc_modified\nmax_states: 9\n"):
        (graph / "graph.yaml").write_text(text)
        says = (
            r"the model has no blank class, but .*graph was made with the topology ctc_modified, which has class 0 for"
        )
        with pytest.raises(DataError, match=says):
            make_decoder(DecodeConfig(), graph, 1.0, blank=None)
        make_decoder(DecodeConfig(), graph, 1.0, blank=0).close()
    (graph / "graph.yaml").write_text("graph: HLG\nsettings: {topology: ctx}\n")
    with pytest.raises(DataError, match=r"graph.yaml: topology 'ctx' is unknown; did you mean 'ctc'"):
        make_decoder(DecodeConfig(), graph, 1.0, blank=None)


def test_greedy_without_a_blank_leaves_nothing_out(tmp_path):
    (tmp_path / "tokens.txt").write_text("a 0\nb 1\nc 2\n")
    with make_decoder(DecodeConfig(engine="greedy"), tmp_path, 1.0, blank=None) as decoder:
        assert decoder.axes == ()
        (found,) = decoder.decode([("u", log_probs(CLASSES))])
    assert (found.words, found.start_times, found.end_times) == (["a", "b", "c", "a"], [0, 2, 4, 5], [2, 4, 5, 6])


def test_the_blank_is_the_class_that_the_model_says(tmp_path):
    (tmp_path / "tokens.txt").write_text("a 0\nb 1\n<blk> 2\n")
    x = np.log(np.array([[0.3, 0.1, 0.6]], dtype=np.float32))
    with make_decoder(DecodeConfig(engine="greedy"), tmp_path, 1.0, blank=2) as decoder:
        assert [decoder.decode([("u", x)], SearchPoint(blank_penalty=p))[0].words for p in (0, 1)] == [[], ["a"]]


@pytest.mark.parametrize("engine", ["kaldi", "greedy"])
def test_blank_penalties_without_a_blank_are_refused(tmp_path, engine):
    config = DecodeConfig(engine=engine, blank_penalties=[0.0, 1.0])
    with pytest.raises(ConfigError, match=r"^blank_penalties: \[0.0, 1.0\] are for models with a blank class, .*: set"):
        make_decoder(config, write_graph_without_blank(tmp_path / "graph"), 1.0, blank=None)


def test_scaled_utterances_are_made_when_they_are_asked_for():
    x = log_probs(CLASSES)
    before = x.copy()
    found = Scaled([("u", x), ("v", np.zeros(3))], SearchPoint(2.0, blank_penalty=4.0), 1)
    assert (found.ids, found.lens, len(found)) == (["u", "v"], [6, 3], 2)
    assert np.array_equal(found[0][1], (x - np.array([0, 4, 0], dtype=np.float32)) / np.float32(2))
    assert (x == before).all()
    with pytest.raises(DataError, match=r"must be \(T, C\)"):
        list(found)
    assert np.array_equal(scaled(x, SearchPoint(), None), x)


def test_words_of_paths_are_those_of_hypotheses(graph, one_job, noise):
    utterances = [(f"u{i}", noise(i, 12)) for i in range(5)]
    point = SearchPoint(0.5)
    with make_decoder(one_job, graph, 0.03) as decoder:
        paths = decoder.search(utterances, point)
        hypotheses = decoder.hypotheses(paths, point)
        assert decoder.words(paths) == {h.utt_id: h.words for h in hypotheses}
    assert all(len(path.classes) == 12 for path in paths)
    assert [h.score for h in hypotheses] == [path.score * 0.5 for path in paths]
