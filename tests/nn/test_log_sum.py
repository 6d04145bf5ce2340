"""Sums over a shared HMM: values by hand, all paths enumerated, gradients, leaks, padding, best paths."""

import itertools
import math

import numpy as np
import pytest
import torch

from asrpar.graph.denominator import denominator
from asrpar.hmm.phones import Phones
from asrpar.hmm.search import Net, NetBatch, forward_backward
from asrpar.hmm.topologies import TOPOLOGIES
from asrpar.hmm.tree import Tree
from asrpar.lm.phones import PhoneLm, estimate_phone_lm
from asrpar.nn.log_sum import OwnHmms, SharedHmm

A, B, SIL = 1, 2, 3
TREE = Tree.monophone(Phones.with_silence(["a", "b"]), TOPOLOGIES.load("chain")(TOPOLOGIES.settings("chain")))
CLASSES = TREE.num_pdfs
HALF = math.log(0.5)
# <s> -> a 1, a -> b 1/2, a -> </s> 1/2, b -> a 1
BIGRAM = PhoneLm([(), (A,), (B,)], [{A: (0.0, 1)}, {B: (HALF, 2)}, {A: (0.0, 1)}], [-math.inf, HALF, -math.inf])


def shared(lm=BIGRAM, leak=0.0, dtype=torch.float64):
    return SharedHmm(denominator(lm, TREE, 1000), CLASSES, leak, dtype)


def richer(order=3):
    pause = [(0.5, ()), (0.5, (SIL,))]
    return estimate_phone_lm([[pause, [(0.7, (A, B)), (0.3, (B, A, A))], pause], [[(1.0, (B, B))]]], order)


def enumerated(hmm, scores):
    """The sum over all sequences of nodes, one by one."""
    total = -math.inf
    weights = np.full((len(hmm.pdfs), len(hmm.pdfs)), -math.inf)
    weights[hmm.sources, hmm.targets] = hmm.log_probs
    for path in itertools.product(range(len(hmm.pdfs)), repeat=len(scores)):
        one = hmm.initial[path[0]] + hmm.final[path[-1]] + sum(weights[a, b] for a, b in itertools.pairwise(path))
        total = np.logaddexp(total, one + sum(float(x[hmm.pdfs[n]]) for x, n in zip(scores, path, strict=True)))
    return total


@pytest.mark.parametrize("frames, value", [(1, 1 / 4), (2, 1 / 8), (3, 3 / 32), (4, 5 / 64)])
def test_values_by_hand(frames, value):
    scores = torch.zeros(1, frames, CLASSES, dtype=torch.float64)
    assert shared().log_sum(scores, torch.tensor([frames])).exp().item() == pytest.approx(value)


def test_occupations_by_hand():
    for frames, expected in {
        3: {1: [0, 2 / 3, 1 / 3, 0], 2: [1 / 3, 2 / 3, 0, 0]},
        4: {2: [1 / 5, 2 / 5, 1 / 5, 1 / 5]},
    }.items():
        scores = torch.zeros(1, frames, CLASSES, dtype=torch.float64, requires_grad=True)
        shared().log_sum(scores, torch.tensor([frames])).sum().backward()
        for t, occupations in expected.items():
            assert scores.grad[0, t, :4].tolist() == pytest.approx(occupations)


def test_a_leak_by_hand():
    leaky = shared(leak=0.1)
    assert leaky._leaks_to[:, 0].tolist() == pytest.approx([0.2472728, 0.3436363, 0.1718182, 0.2372729], abs=1e-6)
    sums = leaky.log_sum(torch.zeros(1, 2, CLASSES, dtype=torch.float64), torch.tensor([2]))
    assert sums.exp().item() == pytest.approx(0.1498385844, abs=1e-9)


def test_all_paths_one_by_one():
    torch.manual_seed(1)
    hmm = denominator(richer(1), TREE, 1000)
    scores = 2 * torch.randn(1, 5, CLASSES, dtype=torch.float64)
    sums = SharedHmm(hmm, CLASSES, 0.0, torch.float64).log_sum(scores, torch.tensor([5]))
    assert sums.item() == pytest.approx(enumerated(hmm, scores[0]))


@pytest.mark.parametrize("leak", [0.0, 1e-5, 0.1])
def test_gradients(leak):
    torch.manual_seed(2)
    scores, lens = torch.randn(3, 6, CLASSES, dtype=torch.float64, requires_grad=True), torch.tensor([6, 2, 4])
    one = shared(richer(), leak)
    assert torch.autograd.gradcheck(lambda x: one.log_sum(x, lens), (scores,))


def net(hmm):
    """The same HMM as it is aligned with, in the logarithmic domain."""
    ends = [{n: float(x) for n, x in enumerate(each) if np.isfinite(x)} for each in (hmm.initial, hmm.final)]
    return Net.of_arcs(hmm.pdfs, list(zip(hmm.sources, hmm.targets, hmm.log_probs, strict=True)), *ends)


