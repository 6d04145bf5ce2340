import numpy as np
import pytest
import torch
from torch.distributions import Independent, Normal

from asrpar.align.gaussians import FLOOR, Gaussians
from asrpar.align.network import Committee, Frames, Network, NetworkSettings, train_epoch
from asrpar.align.transitions import TransitionCounts, estimated
from asrpar.hmm.phones import Phones
from asrpar.hmm.segments import Segments
from asrpar.hmm.topologies import chain, three_state
from asrpar.hmm.tree import Tree


def test_gaussians_are_those_of_their_frames():
    rng = np.random.default_rng(1)
    x = (rng.normal(size=(200, 6)) * 3 + 1).astype(np.float32)
    y = np.repeat([0, 1], 100)
    x[:100, 2] = 5.0  # no variance: the floor
    found = Gaussians.estimate({"u": x}, {"u": y}, 3, 2)
    scores = found.linear.T @ torch.from_numpy(x[7]) + found.quadratic.T @ torch.from_numpy(x[7] ** 2) + found.constant
    variance = np.maximum(np.stack([x[:100].var(0), x[100:].var(0), x.var(0)]), FLOOR * x.var(0))
    mean = np.stack([x[:100].mean(0), x[100:].mean(0), x.mean(0)])  # a class without frames is all frames'
    wanted = Independent(Normal(torch.tensor(mean), torch.tensor(variance).sqrt()), 1).log_prob(torch.from_numpy(x[7]))
    assert torch.allclose(scores, wanted.float(), atol=1e-3)


def network(**settings):
    return Network(NetworkSettings(hidden=16, context=1, batch=32, **settings), 4, 3, 1, "cpu")


def test_a_network_learns_and_scores_without_its_priors():
    rng = np.random.default_rng(2)
    labels = [rng.integers(0, 3, 60) for _ in range(4)]
    features = [(np.eye(4)[y] * 2 + rng.normal(size=(60, 4)) * 0.3).astype(np.float32) for y in labels]
    found, generator = network(), torch.Generator().manual_seed(1)
    frames = Frames.of(found, features, labels)
    losses = [train_epoch(found, frames, generator) for _ in range(8)]
    assert losses[-1] < 0.5 * losses[0]
    found.set_priors(np.array([3, 1, 0]))
    assert found.log_priors.exp().tolist() == pytest.approx([4 / 7, 2 / 7, 1 / 7])
    items = [None] * 2  # whose they are does not matter
    with torch.inference_mode():
        scores = found.scores(items, [features[0], features[1][:40]])
        alone = found.scores(items[:1], [features[1][:40]])[0]
    assert scores.shape == (2, 60, 3) and torch.allclose(scores[1, :40], alone, atol=1e-5)
    posteriors = (scores + found.log_priors).exp()
    assert torch.allclose(posteriors[0].sum(-1), torch.ones(60), atol=1e-5)
    assert (posteriors[0].argmax(-1).numpy() == labels[0]).mean() > 0.9


def test_a_network_follows_from_its_seed():
    before = torch.random.get_rng_state()
    one, other = network(), network()
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_networks_align_with_their_mean():
    members = [Network(NetworkSettings(hidden=16, context=1), 4, 3, seed, "cpu") for seed in (1, 2, 3)]
    features = [np.random.default_rng(3).normal(size=(9, 4)).astype(np.float32)]
    with torch.inference_mode():
        scores = torch.stack([member.scores([None], features) for member in members])
        found = Committee(members).scores([None], features)
        assert torch.equal(Committee(members[:1]).scores([None], features), scores[0])
    assert torch.allclose(found, scores.mean(dim=0), atol=1e-6) and not torch.allclose(scores[0], scores[1], atol=0.01)


def test_more_filter_banks_are_averaged():
    found = Network(NetworkSettings(context=2), 80, 3, 1, "cpu")
    features = np.arange(3 * 80, dtype=np.float32).reshape(3, 80)
    rows = found.bands(features)
    assert rows.shape == (7, 40) and rows[2, 0] == 0.5 and (rows[:2] == rows[2]).all() and (rows[5:] == rows[4]).all()


def test_loops_are_as_often_as_counted():
    phones = Phones.with_silence(["A"])
    tree = Tree.monophone(phones, three_state.Topology(three_state.Settings()))
    one = Segments(np.array([2, 1, 1]), np.array([3, 6, 3]), np.array([0, 1, 2, 0, 0, 0, 1, 1, 2, 0, 1, 2], np.uint8))
    found = estimated(tree, [one] * 1000)
    # A's states: 4, 3 and 2 frames in 2 visits; 10 visits more as the topology has them do not count much.
    assert [s.loop for s in found.states(1)] == pytest.approx([0.5, 1 / 3, 0.01], abs=0.01)
    assert found.digest == tree.digest and estimated(tree, []).states(1) == tree.states(1)


def test_loops_of_a_state_whose_first_frame_has_a_class_of_its_own():
    tree = Tree.monophone(Phones.with_silence(["A"]), chain.Topology(chain.Settings()))
    one = Segments(np.array([1, 1]), np.array([3, 1]), np.array([0, 1, 1, 0], np.uint8))
    counts = TransitionCounts(tree)
    counts.add(one)
    assert counts.frames[1].tolist() == [4] and counts.visits[1].tolist() == [2]
