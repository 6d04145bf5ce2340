import shutil

import kaldifst
import numpy as np
import pytest

from asrpar.decode.config import DecodeConfig
from asrpar.decode.decoder import make_decoder
from asrpar.decode.scales import SearchPoint
from asrpar.errors import AsrparError, DataError, MissingInputError
from asrpar.files.checksums import write_checksums

WIDE = 200.0


@pytest.mark.parametrize(("lm_scale", "word_penalty"), [(1.0, 0.0), (0.4, 0.0), (2.5, 0.0), (1.5, 0.5), (0.7, -0.8)])
def test_finds_the_path_that_exhaustive_search_finds(graph, one_job, exhaustive, noise, lm_scale, word_penalty):
    with make_decoder(one_job, graph, 0.03) as engine:
        utterances = [(f"u{i}", noise(i, 1 + i % 6)) for i in range(24)]
        found = engine.decode(utterances, SearchPoint(lm_scale, WIDE, word_penalty))
    for (utt_id, x), hypothesis in zip(utterances, found, strict=True):
        score, words = exhaustive(x, lm_scale, word_penalty)
        assert hypothesis.utt_id == utt_id
        assert tuple(hypothesis.words) == words
        assert hypothesis.score == pytest.approx(score, abs=1e-3)
        assert hypothesis.complete


def test_blank_penalty_lowers_the_blank(graph, exhaustive, noise):
    config = DecodeConfig(engines={"kaldi": {"jobs": 1}})
    x = noise(5, 6)
    penalised = x - np.array([3.0, 0, 0, 0], dtype=np.float32)
    with make_decoder(config, graph, 0.03) as engine:
        (hypothesis,) = engine.decode([("u", x)], SearchPoint(1.0, WIDE, blank_penalty=3.0))
    score, words = exhaustive(penalised)
    assert tuple(hypothesis.words) == words
    assert hypothesis.score == pytest.approx(score, abs=1e-3)


def path_of(classes, strength=12.0):
    x = np.full((len(classes), 4), -strength, dtype=np.float32)
    x[range(len(classes)), classes] = 0.0
    return x


def test_word_times(graph, one_job):
    # frames:   0  1  2  3  4  5  6  7  8  9
    classes = [0, 1, 1, 2, 0, 0, 3, 0, 3, 3]
    with make_decoder(one_job, graph, 0.03) as engine:
        (hypothesis,) = engine.decode([("u", path_of(classes))])
    assert hypothesis.words == ["AB", "CC"]
    assert hypothesis.start_times == pytest.approx([0.03, 0.18])
    assert hypothesis.end_times == pytest.approx([0.12, 0.30])


def test_processes_give_what_one_process_gives(graph, one_job, noise):
    utterances = [(f"u{i}", noise(i, 3 + 7 * i % 40)) for i in range(40)]
    points = [SearchPoint(1.0, 10.0), SearchPoint(0.5, 10.0, 0.3)]
    with make_decoder(one_job, graph, 0.03) as engine:
        alone = [engine.decode(utterances, p) for p in points]
    with make_decoder(DecodeConfig(engines={"kaldi": {"jobs": 2}}), graph, 0.03) as engine:
        assert [engine.decode(utterances, p) for p in points] == alone


def test_no_final_state_gives_the_unfinished_path(tmp_path, write_graph_):
    write_graph_(tmp_path / "graph", finals=False)
    with make_decoder(
        DecodeConfig(engines={"kaldi": {"jobs": 1, "min_active": 1}}), tmp_path / "graph", 0.03
    ) as engine:
        partial, whole = engine.decode([("p", path_of([1, 2, 0])), ("w", path_of([1, 3, 0, 3]))])
    assert (partial.words, partial.complete) == (["AB"], False)
    assert (whole.words, whole.complete) == (["A", "CC"], True)


def test_utterances_without_frames_or_sense(graph, one_job):
    with make_decoder(one_job, graph, 0.03) as engine:
        empty, infinite = engine.decode([("e", path_of([])), ("i", np.full((3, 4), -np.inf, dtype=np.float32))])
    assert (empty.words, empty.complete) == ([], True)
    assert (infinite.words, infinite.complete) == ([], False)


