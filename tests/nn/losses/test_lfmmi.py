"""LF-MMI: numerator below denominator, gradients, padding, regularisers, errors, misfits, and k2's value."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from languages import make_lang

from asrpar.errors import ConfigError
from asrpar.graph.phone_graphs import PhoneGraphs
from asrpar.hmm.nodes import Split
from asrpar.hmm.phones import Phones
from asrpar.hmm.topologies import TOPOLOGIES
from asrpar.hmm.tree import Tree
from asrpar.nn.losses import LOSSES
from asrpar.nn.losses.lfmmi import Loss, Settings
from asrpar.nn.objective import FrameLabels, Misfit, Sources
from asrpar.train.objective import LangTranscripts

TEXTS = ["THE CAT", "A DOG", "THE DOG X", "A A", "ZEBRA"]


@pytest.fixture(scope="module")
def lang(tmp_path_factory):
    return make_lang(tmp_path_factory.mktemp("lang"), TEXTS, oov__policy="skip")


def tree_of(lang, topology):
    """Phones alone, or ``left``: of the chain topology, with other classes behind silence and at the begin."""
    kind = "chain" if topology == "left" else topology
    tree = Tree.monophone(Phones.of_lang(lang), TOPOLOGIES.load(kind)(TOPOLOGIES.settings(kind)))
    if topology != "left":
        return tree
    pause = frozenset({0, *tree.phones.silences})
    roots = {key: Split(0, pause, pdf, tree.num_pdfs + pdf) for key, pdf in tree.roots.items()}
    return Tree(tree.phones, "chain", 2, [tree.states(p) for p in tree.phones.ids], roots)


def lfmmi(lang, topology="chain", texts=TEXTS, labels=None, **settings):
    tree = tree_of(lang, topology)
    make = lambda order, most: PhoneGraphs(lang, tree, texts, order, most)  # noqa: E731
    sources = Sources(LangTranscripts(lang), labels, graphs=make)
    return Loss(Settings(**{"l2": 0.0, "leak": 0.0} | settings), sources)


def spoken(text, frames=30):
    return SimpleNamespace(id=text, text=text, num_frames=frames)


def said(loss, *texts):
    return [loss.targets(spoken(text)) for text in texts]


def drawn(loss, count, frames, spread=3.0, dtype=torch.float64):
    torch.manual_seed(0)
    return (spread * torch.randn(count, frames, loss.num_classes, dtype=dtype)).requires_grad_()


@pytest.mark.parametrize("topology", ["chain", "one_state", "left"])
@pytest.mark.parametrize("leak", [0.0, 0.1])
def test_the_numerator_is_never_above_the_denominator(lang, topology, leak):
    loss = lfmmi(lang, topology, leak=leak)
    targets = said(loss, *TEXTS)
    for spread in (0.0, 1.0, 20.0):
        scores, lens = drawn(loss, len(TEXTS), 30, spread), torch.tensor([30, 12, 25, 9, 30])
        denominators, numerators = loss.log_sums(scores, lens, [t.hmm for t in targets])
        assert (numerators <= denominators + 1e-9).all()


def test_a_transcript_that_is_all_there_is_has_no_loss(lang):
    loss = lfmmi(lang, texts=["THE CAT"], lm_order=12)
    scores = drawn(loss, 1, 17)
    value, used = loss.loss(scores, torch.tensor([17]), said(loss, "THE CAT"))
    assert used == [True] and abs(value.item()) < 1e-6
    assert torch.autograd.grad(value, scores)[0].abs().max() < 1e-6


def test_gradient(lang):
    loss = lfmmi(lang, leak=0.01, l2=0.1)
    targets, lens = said(loss, "A DOG", "THE CAT"), torch.tensor([6, 9])
    scores = drawn(loss, 2, 9, 1.0)
    assert torch.autograd.gradcheck(lambda x: loss.loss(x, lens, targets)[0], (scores,), fast_mode=True)


def test_padding_and_utterances_without_a_loss_change_nothing(lang):
    loss = lfmmi(lang, l2=1e-3)
    texts, lens = ["THE CAT", "ELEPHANT", "A DOG", "ZEBRA"], torch.tensor([12, 12, 8, 3])
    scores = drawn(loss, 4, 12)
    value, used = loss.loss(scores, lens, said(loss, *texts))
    value.backward()
    assert used == [True, False, True, False]
    alone = 0.0
    for n in (0, 2):
        one = scores[n : n + 1, : lens[n]].detach().clone().requires_grad_()
        part = loss.loss(one, lens[n : n + 1], said(loss, texts[n]))[0]
        part.backward()
        alone += part.item()
        torch.testing.assert_close(one.grad[0], scores.grad[n, : lens[n]], rtol=0, atol=1e-12)
        assert not scores.grad[n, lens[n] :].any()
    assert value.item() == pytest.approx(alone, rel=1e-12) and not scores.grad[[1, 3]].any()
    nothing, used = loss.loss(scores[1:2], lens[1:2], said(loss, "ELEPHANT"))
    assert (nothing.item(), used) == (0.0, [False])
    nothing.backward()


def test_a_transcript_that_was_not_spoken_is_left_out_but_not_what_is_no_number(lang):
    loss = lfmmi(lang, l2=1e-3)
    targets, lens = said(loss, "THE CAT", "A DOG"), torch.tensor([40, 20])
    scores = drawn(loss, 2, 40).detach()
    sil = loss.classes.index("SIL.0")
    scores[0, :, sil : sil + 2] += 200.0
    scores.requires_grad_()
    value, used = loss.loss(scores, lens, targets)
    value.backward()
    alone = loss.loss(scores[1:], lens[1:], targets[1:])[0]
    assert used == [False, True] and not scores.grad[0].any() and value.item() == pytest.approx(alone.item())
    broken = scores.detach().clone()
    broken[1, 3, 0] = torch.nan
    assert not loss.loss(broken, lens, targets)[0].isfinite()


def test_what_single_precision_cannot_hold_is_in_no_loss(lang):
    # The last frame is of a phone with which no transcript ends; the numerator is summed in double precision.
    loss = lfmmi(lang)
    scores = drawn(loss, 2, 20, dtype=torch.float32).detach()
    scores[0, 19, loss.classes.index("DH.0")] += 200.0
    scores.requires_grad_()
    value, used = loss.loss(scores, torch.tensor([20, 20]), said(loss, "THE CAT", "A DOG"))
    value.backward()
    assert used == [False, True] and value.isfinite() and not scores.grad[0].any()


def test_half_precision_scores_are_summed_in_single(lang):
    loss = lfmmi(lang, leak=1e-5)
    scores, lens, targets = drawn(loss, 1, 20).detach().bfloat16(), torch.tensor([20]), said(loss, "THE CAT")
    assert loss.loss(scores, lens, targets)[0].item() == loss.loss(scores.float(), lens, targets)[0].item()


def test_regularisers_are_added(lang):
    plain, scores = lfmmi(lang), None
    labels = {"A DOG": np.arange(30) % plain.num_classes}
    both = lfmmi(lang, l2=0.25, cross_entropy=0.1, labels=FrameLabels(plain.num_classes, labels))
    scores, lens = drawn(plain, 1, 34), torch.tensor([30])
    inside = scores[0, :30]
    expected = plain.loss(scores, lens, said(plain, "A DOG"))[0] + 0.25 * inside.square().sum()
    expected -= 0.1 * inside.log_softmax(-1)[range(30), labels["A DOG"]].sum()
    value, _ = both.loss(scores, lens, said(both, "A DOG"))
    torch.testing.assert_close(value, expected)
    with pytest.raises(ConfigError, match=r"cross_entropy is 0\.1, but there are no labels"):
        lfmmi(lang, cross_entropy=0.1)
    with pytest.raises(ConfigError, match=f"labels of frames have 3 classes and the tree of lfmmi {plain.num_classes}"):
        lfmmi(lang, cross_entropy=0.1, labels=FrameLabels(3, labels))
    with pytest.raises(ConfigError, match="labels of frames are of another tree than that of lfmmi"):
        lfmmi(lang, cross_entropy=0.1, labels=FrameLabels(plain.num_classes, labels, tree="another"))


def test_errors_are_those_of_the_phones_of_the_best_path(lang):
    loss = lfmmi(lang)
    names = {name: n for n, name in enumerate(loss.classes)}

    def scores(text):
        found = torch.zeros(1, len(text.split()), loss.num_classes)
        for t, name in enumerate(text.split()):
            found[0, t, names[name]] = 40.0
        return found, torch.tensor([found.shape[1]])

    heard = scores("SIL.0 SIL.1 DH.0 IY.0 IY.1 SIL.0 K.0 AE.0 T.0 T.1")
    assert loss.errors(*heard, said(loss, "THE CAT")) == (0, 5)  # by the second pronunciation of THE
    assert loss.errors(*heard, said(loss, "THE DOG")) == (3, 5)
    assert loss.errors(*heard, said(loss, "ELEPHANT")) == (0, 0)
    assert loss.errors(*scores("D.0"), said(loss, "A DOG")) == (4, 4)  # no path has so few frames


def test_why_an_utterance_has_no_loss(lang):
    loss = lfmmi(lang, texts=["THE CAT", "A DOG"])
    assert loss.misfit(spoken("THE CAT"), 5) is None
    assert loss.misfit(spoken("THE CAT"), 4) == Misfit(frames=5)
    assert loss.misfit(spoken("THE ELEPHANT"), 50) == Misfit(missing=("ELEPHANT",))
    assert loss.misfit(spoken("DOG A"), 50) == Misfit(missing=("DOG A",))


def test_settings_that_cannot_be(lang):
    with pytest.raises(ConfigError, match=r"more than 20 nodes: lower losses\.lfmmi\.lm_order"):
        lfmmi(lang, max_nodes=20)
    with pytest.raises(ConfigError, match="needs phones"):
        Loss(Settings(), Sources(LangTranscripts(lang)))
    for wrong in ({"lm_order": 0}, {"leak": -1.0}, {"leak": 2.0}, {"implementation": "warp"}, {"implementation": "k2"}):
        with pytest.raises(ConfigError, match=rf"losses\.lfmmi\.({next(iter(wrong))}|leak)"):
            LOSSES.settings("lfmmi", {"lfmmi": wrong})


@pytest.mark.k2
def test_k2_gives_the_value_and_gradient_of_torch(needs_k2, lang):
    found = []
    for implementation in ("torch", "k2"):
        loss = lfmmi(lang, implementation=implementation)
        scores = drawn(loss, 20, 40, 2.0, torch.float32)
        lens = torch.arange(21, 41).flip(0)[torch.arange(20) * 7 % 20]
        value, used = loss.loss(scores, lens, said(loss, *TEXTS * 4))
        assert all(used)
        value.backward()
        found.append((value.detach(), scores.grad))
    (ours, our_grad), (theirs, their_grad) = found
    torch.testing.assert_close(theirs, ours, rtol=1e-4, atol=0)
    torch.testing.assert_close(their_grad, our_grad, rtol=1e-4, atol=1e-4 * our_grad.abs().max().item())
