import gc
import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from asrpar.config import load_config
from asrpar.errors import ConfigError, DataError
from asrpar.feats.batches import Batch, BatchLoader, eval_batches
from asrpar.feats.config import AugmentConfig, BatchConfig
from asrpar.feats.plan import padded
from asrpar.feats.prefetch import prefetch
from asrpar.feats.store import FeatureStore

CONFIG = BatchConfig(size=1500, augment=AugmentConfig(time_warp=3, frequency_mask_bins=5))


def equal(a: Batch, b: Batch) -> bool:
    return (
        torch.equal(a.features, b.features)
        and torch.equal(a.feature_lens, b.feature_lens)
        and (a.ids, a.targets, a.num_frames, a.global_frames, a.epoch, a.step)
        == (b.ids, b.targets, b.num_frames, b.global_frames, b.epoch, b.step)
    )


def threads() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name == "asrpar-prefetch"]


def test_batches(feats: Path):
    loader = BatchLoader(feats, "train", CONFIG, seed=1, augment=False)
    store = FeatureStore(feats, "train")
    by_id = {u.id: i for i, u in enumerate(store.utterances)}
    batches = list(loader.epoch(4))
    assert len(batches) == loader.steps(4) > 5 and [b.step for b in batches] == list(range(len(batches)))
    assert sorted(i for b in batches for i in b.ids) == sorted(by_id)
    assert sum(b.num_frames for b in batches) == loader.frames_per_epoch == sum(b.global_frames for b in batches)
    for batch in batches:
        assert batch.epoch == 4 and batch.features.dtype == torch.float32 and batch.feature_lens.dtype == torch.int64
        assert batch.features.shape == (len(batch.ids), padded(int(batch.feature_lens.max())), loader.num_features)
        assert batch.num_frames == batch.feature_lens.sum() <= 1500
        for n, utterance in enumerate(batch.ids):
            frames = batch.feature_lens[n]
            np.testing.assert_array_equal(batch.features[n, :frames].numpy(), store.load(by_id[utterance]))
            assert (batch.features[n, frames:] == 0).all()
            assert batch.targets[n] == f"TEXT OF {utterance[-5:].upper()}"


def test_features_for_gpus_are_pinned_by_the_thread_that_loads(feats: Path, monkeypatch: pytest.MonkeyPatch):
    names = []
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda x: names.append(threading.current_thread().name) or x)
    plain, pinned = (BatchLoader(feats, "train", CONFIG, seed=1, pinned=pinned) for pinned in (False, True))
    assert all(equal(a, b) for a, b in zip(plain.epoch(0), pinned.epoch(0), strict=True))
    assert names == pinned.steps(0) * ["asrpar-prefetch"]


def test_seconds_are_no_size_of_a_batch(feats: Path, caplog: pytest.LogCaptureFixture):
    """As Lhotse's max_duration would be."""
    for size, unit, learners, warned in ((60, "frames", 1, True), (200, "frames", 4, True), (300, "frames", 2, False)):
        caplog.clear()
        BatchLoader(feats, "train", BatchConfig(size=size, unit=unit), seed=1, num_learners=learners)
        BatchLoader(feats, "train", BatchConfig(size=size, unit=unit), seed=1, num_learners=learners, rank=learners - 1)
        assert caplog.text.count("it counts frames, not seconds") == warned * (2 if learners == 1 else 1)


def test_frames_of_an_epoch_are_not_added_up_in_each_step(feats: Path, monkeypatch: pytest.MonkeyPatch):
    loader = BatchLoader(feats, "train", CONFIG, seed=1)
    monkeypatch.setattr(FeatureStore, "lengths", property(lambda _: pytest.fail("a pass over the corpus")))
    assert loader.frames_per_epoch == loader.share(1, 0).frames_per_epoch > 0


def test_lengths_of_batches_are_few():
    assert [padded(n) for n in (0, 1, 32, 33)] == [0, 32, 32, 64]


