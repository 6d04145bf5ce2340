"""Models whose classes are pdfs of a tree: priors, the graph of the tree, words and their times."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from decoding import SMALL, run, save_model

from asrpar.decode.acoustic import likelihoods
from asrpar.decode.config import DecodeConfig, GivenConfig
from asrpar.decode.decoder import make_decoder
from asrpar.decode.phones import PhoneRuns
from asrpar.decode.scales import SearchPoint
from asrpar.errors import ConfigError, DataError
from asrpar.graph.config import GraphConfig
from asrpar.graph.folder import graph_tree
from asrpar.graph.make import make_graph
from asrpar.hmm.nodes import Split
from asrpar.hmm.phones import Phones
from asrpar.hmm.topologies.contract import State
from asrpar.hmm.tree import Tree
from asrpar.train.config import DataConfig
from asrpar.train.identity import Identity

# The lexicon of `data`: NO is N OW, YES is Y EH S; units EH 1, N 2, OW 3, S 4, Y 5; SIL is 6.
POINT = SearchPoint(lm_scale=1.0, beam=60.0)


@pytest.fixture(scope="module")
def graphs(data, tmp_path_factory):
    """A folder with a graph for each topology, and one of a tree with contexts."""
    folder = tmp_path_factory.mktemp("graphs")
    for name in ("three_state", "chain", "one_state"):
        make_graph(GraphConfig(topology=name), data / "lang", folder / name)
    mono = graph_tree(folder / "chain")
    make_graph(GraphConfig(), data / "lang", folder / "contexts", split(mono, folder / "tree.txt"))
    return folder


def split(mono, path, phones=frozenset({0, 1, 2})):
    """A tree that asks each phone for its neighbours, the left one and then the right one."""
    count = iter(range(1000))

    def root():
        return Split(0, phones, next(count), Split(2, phones, next(count), next(count)))

    states = [mono.states(p) for p in mono.phones.ids]
    Tree(mono.phones, mono.topology, 3, states, {key: root() for key in mono.roots}).write(path)
    return path


def spoken(tree, phones, frames=3):
    """pdfs of phones by name, each state of so many frames; spaces part them."""
    ids = [tree.phones.id(p) for p in phones.split()]
    pdfs = []
    for i, phone in enumerate(ids):
        around = [ids[j] if 0 <= j < len(ids) else 0 for j in (i - 1, i, i + 1)]
        window = {1: around[1:2], 2: around[:2], 3: around}[tree.width]
        for s in tree.states(phone):
            pdfs += [tree.pdf(window, s.first)] + [tree.pdf(window, s.later)] * (frames - 1)
    return pdfs


def sure(pdfs, classes, utt_id="u"):
    x = np.full((len(pdfs), classes), -20.0, np.float32)
    x[np.arange(len(pdfs)), pdfs] = 0.0
    return [(utt_id, x)]


@pytest.mark.parametrize("name", ["three_state", "chain", "one_state", "contexts"])
def test_words_and_their_times(data, graphs, one_job, name):
    tree = graph_tree(graphs / name)
    states = 3 if name == "three_state" else 1
    pdfs = spoken(tree, "SIL Y EH S N OW SIL N OW")
    frames = np.array([[3, 12], [12, 18], [21, 27]]) * states
    for lang in (data / "lang", None):
        with make_decoder(one_job, graphs / name, 0.01, lang, blank=None) as decoder:
            assert decoder.axes == ("lm_scale", "beam", "word_penalty")
            (found,) = decoder.decode(sure(pdfs, tree.num_pdfs), POINT)
        assert (found.words, found.complete) == (["YES", "NO", "NO"], True)
        if lang:
            assert np.allclose(np.array([found.start_times, found.end_times]).T, frames * 0.01)
        else:
            assert found.start_times == sorted(found.start_times)


@pytest.mark.k2
@pytest.mark.parametrize("name", ["three_state", "contexts"])
def test_both_engines_read_it(needs_k2, data, graphs, one_job, name):
    tree = graph_tree(graphs / name)
    rng = np.random.default_rng(1)
    words = []
    for i in range(6):
        phones = " ".join(rng.choice(["Y EH S", "N OW", "SIL"], 4))
        ((_, x),) = sure(spoken(tree, phones), tree.num_pdfs)
        words.append((f"u{i}", (x / 5 + rng.standard_normal(x.shape)).astype(np.float32)))
    config = DecodeConfig(engine="k2", engines={"k2": {"min_active": 1}})
    with (
        make_decoder(config, graphs / name, 0.01, data / "lang", blank=None) as k2,
        make_decoder(one_job, graphs / name, 0.01, data / "lang", blank=None) as kaldi,
    ):
        for a, b in zip(k2.decode(words, POINT), kaldi.decode(words, POINT), strict=True):
            assert (a.words, a.complete) == (b.words, b.complete)
            assert a.score == pytest.approx(b.score, abs=1e-2)
            assert a.start_times == b.start_times and a.end_times == b.end_times


def test_phones_along_a_path():
    phones = Phones(("A", "B", "SIL"), (3,))
    two, one = (State(0, 0, 0.5), State(1, 1, 0.5)), (State(0, 0, 0.5),)
    tree = Tree(phones, "x", 1, [two, two, one], {(1, 0): 0, (1, 1): 1, (2, 0): 2, (2, 1): 3, (3, 0): 4})
    runs = PhoneRuns(tree)
    assert runs([]) == []
    assert runs([4, 0, 0, 1, 0, 1, 1, 2, 3, 4, 4]) == [(3, 0, 1), (1, 1, 4), (1, 4, 7), (2, 7, 9), (3, 9, 11)]
    chain = Tree(phones, "x", 1, [(State(0, 1, 0.5),)] * 3, {(p, k): 2 * p + k - 2 for p in (1, 2, 3) for k in (0, 1)})
    assert PhoneRuns(chain)([0, 0, 1, 1, 2, 4]) == [(1, 0, 1), (1, 1, 4), (2, 4, 5), (3, 5, 6)]
    # A state that is left after a frame, and pdfs that two phones share.
    brief = Tree(phones, "x", 1, [(State(0, 0, 0.0),)] * 2 + [one], {(1, 0): 0, (2, 0): 1, (3, 0): 2})
    assert PhoneRuns(brief)([0, 0, 2, 2]) == [(1, 0, 1), (1, 1, 2), (3, 2, 4)]
    shared = Tree(phones, "x", 1, [two, two, one], {(1, 0): 0, (1, 1): 1, (2, 0): 2, (2, 1): 1, (3, 0): 3})
    assert PhoneRuns(shared)([2, 1, 1, 0, 1]) == [(1, 0, 3), (1, 3, 5)] and PhoneRuns(shared).read_as == [0, 1, 1, 3]
    # Of other states they cannot be variants.
    other = Tree(phones, "x", 1, [two, one, one], {(1, 0): 0, (1, 1): 1, (2, 0): 1, (3, 0): 3 - 1})
    assert PhoneRuns(other)([0, 1, 2, 1]) == [(1, 0, 2), (3, 2, 3), (1, 3, 4)]


@pytest.mark.parametrize("classes", [(0,), (1,), (0, 1)])
def test_times_where_phones_share_their_pdfs(data, graphs, one_job, tmp_path, classes):
    # EH and OW, as variants are that a tree tells apart here and there.
    chain = graph_tree(graphs / "chain")
    same = {chain.roots[3, k]: chain.roots[1, k] for k in classes}
    kept = sorted({same.get(pdf, pdf) for pdf in chain.roots.values()})
    roots = {key: kept.index(same.get(pdf, pdf)) for key, pdf in chain.roots.items()}
    tree = Tree(chain.phones, "chain", 1, [chain.states(p) for p in chain.phones.ids], roots)
    tree.write(tmp_path / "tree.txt")
    make_graph(GraphConfig(), data / "lang", tmp_path / "graph", tmp_path / "tree.txt")
    with make_decoder(one_job, tmp_path / "graph", 0.01, data / "lang", blank=None) as decoder:
        (found,) = decoder.decode(sure(spoken(tree, "SIL Y EH S N OW SIL N OW"), tree.num_pdfs), POINT)
    assert found.words == ["YES", "NO", "NO"]
    assert np.allclose([found.start_times, found.end_times], [[0.03, 0.12, 0.21], [0.12, 0.18, 0.27]])


class Fixed(torch.nn.Module):
    def forward(self, features, lens):
        return torch.log(torch.tensor([[[0.5, 0.3, 0.2]]])), lens


def test_priors():
    priors = torch.log(torch.tensor([4 / 7, 2 / 7, 1 / 7]))
    expected = {0.0: [0.5, 0.3, 0.2], 1.0: [0.5 * 7 / 4, 0.3 * 7 / 2, 0.2 * 7], 0.5: None}
    for scale, values in expected.items():
        found, _ = likelihoods(Fixed(), {"log_priors": priors}, scale)(torch.zeros(1, 1, 2), torch.tensor([1]))
        want = torch.tensor(values) if values else torch.tensor([0.5, 0.3, 0.2]) / priors.exp().sqrt()
        assert torch.allclose(found.exp()[0, 0], want)
    plain = Fixed()
    assert likelihoods(plain, {"log_priors": None}, 1.0) is plain


def test_scales_and_beams_fit_the_model():
    given = DecodeConfig(beams=[9.0])
    assert given.of_model(True).lm_scales[-1] == 15.0 and given.of_model(False).lm_scales[-1] == 2.4
    assert given.of_model(True).beams == [9.0] and DecodeConfig().of_model(True).beams == [70.0]
    assert DecodeConfig(lm_scales=[0.3]).of_model(True).lm_scales == [0.3]
    assert GivenConfig(beams=[7.0]).filled(True) == DecodeConfig(beams=[7.0]).of_model(True)


def identity_of(data, tree):
    found = Identity.of_data(DataConfig(data / "feats", data / "lang"))
    return dataclasses.replace(found, classes=list(tree.names), tree=tree.digest)


@pytest.fixture
def hybrid(tmp_path, data, graphs):
    """An experiment with an untrained model of three_state's pdfs, that has priors."""
    tree = graph_tree(graphs / "three_state")
    priors = torch.full((tree.num_pdfs,), -np.log(tree.num_pdfs))
    identity = identity_of(data, tree)
    facts = {"loss": "frame_ce", "blank": None, "log_priors": priors}
    return save_model(tmp_path / "hybrid", tree.num_pdfs, identity, **facts)


