"""Batches of windows and of single frames: what is in them, and that they are the same however they are come to."""

from dataclasses import replace
from itertools import chain, islice
from pathlib import Path

import numpy as np
import pytest
import torch

from asrpar.errors import ConfigError
from asrpar.feats.batches import Batch, BatchLoader
from asrpar.feats.config import AugmentConfig, BatchConfig
from asrpar.feats.store import FeatureStore

NONE = AugmentConfig(probability=0.0)
WINDOWS = BatchConfig(pieces="windows", size=630, pool_frames=3000, context=[3, 2], augment=NONE)
FRAMES = BatchConfig(pieces="frames", size=500, pool_frames=3000, augment=NONE)


class Numbered:
    """Targets are the numbers of the frames that a batch shows."""

    of_labels = True

    def targets(self, utterance, frames=None):
        return np.arange(utterance.num_frames) if frames is None else frames


def equal(a: Batch, b: Batch) -> bool:
    same = torch.equal(a.features, b.features) and torch.equal(a.feature_lens, b.feature_lens)
    return same and (a.ids, a.num_frames, a.global_frames, a.step, a.share) == (
        b.ids, b.num_frames, b.global_frames, b.step, b.share
    ) and all(map(np.array_equal, a.targets, b.targets))  # fmt: skip


def loader(feats: Path, config: BatchConfig, learners: int = 1, rank: int = 0, stride: int = 1) -> BatchLoader:
    return BatchLoader(feats, "train", config, 5, learners, rank, objective=Numbered(), stride=stride, context=(2, 1))


def test_windows_with_what_is_around_them(feats: Path):
    one, store = loader(feats, WINDOWS), FeatureStore(feats, "train")
    index = {u.id: i for i, u in enumerate(store.utterances)}
    seen = []
    for batch in one.epoch(1):
        assert batch.features.shape[1:] == (3 + 21 + 2, 20)
        for name, features, frames, target in zip(
            batch.ids, batch.features, batch.feature_lens.tolist(), batch.targets, strict=True
        ):
            whole, own = store.load(index[name]), target[target >= 0]
            assert len(target) == frames and (target[3 : frames - 2] == own).all() and own[0] % 21 == 0
            shown = np.arange(own[0] - 3, own[-1] + 3).clip(0, len(whole) - 1)
            np.testing.assert_array_equal(features[:frames].numpy(), whole[shown])
            assert (features[frames:] == 0).all()
            seen += [(name, t) for t in own.tolist()]
        assert batch.num_frames == sum((t >= 0).sum() for t in batch.targets)
    assert sorted(seen) == sorted((u.id, t) for u in store.utterances for t in range(u.num_frames))