@pytest.mark.parametrize("cache_mb", [0, 2000])
def test_going_on_is_exact(feats: Path, cache_mb: int):
    config = load_config(BatchConfig, None, ["size=1500", "augment.time_warp=3", f"cache_mb={cache_mb}"])
    whole = list(BatchLoader(feats, "train", config, 1, 2, 1, stride=3).epoch(2))
    for start in (0, 1, len(whole) - 1, len(whole)):
        loader = BatchLoader(feats, "train", config, 1, 2, 1, stride=3)
        list(islice(loader.epoch(1), 3))  # what was loaded before makes no difference
        rest = list(loader.epoch(2, start))
        assert len(rest) == len(whole) - start and all(map(equal, rest, whole[start:]))


def test_augmentation_differs_by_epoch_and_leaves_the_cache_alone(feats: Path):
    plain = BatchLoader(feats, "train", CONFIG, 1, augment=False)
    loader = BatchLoader(feats, "train", CONFIG, 1)
    clean, first = next(plain.epoch(0)), next(loader.epoch(0))
    assert clean.ids == first.ids and not torch.equal(clean.features, first.features)
    list(loader.epoch(0))
    again = next(loader.epoch(0))
    assert torch.equal(again.features, first.features)
    other = {i: f for b in loader.epoch(1) for i, f in zip(b.ids, b.features, strict=True)}
    pairs = [(f, other[i]) for i, f in zip(first.ids, first.features, strict=True)]
    assert any(not torch.equal(f[: len(g)], g[: len(f)]) for f, g in pairs)


class Numbered:
    """Targets are the numbers of the frames that a batch shows."""

    def targets(self, utterance, frames=None):
        return np.arange(utterance.num_frames) if frames is None else frames


def test_utterances_begin_at_any_frame_of_the_first_stride_and_targets_move_along(feats: Path):
    none = AugmentConfig(probability=0.0)
    loader = BatchLoader(feats, "train", BatchConfig(augment=none), 1, objective=Numbered(), stride=3)
    index = {u.id: i for i, u in enumerate(loader.store.utterances)}
    begins = []
    for batch in loader.epoch(0):
        for n, (name, shown) in enumerate(zip(batch.ids, batch.targets, strict=True)):
            whole = loader.store.load(index[name])
            assert len(shown) == batch.feature_lens[n] and shown[-1] == len(whole) - 1
            np.testing.assert_array_equal(batch.features[n, : len(shown)].numpy(), whole[shown])
            assert (batch.features[n, len(shown) :] == 0).all()
            begins.append(int(shown[0]))
        assert batch.num_frames == sum(len(loader.store.load(index[name])) for name in batch.ids)
    assert all(25 < begins.count(first) < 65 for first in range(3)), "135 utterances"
    for kept in (
        BatchLoader(feats, "train", BatchConfig(augment=replace(none, random_start=False)), 1, stride=3),
        BatchLoader(feats, "train", BatchConfig(augment=none), 1, augment=False, stride=3),
        BatchLoader(feats, "train", BatchConfig(augment=none), 1),
    ):
        assert all(b.num_frames == b.feature_lens.sum() for b in kept.epoch(0))


def test_what_else_is_drawn_does_not_depend_on_where_utterances_begin(feats: Path):
    def batches(random_start: bool) -> Iterator[Batch]:
        config = replace(CONFIG, augment=replace(CONFIG.augment, random_start=random_start))
        return BatchLoader(feats, "train", config, 1, objective=Numbered(), stride=3).epoch(0)

    moved = 0
    for there, here in zip(batches(True), batches(False), strict=True):
        assert there.ids == here.ids and there.num_frames == here.num_frames == here.feature_lens.sum()
        for n, (left, lens) in enumerate(zip(there.feature_lens.tolist(), here.feature_lens.tolist(), strict=True)):
            assert torch.equal(there.features[n, :left], here.features[n, lens - left : lens])
            np.testing.assert_array_equal(there.targets[n], here.targets[n][lens - left :])
            moved += (here.targets[n] != np.arange(lens)).any()
    assert moved > 100, "time is warped"