def test_input_is_not_changed(graph, noise):
    x = noise(1, 5)
    before = x.copy()
    with make_decoder(DecodeConfig(engines={"kaldi": {"jobs": 1}}), graph, 0.03) as engine:
        engine.decode([("u", x)], SearchPoint(2.0, blank_penalty=1.0))
    assert (x == before).all()


@pytest.mark.parametrize("name", ["HLG.fst", "words.txt", "tokens.txt"])
def test_missing_file(tmp_path, write_graph_, one_job, name):
    write_graph_(tmp_path / "graph")
    (tmp_path / "graph" / name).unlink()
    with pytest.raises(MissingInputError, match=rf"{name} is missing: run asrpar make-graph"):
        make_decoder(one_job, tmp_path / "graph", 0.03)


def test_the_graph_is_called_as_graph_yaml_says(tmp_path, write_graph_, one_job):
    write_graph_(tmp_path / "graph")
    (tmp_path / "graph" / "HLG.fst").rename(tmp_path / "graph" / "HCLG.fst")
    (tmp_path / "graph" / "graph.yaml").write_text("graph: HCLG\n")
    with make_decoder(one_job, tmp_path / "graph", 0.03) as engine:
        assert engine.decode([("w", path_of([1, 3, 0, 3]))])[0].words == ["A", "CC"]


def test_no_graph(one_job):
    with pytest.raises(AsrparError, match="needs --graph"):
        make_decoder(one_job, None, 0.03)


def test_wrong_number_of_classes(graph, one_job):
    with make_decoder(one_job, graph, 0.03) as engine, pytest.raises(DataError, match=r"model has 5 classes.*4 tokens"):
        engine.decode([("u", np.zeros((3, 5), dtype=np.float32))])


@pytest.mark.parametrize(
    ("damage", "jobs"), [("truncated", 1), ("text", 1), ("empty", 1), ("labels", 1), ("labels", 2)]
)
def test_damaged_graph(tmp_path, write_graph_, damage, jobs, noise):
    hlg = write_graph_(tmp_path / "graph")
    path = tmp_path / "graph" / "HLG.fst"
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:200])
    elif damage == "text":
        path.write_text("no graph")
    elif damage == "empty":
        kaldifst.StdVectorFst().write(str(path))
    else:
        hlg.add_arc(0, kaldifst.StdArc(9, 0, 0.0, 0))
        hlg.write(str(path))
    with (
        make_decoder(DecodeConfig(engines={"kaldi": {"jobs": jobs}}), tmp_path / "graph", 0.03) as engine,
        pytest.raises(DataError) as caught,
    ):
        engine.decode([("u", noise(0, 3)), ("v", noise(1, 3))])
    assert "HLG.fst" in str(caught.value) and "make-graph" in str(caught.value)


@pytest.mark.parametrize("text", ["a 0\nb\n", "a 0\nb 0\n", "a 1\n", "", "a 0\n#0 1\nb 2\n"])
def test_damaged_symbols(tmp_path, write_graph_, one_job, text):
    write_graph_(tmp_path / "graph")
    (tmp_path / "graph" / "tokens.txt").write_text(text)
    with pytest.raises(DataError, match=r"tokens\.txt"):
        make_decoder(one_job, tmp_path / "graph", 0.03)


def test_words_that_were_cut_short_are_not_used(tmp_path, graph, one_job):
    folder = shutil.copytree(graph, tmp_path / "graph")
    write_checksums(folder, ["words.txt"])
    make_decoder(one_job, folder, 0.03)
    words = folder / "words.txt"
    words.write_text("".join(words.read_text().splitlines(keepends=True)[:-1]))
    with pytest.raises(DataError, match=r"words.txt is not as it was made: .* Run asrpar make-graph \(stage 5\) again"):
        make_decoder(one_job, folder, 0.03)
