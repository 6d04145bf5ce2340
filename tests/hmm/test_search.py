import itertools
import math

import numpy as np
import pytest
import torch

from asrpar.hmm.search import HARDLY, Net, NetBatch, forward_backward, viterbi

HALF = math.log(0.5)


def toy():
    """SIL?(0.4) {X | Y Z} SIL?: one state each, loop 0.6."""
    stay, leave = math.log(0.6), math.log(0.4)
    take, skip = math.log(0.4), math.log(0.6)
    sil, x, y, z, end = range(5)
    arcs = [(n, n, stay) for n in range(5)]
    arcs += [(sil, x, leave + HALF), (sil, y, leave + HALF), (y, z, leave)]
    arcs += [(x, end, leave + take), (z, end, leave + take)]
    initial = {sil: take, x: skip + HALF, y: skip + HALF}
    final = {x: leave + skip, z: leave + skip, end: leave}
    return Net.of_arcs([0, 1, 2, 3, 0], arcs, initial, final)


def enumerated(net, scores):
    """All paths of a net through scores (T, C), with their log-probabilities."""
    arcs = {}
    for node, (sources, weights) in enumerate(zip(net.sources, net.weights, strict=True)):
        arcs |= {(int(s), node): float(w) for s, w in zip(sources, weights, strict=True) if w > HARDLY}
    found = {}
    for path in itertools.product(range(len(net.pdfs)), repeat=len(scores)):
        steps = list(itertools.pairwise(path))
        if net.initial[path[0]] > HARDLY and net.final[path[-1]] > HARDLY and all(s in arcs for s in steps):
            total = float(net.initial[path[0]] + net.final[path[-1]]) + sum(arcs[s] for s in steps)
            found[path] = total + sum(float(scores[t, net.pdfs[n]]) for t, n in enumerate(path))
    return found


@pytest.fixture
def scores():
    return torch.randn(5, 4, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


def test_best_path_sum_and_occupations_are_those_of_all_35_paths(scores):
    net = toy()
    paths = enumerated(net, scores)
    assert len(paths) == 35
    best = max(paths, key=paths.get)
    total = torch.logsumexp(torch.tensor(list(paths.values()), dtype=torch.float64), 0)
    shares = torch.zeros_like(scores)
    for path, value in paths.items():
        for t, node in enumerate(path):
            shares[t, net.pdfs[node]] += math.exp(value - total)
    batch, lens = NetBatch([net], dtype=torch.float64), torch.tensor([5])
    found = viterbi(batch, scores[None], lens)
    assert tuple(found.nodes[0]) == best
    assert found.scores[0] == pytest.approx(paths[best], abs=1e-5)
    log_z, occupied = forward_backward(batch, scores[None], lens)
    assert float(log_z) == pytest.approx(float(total), abs=1e-5)
    assert torch.allclose(occupied[0], shares, atol=1e-6)


def test_a_batch_gives_what_each_gives_alone(scores):
    other = Net.of_arcs([2, 1], [(0, 0, HALF), (0, 1, HALF), (1, 1, HALF)], {0: 0.0}, {1: HALF})
    # What is behind an utterance's end does not matter, not even if it is no number.
    padded = torch.full((2, 5, 4), math.nan, dtype=torch.float64)
    padded[0], padded[1, :3] = scores, scores[:3]
    batch, lens = NetBatch([toy(), other], dtype=torch.float64), torch.tensor([5, 3])
    found, (sums, occupied) = viterbi(batch, padded, lens), forward_backward(batch, padded, lens)
    for i, (net, frames) in enumerate(((toy(), 5), (other, 3))):
        one, alone = NetBatch([net], dtype=torch.float64), torch.tensor([frames])
        single = viterbi(one, scores[None, :frames], alone)
        assert np.array_equal(found.nodes[i], single.nodes[0]) and found.scores[i] == single.scores[0]
        log_z, shares = forward_backward(one, scores[None, :frames], alone)
        assert torch.allclose(sums[i], log_z[0], atol=1e-14, rtol=0)
        assert torch.allclose(occupied[i, :frames], shares[0], atol=1e-14, rtol=0)
    assert not occupied[1, 3:].any()


def test_occupations_are_the_gradient(scores):
    batch, lens = NetBatch([toy(), toy()], dtype=torch.float64), torch.tensor([5, 4])
    given = torch.stack([scores, scores.flip(0)])
    steps = 1e-4 * torch.eye(scores.numel(), dtype=torch.float64).view(-1, *scores.shape)
    more, less = (torch.stack([forward_backward(batch, given + sign * d, lens)[0] for d in steps]) for sign in (1, -1))
    slopes = ((more - less) / 2e-4).T.view(given.shape)
    assert torch.allclose(forward_backward(batch, given, lens)[1], slopes, atol=1e-7, rtol=0)


def test_a_shift_of_one_frame_shifts_the_sum(scores):
    batch, lens = NetBatch([toy()], dtype=torch.float64), torch.tensor([5])
    before = forward_backward(batch, scores[None], lens)[0]
    scores[2] += 3.0
    assert float(forward_backward(batch, scores[None], lens)[0] - before) == pytest.approx(3.0, abs=1e-12)


def test_fewer_frames_than_states_is_no_path():
    net = Net.of_arcs([0, 1, 2], [(0, 1, 0.0), (1, 2, 0.0), (2, 2, 0.0)], {0: 0.0}, {2: 0.0})
    assert net.fewest_frames == 3 and toy().fewest_frames == 1
    batch, lens = NetBatch([net, net]), torch.tensor([2, 3])
    found = viterbi(batch, torch.zeros(2, 3, 3), lens)
    assert found.nodes[0] is None and found.nodes[1].tolist() == [0, 1, 2]
    assert found.scores[0] < HARDLY < found.scores[1]
    sums, occupied = forward_backward(batch, torch.zeros(2, 3, 3), lens)
    assert sums[0] < HARDLY and not occupied[0].any() and float(sums[1]) == 0.0


def test_many_frames_lose_no_precision():
    # In float32 a running sum of 3,000 frames would be off by some thousandths.
    scores = -30.0 * torch.rand(1, 3000, 4, generator=torch.Generator().manual_seed(1))
    lens = torch.tensor([3000])
    low, _ = forward_backward(NetBatch([toy()]), scores, lens)
    high, _ = forward_backward(NetBatch([toy()], dtype=torch.float64), scores.double(), lens)
    assert float(low - high) == pytest.approx(0.0, abs=2e-3)
    assert viterbi(NetBatch([toy()]), scores, lens).scores[0] < float(high)
