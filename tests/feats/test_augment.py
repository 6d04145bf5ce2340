from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from asrpar.errors import ConfigError
from asrpar.feats.augment import Augment, step_generator
from asrpar.feats.config import AugmentConfig

LENS = np.array([200, 150, 31, 1])


def masked(config: AugmentConfig, seed: int = 0, fill: np.ndarray | None = None) -> np.ndarray:
    batch = np.ones((len(LENS), 200, 20), dtype=np.float32)
    for n, frames in enumerate(LENS):
        batch[n, frames:] = 0
    Augment(config).draw(LENS, 20, step_generator(seed, 0, 0, 0)).apply(batch, LENS, fill)
    return batch


def test_generators_follow_from_their_four_numbers():
    def draw(*numbers: int) -> list[float]:
        return torch.rand(4, generator=step_generator(*numbers)).tolist()

    assert draw(1, 2, 3, 4) == draw(1, 2, 3, 4)
    others = [draw(*n) for n in [(1, 2, 3, 4), (2, 2, 3, 4), (1, 3, 3, 4), (1, 2, 4, 4), (1, 2, 3, 5), (12, 3, 4, 0)]]
    assert len({tuple(o) for o in others}) == len(others)


def test_global_random_states_are_left_alone():
    before = torch.random.get_rng_state()
    state = np.random.get_state()[1].copy()
    masked(AugmentConfig())
    assert torch.equal(before, torch.random.get_rng_state()) and (state == np.random.get_state()[1]).all()


@pytest.mark.parametrize("seed", range(20))
def test_masks_are_stretches_within_their_bounds(seed: int):
    time = masked(AugmentConfig(time_masks=1, time_mask_frames=30, time_mask_fraction=0.1, frequency_masks=0), seed)
    frequency = masked(AugmentConfig(time_masks=0, frequency_masks=1, frequency_mask_bins=6), seed)
    for n, frames in enumerate(LENS):
        gone = np.flatnonzero((time[n, :frames] == 0).all(axis=1))
        assert len(gone) <= min(30, int(0.1 * frames)) and (len(gone) == 0 or np.ptp(gone) == len(gone) - 1)
        assert (time[n, :frames] == 1).sum() == (frames - len(gone)) * 20, "nothing else is changed"
        gone = np.flatnonzero((frequency[n, :frames] == 0).all(axis=0))
        assert len(gone) <= 6 and (len(gone) == 0 or np.ptp(gone) == len(gone) - 1)
        assert (frequency[n, :frames] == 1).sum() == frames * (20 - len(gone))


def test_widths_and_places_are_uniform():
    config = AugmentConfig(time_masks=1, time_mask_frames=3, time_mask_fraction=1.0, frequency_masks=0)
    augment = Augment(config)
    counts, hits, trials = np.zeros(4), np.zeros(10), 4000
    generator = step_generator(0, 0, 0, 0)
    batch = np.ones((trials, 10, 1), dtype=np.float32)
    lens = np.full(trials, 10)
    augment.draw(lens, 1, generator).apply(batch, lens, None)
    for utterance in batch[:, :, 0]:
        counts[int((utterance == 0).sum())] += 1
        hits += utterance == 0
    np.testing.assert_allclose(counts / trials, 0.25, atol=0.03)
    # Each of 10 - w + 1 places is as likely as another; this is the share of draws that hit each frame.
    exact = np.array(
        [sum(sum(s <= t < s + w for s in range(11 - w)) / (11 - w) for w in range(4)) / 4 for t in range(10)]
    )
    np.testing.assert_allclose(hits / trials, exact, atol=0.03)


def test_probability_and_off_switches():
    config = AugmentConfig(probability=0.0, time_warp=5)
    np.testing.assert_array_equal(masked(config), masked(AugmentConfig(time_masks=0, frequency_masks=0)))
    assert masked(config).sum() == LENS.sum() * 20
    lens = np.full(2000, 50)
    batch = np.ones((2000, 50, 4), dtype=np.float32)
    config = AugmentConfig(probability=0.3, time_mask_fraction=0.9, frequency_masks=0)
    Augment(config).draw(lens, 4, step_generator(0, 0, 0, 0)).apply(batch, lens, None)
    touched = np.mean([(u == 0).any() for u in batch])
    assert 0.26 < touched < 0.34


def test_filling_leaves_padding_alone():
    fill = np.array([5.0, 6.0, 7.0, 8.0])
    batch = masked(AugmentConfig(frequency_mask_bins=20), 1, fill)
    for n, frames in enumerate(LENS):
        assert set(np.unique(batch[n, :frames])) <= {1.0, fill[n]} and (batch[n, frames:] == 0).all()
    assert (batch == 5.0).any()


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 80), st.integers(0, 30), st.integers(0, 10**6))
def test_warping_keeps_length_order_and_ends(frames: int, farthest: int, seed: int):
    config = AugmentConfig(time_warp=farthest)
    masks = Augment(config).draw(np.array([frames]), 3, step_generator(seed, 0, 0, 0))
    ramp = np.repeat(np.arange(frames, dtype=np.float32)[:, None], 3, axis=1)
    warped = masks.show(0, ramp)
    assert warped.shape == ramp.shape
    np.testing.assert_allclose(warped[[0, -1]], ramp[[0, -1]], atol=1e-4)
    assert (np.diff(warped[:, 0]) > 0).all(), "time runs forward"
    assert np.abs(warped - ramp).max() <= max(farthest, 0)


def test_warping_moves_frames():
    masks = Augment(AugmentConfig(time_warp=20)).draw(np.array([100]), 1, step_generator(2, 0, 0, 0))
    ramp = np.arange(100, dtype=np.float32)[:, None]
    assert np.abs(masks.show(0, ramp) - ramp).max() > 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"time_masks": -1}, "time_masks is -1: it must not be negative"),
        ({"probability": 1.5}, "probability is 1.5: it is a fraction, from 0 to 1"),
    ],
)
def test_wrong_settings(change: dict, message: str):
    with pytest.raises(ConfigError, match=message):
        replace(AugmentConfig(), **change).validate()
