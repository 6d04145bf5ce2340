import re
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from languages import make_lang

from asrpar.align.data import AlignSet, batches, equal_alignment
from asrpar.align.monophone import equal_labels
from asrpar.align.spikes import Spikes, spike_labels
from asrpar.errors import DataError
from asrpar.feats.store import Utterance
from asrpar.graph.utterance import UtteranceHmms
from asrpar.hmm.phones import Phones
from asrpar.hmm.search import NetBatch, viterbi
from asrpar.hmm.topologies import chain, three_state
from asrpar.hmm.tree import Tree


@pytest.mark.parametrize(("states", "frames"), [(3, 3), (3, 10), (7, 100), (1, 5)])
def test_equal_alignment_gives_each_state_as_many_frames_up_to_one(states, frames):
    found = equal_alignment(states, frames)
    counts = np.bincount(found, minlength=states)
    assert (np.diff(found) >= 0).all() and len(counts) == states
    assert counts.max() - counts.min() <= 1 and counts.sum() == frames


def test_fewer_frames_than_states_names_the_utterance():
    with pytest.raises(DataError, match="utterance sp0-7 is too short: 2 frames, its states need 3"):
        equal_alignment(3, 2, "sp0-7")


def store(*rows):
    utterances = [Utterance(name, text, "s", frames, 1, "", "", "") for name, text, frames in rows]
    return SimpleNamespace(utterances=utterances, split="train")


@pytest.fixture
def hmms(tmp_path):
    lang = make_lang(tmp_path, ["THE CAT"])
    return UtteranceHmms(lang, Tree.monophone(Phones.of_lang(lang), three_state.Topology(three_state.Settings())))


@pytest.mark.parametrize("topology", [chain, three_state])
def test_labels_to_begin_with_are_a_path(tmp_path, topology):
    lang = make_lang(tmp_path, ["THE CAT"])
    hmms = UtteranceHmms(lang, Tree.monophone(Phones.of_lang(lang), topology.Topology(topology.Settings())))
    item, nothing = AlignSet(store(("a", "THE CAT", 41), ("b", "", 5)), hmms).items
    assert len(nothing.hmm.phones) == 1
    assert np.isin(equal_labels([nothing], hmms)["b"], nothing.hmm.net.pdfs).all()
    assert (np.diff(equal_labels([nothing], hmms)["b"]) >= 0).all()
    middles = np.array([8, 13, 20, 26, 33])
    spikes = Spikes(np.array(hmms.canonical("THE CAT", silence=False)), np.array([0, 0, 1, 1, 1]), middles)
    for labels in (equal_labels([item], hmms)["a"], spike_labels(item, spikes, hmms, 4)):
        scores = torch.nn.functional.one_hot(torch.from_numpy(labels), hmms.tree.num_pdfs).float() * 100
        (path,) = viterbi(NetBatch([item.hmm.net]), scores[None], torch.tensor([41])).nodes
        assert np.array_equal(item.hmm.net.pdfs[path], labels)


def test_utterances_are_left_out_with_the_reason(hmms):
    found = AlignSet(store(("a", "THE CAT", 15), ("b", "THE CAT", 14), ("c", "THE QQQ", 99)), hmms)
    assert [item.utterance.id for item in found.items] == ["a"]
    assert found.left_out == {
        "b": "too short: 14 frames, its states need 15",
        "c": "words without pronunciation: QQQ",
    }
    found.check(0.7, "left_out.txt")
    message = "2 of 3 utterances of train cannot be aligned (1 too short, 1 words without pronunciation; b: too short"
    with pytest.raises(DataError, match=re.escape(message)):
        found.check(0.6, "left_out.txt")


def test_a_subsampled_model_needs_more_frames(hmms):
    assert not AlignSet(store(("a", "THE CAT", 42)), hmms, 3).items
    assert AlignSet(store(("a", "THE CAT", 43)), hmms, 3).items[0].frames == 15


def test_copies_at_other_speeds_are_told_from_originals(hmms):
    rows = [("u", "CAT", 50), ("sp0.9-u", "CAT", 55), ("sp1.1-v", "CAT", 50)]
    found = AlignSet(store(*rows), hmms)
    assert [item.utterance.id for item in found.originals()] == ["u", "sp1.1-v"]


def test_batches_hold_like_lengths_and_a_bounded_number_of_frames(hmms):
    items = AlignSet(store(*((f"u{n}", "CAT", n) for n in (20, 90, 30, 40, 400))), hmms).items
    found = [[item.utterance.num_frames for item in batch] for batch in batches(items, 100)]
    assert found == [[400], [90], [40, 30], [20]]
