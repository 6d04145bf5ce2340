import itertools
import math
from collections import namedtuple

import numpy as np
import pytest
import torch
from languages import make_lang

from asrpar.errors import DataError
from asrpar.graph.utterance import UtteranceHmms, phone_graph, pronunciations, utterance_hmm
from asrpar.hmm.phones import Phones
from asrpar.hmm.search import HARDLY, NetBatch, viterbi
from asrpar.hmm.topologies.three_state import Settings, Topology
from asrpar.hmm.tree import Tree as MonoTree

State = namedtuple("State", "first later loop")


class Tree:
    """A class for each context, phone and pdf class, numbered as they come."""

    def __init__(self, width, *states):
        self.width, self._states, self.known = width, states, {}

    def states(self, phone):
        return self._states

    def pdf(self, window, pdf_class):
        assert len(window) == self.width
        return self.known.setdefault((window, pdf_class), len(self.known))


def paths(net):
    """All paths of a net without loops, with their log-probabilities."""
    begun = [((n,), float(net.initial[n])) for n in range(len(net.pdfs)) if net.initial[n] > HARDLY]
    while begun:
        path, total = begun.pop()
        if net.final[path[-1]] > HARDLY:
            yield path, total + float(net.final[path[-1]])
        for n, k in zip(*np.nonzero((net.sources == path[-1]) & (net.weights > HARDLY)), strict=True):
            begun.append(((*path, n), total + float(net.weights[n, k])))


def sequences(hmm):
    """Phone sequences of all paths, with their probabilities, where each phone has one state that never loops."""
    found = {}
    for path, total in paths(hmm.net):
        phones = tuple(hmm.phones[hmm.occurrence[list(path)]].tolist())
        found[phones] = found.get(phones, 0.0) + math.exp(total)
    return found


ONCE = State(0, 0, 0.0)


def test_all_pronunciations_with_silence_anywhere():
    words = [[((1,), math.log(0.75)), ((2, 3), math.log(0.25))], [((4,), 0.0)]]
    hmm = utterance_hmm(phone_graph(words, silence=9, probability=0.4), Tree(1, ONCE))
    found = sequences(hmm)
    expected = {}
    for phones, p in (((1,), 0.75), ((2, 3), 0.25)):
        for places in itertools.product((False, True), repeat=3):
            a, b, c = ((9,) if here else () for here in places)
            expected[a + phones + b + (4,) + c] = p * math.prod(0.4 if here else 0.6 for here in places)
    assert found == pytest.approx(expected)
    assert hmm.words[hmm.occurrence].tolist().count(-1) == 3


@pytest.mark.parametrize("width", [1, 2, 3])
def test_contexts_are_those_of_the_neighbours(width):
    words = [[((1,), 0.0), ((2, 3), -1.0)], [((4,), 0.0), ((1,), -0.5)]]
    tree = Tree(width, ONCE)
    hmm = utterance_hmm(phone_graph(words, silence=9), tree)
    meant = {pdf: window for (window, _), pdf in tree.known.items()}
    for path, _ in paths(hmm.net):
        around = (0, *hmm.phones[hmm.occurrence[list(path)]].tolist(), 0)
        for i, node in enumerate(path, 1):
            window = {1: around[i : i + 1], 2: around[i - 1 : i + 1], 3: around[i - 1 : i + 2]}[width]
            assert meant[int(hmm.net.pdfs[node])] == window
    assert sequences(hmm) == pytest.approx(sequences(utterance_hmm(phone_graph(words, silence=9), Tree(1, ONCE))))


def test_a_state_whose_first_frame_has_its_own_class_is_two_nodes():
    hmm = utterance_hmm(phone_graph([[((1,), 0.0)]], silence=None), Tree(1, State(0, 1, 0.5)))
    assert hmm.state.tolist() == [0, 0] and len(set(hmm.net.pdfs.tolist())) == 2
    scores = torch.zeros(1, 4, 2)
    found = viterbi(NetBatch([hmm.net]), scores, torch.tensor([4]))
    assert hmm.net.pdfs[found.nodes[0]].tolist() == [0, 1, 1, 1]
    assert math.exp(found.scores[0]) == pytest.approx(0.5**4)


def test_three_states_cannot_be_skipped():
    states = tuple(State(i, i, 0.75) for i in range(3))
    words = [[((1, 2), 0.0)], [((1,), 0.0), ((1, 2, 2), 0.0)]]
    net = utterance_hmm(phone_graph(words, silence=3), Tree(1, *states)).net
    assert net.fewest_frames == 9


def test_pronunciations_are_the_lexicons(tmp_path):
    lang = make_lang(tmp_path, ["THE CAT"])
    ids = {t: i for i, t in enumerate(lang.tokens)}
    assert pronunciations(lang, "THE") == [((ids["DH"], ids["AH"]), 0.0), ((ids["DH"], ids["IY"]), 0.0)]
    assert pronunciations(lang, "QQQ") == []


def test_hmms_of_transcripts(tmp_path):
    lang = make_lang(tmp_path, ["THE CAT"])
    phones = Phones.of_lang(lang)
    hmms = UtteranceHmms(lang, MonoTree.monophone(phones, Topology(Settings())))
    hmm = hmms.of("THE CAT")
    assert hmm.net.fewest_frames == 15 and hmm.phones.tolist().count(phones.silence) == 3
    assert {phones.name(p) for p in hmm.phones[hmm.words == 1].tolist()} == {"K", "AE", "T"}
    with pytest.raises(DataError, match="without pronunciation: QQQ"):
        hmms.of("THE QQQ")


def test_a_transcript_without_words_is_silence():
    net = utterance_hmm(phone_graph([], silence=2), Tree(1, ONCE)).net
    assert len(net.pdfs) == 1 and net.fewest_frames == 1
