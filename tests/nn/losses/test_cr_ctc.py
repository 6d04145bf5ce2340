"""CTC of two views: the sum by hand, gradients that stop at targets, utterances without a path, batches of views."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from asrpar.errors import ConfigError
from asrpar.feats import BatchLoader, eval_batches
from asrpar.feats.config import AugmentConfig, BatchConfig
from asrpar.nn.losses import LOSSES, cr_ctc, ctc
from asrpar.nn.objective import Sources

TOKENS = SimpleNamespace(num_tokens=4, encode_variants=lambda text: [[int(t) for t in text.split()]])


def losses(consistency=0.2):
    plain = ctc.Loss(ctc.Settings(), Sources(TOKENS))
    return plain, cr_ctc.Loss(cr_ctc.Settings(consistency=consistency), Sources(TOKENS))


def scores(count=2, frames=7):
    torch.manual_seed(0)
    return torch.randn(2 * count, frames, 4, dtype=torch.float64, requires_grad=True)


def test_the_sum_by_hand():
    plain, both = losses(0.3)
    x, lens, targets = scores(), torch.tensor([7, 5] * 2), [[[1, 2]], [[3]]]
    p = x.log_softmax(-1)
    value, used = both.loss(p, lens, targets)
    assert used == [True, True]
    expected = (plain.loss(p[:2], lens[:2], targets)[0] + plain.loss(p[2:], lens[2:], targets)[0]) / 2
    for n, frames in enumerate((7, 5)):
        for t in range(frames):
            a, b = p[n, t], p[n + 2, t]
            there, back = (b.exp() * (b - a)).sum(), (a.exp() * (a - b)).sum()
            expected = expected + 0.3 / 2 * (there + back)
    assert value.item() == pytest.approx(expected.item(), rel=1e-12)


def test_a_view_is_drawn_to_the_other_but_does_not_draw_it():
    plain, both = losses(1.0)
    x, lens, targets = scores(1), torch.tensor([7, 7]), [[[1]]]
    p = x.log_softmax(-1)
    total = both.loss(p, lens, targets)[0] - plain.loss(p, lens, targets * 2)[0] / 2
    # As a target a view is constant: the gradient of cross-entropy is the difference of probabilities.
    grad = torch.autograd.grad(total, x)[0]
    difference = p[0].exp() - p[1].exp()
    torch.testing.assert_close(grad, torch.stack([difference, -difference]).detach() / 2)


def test_equal_views_are_ctc_and_utterances_without_a_path_are_in_nothing():
    plain, both = losses(5.0)
    x = scores(2)[:2].detach().repeat(2, 1, 1).requires_grad_()
    lens, targets = torch.tensor([7, 1] * 2), [[[1, 2]], [[3, 3]]]
    value, used = both.loss(x.log_softmax(-1), lens, targets)
    alone, _ = plain.loss(x[:2].log_softmax(-1), lens[:2], targets)
    assert used == [True, False] and value.item() == pytest.approx(alone.item())
    value.backward()
    assert not x.grad[1::2].any() and x.grad[::2].any()
    nothing, used = both.loss(x[1::2].log_softmax(-1), lens[1::2], targets[1:])
    assert (nothing.item(), used) == (0.0, [False])


def test_one_view_on_dev_is_ctc():
    plain, both = losses()
    p, lens, targets = scores(1).log_softmax(-1), torch.tensor([7, 6]), [[[1]], [[2]]]
    assert both.loss(p, lens, targets)[0].item() == plain.loss(p, lens, targets)[0].item()
    with pytest.raises(ConfigError, match=r"losses\.cr_ctc\.consistency"):
        LOSSES.settings("cr_ctc", {"cr_ctc": {"consistency": -1}})


class Objective:
    """Targets are the frames that a batch shows."""

    def __init__(self, views):
        self.views = views

    def targets(self, utterance, frames=None):
        return np.arange(utterance.num_frames) if frames is None else frames


def test_views_show_the_same_frames_with_masks_of_their_own(mini):
    def batches(views, **augment):
        config = BatchConfig(size=1500, augment=AugmentConfig(time_warp=5, **augment))
        loader = BatchLoader(mini / "feats", "train", config, 1, objective=Objective(views), stride=3)
        return list(loader.epoch(0))

    masks = {"time_masks": 3, "time_mask_frames": 20, "frequency_masks": 1}
    bare = {"time_masks": 0, "frequency_masks": 0}
    for two, plain in zip(batches(2, **masks), batches(2, **bare), strict=True):
        count = len(two.ids)
        assert len(two.targets) == count and len(two.features) == len(two.feature_lens) == 2 * count
        assert two.num_frames == plain.num_frames <= two.global_frames
        assert torch.equal(two.feature_lens[:count], two.feature_lens[count:])
        assert [len(t) for t in two.targets] == two.feature_lens[:count].tolist()
        # Without masks the views are equal; with them each lacks something else.
        assert torch.equal(plain.features[:count], plain.features[count:])
        assert not torch.equal(two.features[:count], two.features[count:])
        kept = two.features != 0
        assert 0.2 < kept.float().mean() < 0.95
    one = batches(1, **masks)
    assert sum(b.num_frames for b in one) == sum(b.num_frames for b in batches(2, **masks))
    assert all(len(b.features) == len(b.ids) for b in one)
    dev = list(eval_batches(mini / "feats", "dev", 20000, objective=Objective(2)))
    assert all(len(b.features) == len(b.ids) == len(b.targets) for b in dev)