def test_the_cache_is_bounded(feats: Path):
    store = FeatureStore(feats, "train", cache_mb=1)
    total = sum(u.num_frames * u.num_features * 4 for u in store.utterances)
    store._room = total // 3
    for i in range(len(store.utterances)):
        store.load(i)
    assert total / 4 < sum(x.nbytes for x in store._cache.values()) <= total / 3


def test_empty_shares(feats: Path):
    config = BatchConfig(unit="utterances", size=4)
    loaders = [BatchLoader(feats, "train", config, 0, 4, rank) for rank in range(4)]
    last = [list(loader.epoch(0))[-1] for loader in loaders]  # 135 utterances: three in the last global batch
    assert sorted(len(b.ids) for b in last) == [0, 1, 1, 1]
    empty = next(b for b in last if not b.ids)
    assert empty.features.shape == (0, 0, 20) and empty.feature_lens.shape == (0,) and empty.num_frames == 0
    assert {b.global_frames for b in last} == {sum(b.num_frames for b in last)}


def test_learners_and_steps_are_checked(feats: Path):
    with pytest.raises(ConfigError, match="136 learners are more than the 135 utterances"):
        BatchLoader(feats, "train", BatchConfig(), 0, 136, 0)
    loader = BatchLoader(feats, "train", CONFIG, 0)
    with pytest.raises(ConfigError, match="cannot go on from step 999"):
        loader.epoch(0, 999)


@pytest.mark.parametrize("learners", [1, 2, 3, 9])
def test_eval_batches(feats: Path, learners: int):
    shares = [list(eval_batches(feats, "dev", 200, learners, rank)) for rank in range(learners)]
    assert sorted(i for share in shares for b in share for i in b.ids) == sorted(
        u.id for u in FeatureStore(feats, "dev").utterances
    )
    for share in shares:
        lens = [n for b in share for n in b.feature_lens.tolist()]
        assert lens == sorted(lens, reverse=True)
        assert all(b.features.shape[0] * b.features.shape[1] <= 200 or len(b.ids) == 1 for b in share)
    again = list(eval_batches(feats, "dev", 200, learners, 0))
    assert all(map(equal, again, shares[0]))


def test_prefetch_keeps_order_and_runs_ahead():
    made = []

    def make() -> Iterator[int]:
        for i in range(20):
            made.append(i)
            yield i

    items = prefetch(make(), 3)
    assert next(items) == 0
    deadline = time.monotonic() + 10
    while len(made) < 5 and time.monotonic() < deadline:
        time.sleep(0.001)
    assert made == [0, 1, 2, 3, 4], "one consumed, three in the queue, one in the thread's hand"
    assert list(items) == list(range(1, 20)) and not threads()


def test_prefetch_passes_errors_on_after_the_items_before_them():
    def make() -> Iterator[int]:
        yield 1
        raise ConfigError("no more")

    items = prefetch(make(), 4)
    assert next(items) == 1
    with pytest.raises(ConfigError, match="no more"):
        next(items)
    assert not threads()


def test_threads_end_when_the_consumer_does(feats: Path):
    loader = BatchLoader(feats, "train", CONFIG, 0)
    batches = loader.epoch(0)
    next(batches)
    assert len(threads()) == 1
    batches.close()
    assert not threads()

    def consume() -> None:
        for batch in loader.epoch(0):
            raise ValueError(batch.step)

    with pytest.raises(ValueError, match="0"):
        consume()
    gc.collect()
    assert not threads()
    next(loader.epoch(0))  # nobody holds the iterator
    gc.collect()
    assert not threads()


def test_damage_shows_in_the_consumer(feats: Path, tmp_path: Path):
    shutil.copytree(feats, tmp_path / "f")
    loader = BatchLoader(tmp_path / "f", "train", CONFIG, 0)
    last = sorted((tmp_path / "f/storage/train").glob("*.npy"))[-1]
    last.write_bytes(b"")
    with pytest.raises(DataError, match=r"features of .* cannot be read from .*: run stage 2"):
        list(loader.epoch(0))
    assert not threads()
