"""Numerators are parts of the denominator: the paths of a transcript, each once, with the same weights."""

import itertools
import math

import numpy as np
import pytest
from languages import make_lang

from asrpar.errors import ConfigError
from asrpar.graph.denominator import expand
from asrpar.graph.numerator import numerator, spoken_word, with_pauses
from asrpar.graph.phone_graphs import PhoneGraphs
from asrpar.hmm.phones import Phones
from asrpar.hmm.topologies import TOPOLOGIES
from asrpar.hmm.tree import Tree
from asrpar.lm.phones import START, estimate_phone_lm

CHAIN = TOPOLOGIES.load("chain")(TOPOLOGIES.settings("chain"))


def tree_of(lang):
    return Tree.monophone(Phones.of_lang(lang), CHAIN)


def spoken(hmm, longest):
    """The phone sequences of the paths of an HMM on which each phone lasts for one frame, with log-probabilities."""
    after = {}
    for source, target, weight in zip(hmm.sources, hmm.targets, hmm.log_probs, strict=True):
        if hmm.begins[target]:
            after.setdefault(int(source), []).append((int(target), float(weight)))
    found, begun = {}, [((n,), float(hmm.initial[n])) for n in np.flatnonzero(np.isfinite(hmm.initial)).tolist()]
    while begun:
        path, total = begun.pop()
        if np.isfinite(hmm.final[path[-1]]):
            phones = tuple(hmm.phones[list(path)].tolist())
            assert phones not in found, "two paths for one sequence of phones"
            found[phones] = total + float(hmm.final[path[-1]])
        if len(path) < longest:
            begun += [((*path, n), total + w) for n, w in after.get(path[-1], [])]
    return found


def test_choices_of_a_transcript(tmp_path):
    lang = make_lang(tmp_path, ["THE CAT"])
    words = [spoken_word(lang, word) for word in ("THE", "CAT")]
    dh, ah, iy = map(lang.token_id, ("DH", "AH", "IY"))
    cat = tuple(map(lang.token_id, ("K", "AE", "T")))
    assert words == [[(0.5, (dh, ah)), (0.5, (dh, iy))], [(1.0, cat)]]
    pause = [(0.75, ()), (0.25, (99,))]
    assert with_pauses(words, 99, 0.25) == [pause, words[0], pause, words[1], pause]
    assert with_pauses(words[1:], 99, 0.0) == [[(1.0, ())], [(1.0, cat)], [(1.0, ())]]
    lang.config.oov.policy = "skip"
    assert spoken_word(lang, "ELEPHANT") is None


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_the_paths_are_the_ways_to_speak_with_the_weights_of_the_model(tmp_path, order):
    texts = ["THE CAT", "A DOG", "THE DOG X", "A A"]
    lang = make_lang(tmp_path, texts)
    graphs = PhoneGraphs(lang, tree_of(lang), texts, order, 1000)
    sil = graphs.silences[0]
    hmm = graphs.numerator("THE CAT")
    dh, ah, iy, *cat = map(lang.token_id, ("DH", "AH", "IY", "K", "AE", "T"))
    ways = {
        (*[sil][:a], dh, vowel, *[sil][:b], *cat, *[sil][:c])
        for vowel, a, b, c in itertools.product((ah, iy), (0, 1), (0, 1), (0, 1))
    }
    found = spoken(hmm, 20)
    assert set(found) == ways
    for phones, total in found.items():
        # Each phone lasts for one frame, and is left with probability 1/2.
        assert total == pytest.approx(graphs.lm.score(phones) + len(phones) * math.log(0.5))
    everything = spoken(graphs.denominator, 5)
    assert all(total <= everything[phones] + 1e-9 for phones, total in found.items() if len(phones) <= 5)


def test_two_ways_to_read_the_same_phones_are_one_path():
    one, two = [(0.5, (1,)), (0.5, (1, 2))], [(0.5, (2, 3)), (0.5, (3,))]
    lm = estimate_phone_lm([[one, two]], 3)
    phones = Phones.with_silence(["a", "b", "c"])
    hmm = numerator([one, two], lm, Tree.monophone(phones, CHAIN), 100)
    assert set(spoken(hmm, 9)) == {(1, 2, 3), (1, 3), (1, 2, 2, 3)}


def test_the_numerator_of_the_only_transcript_is_the_denominator():
    # With histories as long as the transcript the language model is a list of its ways to be spoken.
    pause = [(0.5, ()), (0.5, (3,))]
    transcript = [pause, [(1.0, (1, 2))], pause, [(1.0, (2,))], pause]
    lm, tree = estimate_phone_lm([transcript], 9), Tree.monophone(Phones.with_silence(["a", "b"]), CHAIN)
    ours = spoken(numerator(transcript, lm, tree, 100), 9)
    follow = lambda s: (((p, w, to) for p, (w, to) in lm.arcs[s].items()), lm.final[s])  # noqa: E731
    assert ours == pytest.approx(spoken(expand(START, follow, tree, 100), 9)) and len(ours) == 8


def test_what_the_language_model_does_not_allow_has_no_numerator(tmp_path):
    lang = make_lang(tmp_path, ["A DOG", "CAT"])
    graphs = PhoneGraphs(lang, tree_of(lang), ["A DOG"], 3, 1000)
    assert graphs.numerator("A DOG") is not None and graphs.numerator("DOG A") is None
    assert graphs.numerator("A DOG").fewest_frames == 4
    assert graphs.surely_fits("A DOG", 4) and not graphs.surely_fits("A DOG", 3)
    assert not graphs.surely_fits("DOG", 99) and not graphs.surely_fits("", 99)
    assert graphs.classes[:2] == ("AE.0", "AE.1") and graphs.num_classes == 2 * len(lang.tokens)


def test_a_tree_of_other_phones_is_refused(tmp_path):
    lang = make_lang(tmp_path, ["A DOG"])
    with pytest.raises(ConfigError, match="other phones"):
        PhoneGraphs(lang, Tree.monophone(Phones.with_silence(["x", "y"]), CHAIN), ["A"], 2, 10)