@pytest.mark.parametrize("kind", ["shared", "own"])
def test_it_agrees_with_the_sum_in_the_logarithmic_domain(kind):
    torch.manual_seed(3)
    hmm, other, lens = denominator(richer(), TREE, 1000), denominator(BIGRAM, TREE, 1000), torch.tensor([40, 33])
    scores = (8 * torch.randn(2, 40, CLASSES)).requires_grad_()
    if kind == "shared":
        ours, hmms = SharedHmm(hmm, CLASSES), [hmm, hmm]
    else:
        ours, hmms = OwnHmms([hmm, other], CLASSES), [hmm, other]
        scores.data[1, :, SIL * 2 - 2 :] += 2000.0  # silence, which the other one does not have
    sums = ours.log_sum(scores, lens)
    grad = torch.autograd.grad(sums.sum(), scores)[0]
    nets = NetBatch([net(h) for h in hmms], dtype=torch.float64)
    theirs, occupied = forward_backward(nets, scores.detach().double(), lens)
    torch.testing.assert_close(sums.double(), theirs, rtol=1e-6, atol=1e-5)
    torch.testing.assert_close(grad.double(), occupied, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("leak", [0.0, 0.1])
def test_a_batch_gives_what_each_utterance_gives_alone(leak):
    torch.manual_seed(4)
    one, lens = shared(richer(), leak), [6, 4]
    scores = torch.randn(2, 6, CLASSES, dtype=torch.float64)
    scores[1, 4:] = torch.tensor([1e6, -math.inf]).repeat(3).double()  # whatever is behind the end
    scores.requires_grad_()
    sums = one.log_sum(scores, torch.tensor(lens))
    sums.sum().backward()
    for n, frames in enumerate(lens):
        alone = scores[n : n + 1, :frames].detach().clone().requires_grad_()
        single = one.log_sum(alone, torch.tensor([frames]))
        single.sum().backward()
        assert abs(single.item() - sums[n].item()) < 1e-14
        torch.testing.assert_close(alone.grad[0], scores.grad[n, :frames], rtol=0, atol=1e-15)
        assert scores.grad[n, frames:].abs().sum() == 0


def test_a_constant_in_one_frame_adds_to_the_logarithm():
    scores, lens = torch.randn(1, 7, CLASSES, dtype=torch.float64), torch.tensor([7])
    before = shared(richer()).log_sum(scores, lens)
    scores[0, 3] += 2.5
    torch.testing.assert_close(shared(richer()).log_sum(scores, lens), before + 2.5)


def test_float32_is_enough_where_scores_are_large():
    torch.manual_seed(5)
    scores, lens = 30 * torch.randn(4, 200, CLASSES), torch.full((4,), 200)
    single = shared(richer(), 1e-5, torch.float32).log_sum(scores, lens)
    torch.testing.assert_close(
        single.double(), shared(richer(), 1e-5).log_sum(scores.double(), lens), rtol=1e-6, atol=0
    )


@pytest.mark.parametrize("kind", ["shared", "own"])
def test_a_sum_of_which_nothing_is_left_has_no_gradient(kind):
    hmm = denominator(BIGRAM, TREE, 1000)
    ours = SharedHmm(hmm, CLASSES) if kind == "shared" else OwnHmms([hmm, hmm], CLASSES)
    scores = torch.zeros(2, 9, CLASSES)
    scores[0, :, 2] = 3000.0  # of the first frames of b, which do not follow each other
    scores.requires_grad_()
    sums = ours.log_sum(scores, torch.tensor([9, 9]))
    sums[1].backward(retain_graph=True)
    assert not sums[0].isfinite() and sums[1].isfinite() and scores.grad.isfinite().all()
    sums[0].backward()
    assert not scores.grad[0].any() and scores.grad[1].any()


def test_phones_of_best_paths():
    likely = {"a": 0, "A": 1, "b": 2, "B": 3, "s": 4, "S": 5}

    def scores(*utterances):
        found = torch.zeros(len(utterances), max(map(len, utterances)), CLASSES, dtype=torch.float64)
        for n, text in enumerate(utterances):
            for t, name in enumerate(text):
                found[n, t, likely[name]] = 50.0
        return found, torch.tensor([len(text) for text in utterances])

    one = shared(richer())
    # The last one is as close as the language model lets it be: b b, or with a in between.
    assert one.best_phones(*scores("sSaAAbs", "abB", "sbaAaA", "bBb")) == [
        [SIL, A, B, SIL],
        [A, B],
        [SIL, B, A, A],
        [B, B],
    ]
    assert shared().best_phones(*scores("aAbBBa")) == [[A, B, A]]