def test_commands(data, graphs, hybrid, tmp_path):
    places = ["--exp", hybrid, "--graph", graphs / "three_state", "--lang", data / "lang"]
    run("decode", *places, "--feats", data / "feats", *SMALL, "--set", "prior_scale=0.8")
    facts = json.loads((hybrid / "decode_dev/decode.json").read_text())
    assert facts["prior_scale"] == 0.8 and "blank_penalty" not in facts
    said = run("transcribe", *places, "--set", "prior_scale=0.8", data / "manifests/spk0-test0.wav")
    assert "\nspk0-test0\t" in said
    # A choice that was made with other priors is none.
    with pytest.raises(Exception, match="has no choice on dev for this model, graph and engine"):
        run("transcribe", *places, data / "manifests/spk0-test0.wav")


def test_states_of_phones_spell_nothing(data, hybrid):
    places = ["--exp", hybrid, "--feats", data / "feats", "--lang", data / "lang"]
    with pytest.raises(ConfigError, match="states of phones, of which the greedy engine makes no words"):
        run("decode", *places, "--engine", "greedy")
    with pytest.raises(ConfigError, match="states of phones, of which the greedy engine makes no words"):
        run("transcribe", "--exp", hybrid, data / "manifests/spk0-test0.wav")


def test_what_does_not_belong_together(data, graphs, hybrid, exp):
    def decode(exp, graph, message, *more):
        places = ["--exp", exp, "--graph", graph, "--feats", data / "feats", "--lang", data / "lang"]
        with pytest.raises(DataError, match=message):
            run("decode", *places, *SMALL, *more)

    decode(hybrid, data / "graph", "the model has no blank class, but .* topology ctc, .* class 0 for blank")
    decode(
        exp, graphs / "three_state", "the model has class 0 for blank, but .* was made with a tree, which has no blank"
    )
    decode(hybrid, graphs / "chain", "the model has 18 classes, but .*tree.txt has 12 tokens or pdfs")
    own = graph_tree(graphs / "contexts")
    other = split(own, graphs / "other.txt", frozenset({0, 3}))
    facts = {"loss": "lfmmi", "blank": None}
    model = save_model(hybrid.parent / "other", own.num_pdfs, identity_of(data, Tree.read(other)), **facts)
    decode(model, graphs / "contexts", "other questions or states than the tree .* make-graph --tree")
