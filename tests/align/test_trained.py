"""Alignment with trained models: CTC's spikes, and models of states."""

import re

import numpy as np
import pytest
import torch
from minidata import asrpar, train_options

from asrpar.align.agreement import agreement, spikes_inside, word_times
from asrpar.align.spikes import Spikes, _spikes
from asrpar.graph.ctc_net import ctc_net
from asrpar.graph.utterance import phone_graph
from asrpar.hmm.alignments import Alignments
from asrpar.hmm.search import NetBatch, forward_backward, viterbi

QUICK = {"models__tdnn__subsampling": 2, "ema__enabled": "false", "batch__size": 2000, "optimizers__adamw__lr": 0.003}


@pytest.fixture(scope="module")
def ctc(clean, tmp_path_factory):
    """An experiment with a model trained with CTC."""
    exp = tmp_path_factory.mktemp("ctc") / "exp"
    asrpar("train", *train_options(clean, exp, epochs=12, **QUICK | {"models__tdnn__channels": 64}))
    return exp


@pytest.fixture(scope="module")
def hybrid(clean, flat, tmp_path_factory):
    """An experiment with a model of states."""
    exp = tmp_path_factory.mktemp("hybrid") / "exp"
    more = {"loss": "frame_ce", "data.ali": flat, "epochs": 12, "models__tdnn__channels": 64}
    asrpar("train", *train_options(clean, exp, **QUICK | more))
    return exp


def test_ctc_sums_all_its_paths():
    graph = phone_graph([[((1, 1), 0.0), ((2,), -0.5)], [((2,), 0.0)]], None)
    scores = torch.randn(1, 6, 3, generator=torch.Generator().manual_seed(2)).log_softmax(-1)
    net, occurrence = ctc_net(graph)
    log_z, _ = forward_backward(NetBatch([net]), scores, torch.tensor([6]))
    losses = [
        -torch.nn.functional.ctc_loss(
            scores[0], torch.tensor(t), torch.tensor(6), torch.tensor(len(t)), reduction="sum"
        )
        for t in ([1, 1, 2], [2, 2])
    ]
    assert float(log_z) == pytest.approx(float(torch.logaddexp(losses[0], losses[1] - 0.5)), abs=1e-4)
    path = viterbi(NetBatch([net]), scores, torch.tensor([6])).nodes[0]
    found = _spikes(graph, np.array(occurrence)[path], scores[0].numpy(), 3)
    assert tuple(found.phones) in ((1, 1, 2), (2, 2)) and found.words[-1] == 1
    assert (np.diff(found.frames) > 0).all() and (found.frames % 3 == 1).all()


def test_with_a_ctc_model(align, flat, ctc, true_times, tmp_path):
    align(tmp_path / "ali", "--method=ctc", "--exp", ctc, "--sets=train")
    found = agreement(word_times(Alignments.open(tmp_path / "ali"), "train"), true_times)
    assert found.median_error <= 0.025


def test_with_a_model_of_states(align, flat, hybrid, tmp_path):
    done = align(tmp_path / "ali", "--exp", hybrid)
    ali, before = Alignments.open(tmp_path / "ali"), Alignments.open(flat)
    assert ali.info.method == "model" and ali.subsampling == 2 and ali.tree.digest == before.tree.digest
    labels = before.labels("train")
    assert all(len(x) == -(-len(labels[u]) // 2) for u, x in ali.labels("train").items())
    both = agreement(word_times(ali, "dev"), word_times(before, "dev"))
    assert both.within(0.1) > 0.6, done.stderr


@pytest.mark.parametrize(
    ("exp", "more", "message"),
    [
        ("ctc", [], "was trained with ctc, whose classes are no states: give --method ctc"),
        ("hybrid", ["--method=ctc"], r"was trained with frame_ce, not ctc: give --method model"),
        ("hybrid", ["--method=flat"], "method=flat starts from nothing: give no --exp"),
        ("hybrid", ["--tree=other.txt"], "is not the tree that .* was trained with"),
    ],
)
def test_models_of_another_kind_are_refused(align, flat, ctc, hybrid, tmp_path, exp, more, message):
    text = (flat / "tree.txt").read_text()
    (tmp_path / "other.txt").write_text(re.sub(r"pdf [01]\n", lambda m: f"pdf {1 - int(m[0][4])}\n", text))
    more = [x.replace("other.txt", str(tmp_path / "other.txt")) for x in more]
    done = align(tmp_path / "ali", "--exp", {"ctc": ctc, "hybrid": hybrid}[exp], *more, check=False)
    assert done.returncode == 1 and re.search(message, done.stderr) and "Traceback" not in done.stderr


def test_spikes_are_counted_in_their_own_segments(flat):
    ali = Alignments.open(flat)
    name = next(iter(ali.labels("dev")))
    own, words = ali.segments("dev")[name], ali.word_numbers("dev")[name]
    spoken = words >= 0
    starts = np.cumsum(own.lengths) - own.lengths
    middles = (starts + own.lengths // 2)[spoken]
    inside = Spikes(own.phones[spoken], words[spoken], middles)
    count = int(spoken.sum())
    assert spikes_inside(ali, "dev", {name: inside}) == (count, count)
    before = Spikes(own.phones[spoken], words[spoken], starts[spoken] - 1)
    assert spikes_inside(ali, "dev", {name: before}) == (0, count)
    assert spikes_inside(ali, "dev", {name: before}, 0.01) == (count, count)
    other = Spikes(own.phones[spoken] + 1, words[spoken], middles)
    assert spikes_inside(ali, "dev", {name: other}) == (0, 0)