def test_single_frames_in_a_row_spliced(feats: Path):
    store, batches = FeatureStore(feats, "train"), list(loader(feats, FRAMES).epoch(1))
    spliced = {}
    for i, u in enumerate(store.utterances):
        whole = store.load(i)
        for t in range(len(whole)):
            shown = whole[np.arange(t - 2, t + 2).clip(0, len(whole) - 1)]
            spliced.setdefault(shown.tobytes(), []).append((u.id, t))
    found = []
    for batch in batches:
        frames = batch.feature_lens.item()
        assert batch.features.shape == (1, -(-frames // 32) * 32, 4 * 20) and frames == batch.num_frames <= 500
        assert (batch.features[0, frames:] == 0).all()
        for row, target in zip(batch.features[0, :frames].numpy(), batch.targets[0], strict=True):
            name, t = spliced[row.tobytes()].pop()
            assert t == target
            found.append((name, t))
    assert sorted(found) == sorted((u.id, t) for u in store.utterances for t in range(u.num_frames))


@pytest.mark.parametrize("config", [WINDOWS, FRAMES], ids=["windows", "frames"])
def test_going_on_is_exact_and_so_is_dealing(feats: Path, config: BatchConfig):
    config = replace(config, augment=AugmentConfig(time_warp=3, frequency_mask_bins=5))
    whole = [list(loader(feats, config, 2, rank).epoch(2)) for rank in range(2)]
    assert len(whole[0]) == loader(feats, config, 2).steps(2) > 20
    for start in (1, 7, len(whole[0]) - 1):
        one = loader(feats, config, 2, 1)
        list(islice(one.epoch(1), 3))  # what was loaded before makes no difference
        rest = list(one.epoch(2, start))
        assert len(rest) == len(whole[1]) - start and all(map(equal, rest, whole[1][start:]))
    # Learners in one process, and whoever is dealt a share.
    first = loader(feats, config, 2)
    assert all(map(equal, first.share(2, 1).epoch(2), whole[1]))
    every = list(chain(*zip(*whole, strict=True)))
    numbers = [0, 3, 40, 2, 41]
    dealt = list(first.chosen(2, iter([(n, every[n].global_frames) for n in numbers])))
    assert all(map(equal, dealt, [every[n] for n in numbers]))
    assert first.share_frames(2) == [b.num_frames for b in every]
    assert sum(first.global_frames(2)) == first.frames_per_epoch
    # The same frames, whoever shares them.
    alone = list(loader(feats, config).epoch(2))
    assert [sorted(np.concatenate(b.targets).tolist()) for b in alone] == [
        sorted(np.concatenate(a.targets + b.targets).tolist()) for a, b in zip(*whole, strict=True)
    ]


def test_masks_are_those_of_whole_utterances(feats: Path):
    masks = AugmentConfig(time_masks=0, frequency_masks=1, frequency_mask_bins=8, probability=1.0)
    by_name = {}
    for batch in loader(feats, replace(WINDOWS, augment=masks)).epoch(0):
        for name, features, frames in zip(batch.ids, batch.features, batch.feature_lens.tolist(), strict=True):
            by_name.setdefault(name, set()).add(tuple((features[:frames] == 0).all(0).tolist()))
    assert all(len(found) == 1 for found in by_name.values()) and len(set(chain(*by_name.values()))) > 20


def test_windows_begin_anywhere_within_a_stride(feats: Path):
    store, begins = FeatureStore(feats, "train"), set()
    for batch in loader(feats, WINDOWS, stride=3).epoch(0):
        begins |= {int(t[3]) % 21 for t in batch.targets if t[3] < 21}
    assert begins == {0, 1, 2}
    # Windows of one frame are left with nothing by a start behind it: then the last frame is shown again.
    one = loader(feats, replace(WINDOWS, window=1, size=100, context=[0, 0]), stride=3)
    counts = sum(len(b.ids) for b in one.epoch(0))
    assert counts == sum(u.num_frames for u in store.utterances)


def test_empty_shares(feats: Path):
    for config in (replace(WINDOWS, size=84, pool_frames=84), replace(FRAMES, size=4, pool_frames=2000)):
        for rank in range(4):
            for batch in islice(loader(feats, config, 4, rank).epoch(0), 5):
                assert len(batch.features) == len(batch.feature_lens) == len(batch.ids) == len(batch.targets)
                assert bool(batch.ids) == (batch.num_frames > 0)


def test_what_does_not_go_together(feats: Path):
    with pytest.raises(ConfigError, match=r"frames, which this model does not take: .* model=dnn"):
        BatchLoader(feats, "train", FRAMES, 0, objective=Numbered())
    text = Numbered()
    text.of_labels = False
    with pytest.raises(ConfigError, match="windows, but the loss has targets for whole utterances"):
        BatchLoader(feats, "train", WINDOWS, 0, objective=text)

    class Fewer(Numbered):
        def targets(self, utterance, frames=None):
            return super().targets(utterance, frames)[::3]

    with pytest.raises(ConfigError, match="set the model's subsampling to 1"):
        next(BatchLoader(feats, "train", FRAMES, 0, objective=Fewer(), context=(2, 1)).epoch(0))
