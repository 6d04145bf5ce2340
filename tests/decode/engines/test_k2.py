import importlib.util
import struct

import numpy as np
import pytest
import torch

from asrpar.decode.config import DecodeConfig
from asrpar.decode.decoder import make_decoder
from asrpar.decode.lattices.paths import at_points, best_arcs, words_of
from asrpar.decode.lattices.words import n_best, word_lattice
from asrpar.decode.scales import SearchPoint
from asrpar.errors import AsrparError, DataError

CONFIG = DecodeConfig(engine="k2", engines={"k2": {"batch_frames": 30, "min_active": 1}})


def write_k2_graph(folder, hlg):
    """HLG.pt of an OpenFst graph without input epsilons."""
    import kaldifst

    final = sum(1 for _ in kaldifst.StateIterator(hlg))
    arcs, words = [], []
    for s in kaldifst.StateIterator(hlg):
        here = [(a.ilabel - 1, a.nextstate, a.olabel, a.weight.value) for a in kaldifst.ArcIterator(hlg, s)]
        cost = float(hlg.final(s).value)
        for label, there, word, c in [*sorted(here), *([(-1, final, -1, cost)] if np.isfinite(cost) else [])]:
            arcs.append((s, there, label, struct.unpack("i", struct.pack("f", -c))[0]))
            words.append(word)
    value = {"arcs": torch.tensor(arcs, dtype=torch.int32), "aux_labels": torch.tensor(words, dtype=torch.int32)}
    torch.save(value, folder / "HLG.pt")
    return value


@pytest.mark.k2
@pytest.mark.parametrize("point", [SearchPoint(1.0, 40.0), SearchPoint(0.6, 40.0, 0.4), SearchPoint(2.0, 40.0, -0.5)])
def test_agrees_with_exhaustive_search_and_the_default_engine(
    needs_k2, tmp_path, write_graph_, exhaustive, noise, one_job, point
):
    write_k2_graph(tmp_path, write_graph_(tmp_path))
    utterances = [(f"u{i}", noise(i, 1 + i % 6)) for i in range(12)]
    utterances += [(f"v{i}", noise(i, 20 + i)) for i in range(5)]
    with make_decoder(CONFIG, tmp_path, 0.03) as k2, make_decoder(one_job, tmp_path, 0.03) as kaldi:
        found, default = k2.decode(utterances, point), kaldi.decode(utterances, point)
    for a, b in zip(found, default, strict=True):
        assert (a.utt_id, a.words, a.complete) == (b.utt_id, b.words, b.complete)
        assert a.score == pytest.approx(b.score, abs=1e-3)
        assert a.start_times == pytest.approx(b.start_times) and a.end_times == pytest.approx(b.end_times)
    for (_, x), hypothesis in zip(utterances[:12], found, strict=False):
        score, words = exhaustive(x, point.lm_scale, point.word_penalty)
        assert tuple(hypothesis.words) == words and hypothesis.score == pytest.approx(score, abs=1e-3)


@pytest.mark.k2
@pytest.mark.parametrize("point", [SearchPoint(1.0, 40.0), SearchPoint(0.6, 40.0, 0.4, 1.0)])
def test_lattices_hold_the_paths_of_the_default_engines(needs_k2, tmp_path, write_graph_, noise, one_job, point):
    write_k2_graph(tmp_path, write_graph_(tmp_path))
    utterances = [(f"u{i}", noise(i, 2 + i)) for i in range(8)] + [("none", noise(0, 0))]
    other = SearchPoint(2.0, 40.0, 0.1, 0.5)
    with make_decoder(CONFIG, tmp_path, 0.03) as k2, make_decoder(one_job, tmp_path, 0.03) as kaldi:
        found, default = (d.lattices(utterances, point, 12.0) for d in (k2, kaldi))
        best = k2.search(utterances, point)
    assert found[-1].num_states == 0 and not found[-1].complete
    for a, b, path in zip(found[:-1], default, best, strict=False):
        ((arcs, cost),) = best_arcs(a, *at_points(a, [point], 0))
        assert words_of(a, arcs) == tuple(path.words) and -cost == pytest.approx(path.score * point.lm_scale, abs=1e-3)
        sequences = [dict(n_best(word_lattice(x, point, 0, beam=8.0), 50)) for x in (a, b)]
        assert sequences[0] == pytest.approx(sequences[1], abs=0.03)
        costs = [best_arcs(x, *at_points(x, [other], 0))[0][1] for x in (a, b)]
        assert costs[0] == pytest.approx(costs[1], abs=1e-3) and a.complete


@pytest.mark.k2
def test_partial_and_empty(needs_k2, tmp_path, write_graph_):
    write_k2_graph(tmp_path, write_graph_(tmp_path, finals=False))
    x = np.log(np.full((3, 4), 1e-5, dtype=np.float32))
    x[range(3), [1, 2, 0]] = 0.0
    with make_decoder(CONFIG, tmp_path, 0.03) as engine:
        partial, empty = engine.decode([("p", x), ("e", x[:0])])
        (lattice,) = engine.lattices([("p", x)], SearchPoint(), 8.0)
        assert lattice.word[lattice.word > 0].tolist() == [2] and not lattice.complete
    assert (partial.words, partial.complete) == (["AB"], False)
    assert (empty.words, empty.complete) == ([], False)


@pytest.mark.k2
def test_graph_that_is_none(needs_k2, tmp_path, write_graph_):
    value = write_k2_graph(tmp_path, write_graph_(tmp_path))
    value["arcs"][0, 2] = 7
    torch.save(value, tmp_path / "HLG.pt")
    with pytest.raises(DataError, match="beyond the 4 tokens"):
        make_decoder(CONFIG, tmp_path, 0.03)
    (tmp_path / "HLG.pt").write_text("nothing")
    with pytest.raises(DataError, match="no usable k2 graph"):
        make_decoder(CONFIG, tmp_path, 0.03)


@pytest.mark.skipif(importlib.util.find_spec("k2") is not None, reason="k2 is installed here")
def test_without_k2_says_how_to_get_it(graph):
    with pytest.raises(AsrparError, match=r"tools/install_k2\.sh.*--engine kaldi"):
        make_decoder(CONFIG, graph, 0.03)
