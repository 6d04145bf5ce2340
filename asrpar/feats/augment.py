"""SpecAugment on padded batches.

Lhotse's version draws from the global random state, which a loader thread cannot save and restore; this one takes all
its randomness from the generator that it is given, and works on a whole batch at once.
"""

import hashlib

import numpy as np
import torch

from asrpar.feats.config import AugmentConfig


def step_generator(seed: int, epoch: int, step: int, rank: int) -> torch.Generator:
    """A generator whose draws follow from these four numbers alone."""
    text = f"{seed} {epoch} {step} {rank}".encode()
    digest = hashlib.blake2b(text, digest_size=8, person=b"specaugment").digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "little"))


class SpecAugment:
    """Masks stretches of time and of frequency, and warps time, each utterance on its own."""

    def __init__(self, config: AugmentConfig) -> None:
        self._config = config

    def draw(self, lens: np.ndarray, num_features: int, generator: torch.Generator) -> "Masks":
        """Draw what will be done to N utterances of ``lens`` (N,) frames."""
        config = self._config

        def uniform(*shape: int) -> np.ndarray:
            return torch.rand(shape, generator=generator, dtype=torch.float64).numpy()

        count = len(lens)
        active = uniform(count) < config.probability
        frames = lens[:, None]
        widest = np.minimum(config.time_mask_frames, np.floor(config.time_mask_fraction * frames))
        widths = np.floor(uniform(count, config.time_masks) * (widest + 1)) * active[:, None]
        starts = np.floor(uniform(count, config.time_masks) * (frames - widths + 1))
        bins = min(config.frequency_mask_bins, num_features)
        heights = np.floor(uniform(count, config.frequency_masks) * (bins + 1)) * active[:, None]
        lowest = np.floor(uniform(count, config.frequency_masks) * (num_features - heights + 1))
        # A frame at least W from both ends moves by at most W - 1: order is kept, and no stretch is empty.
        reach = np.minimum(config.time_warp, (lens - 1) // 2) * active
        centre = reach + np.floor(uniform(count) * (lens - 2 * reach))
        shift = np.rint((2 * uniform(count) - 1) * np.maximum(reach - 1, 0))
        as_int = [x.astype(np.int64) for x in (starts, widths, lowest, heights, centre, shift)]
        return Masks(*as_int)


class Masks:
    """What was drawn for one batch."""

    def __init__(
        self,
        starts: np.ndarray,
        widths: np.ndarray,
        lowest: np.ndarray,
        heights: np.ndarray,
        centre: np.ndarray,
        shift: np.ndarray,
    ) -> None:
        """Time masks (N, M), frequency masks (N, K), and for warping the frame (N,) that moves by ``shift`` (N,)."""
        self._time = starts, starts + widths
        self._frequency = lowest, lowest + heights
        self._centre, self._shift = centre, shift

    def warp(self, n: int, features: np.ndarray) -> np.ndarray:
        """Utterance ``n``, (T, C), with its centre frame moved and the rest stretched linearly: same T."""
        frames, shift = len(features), int(self._shift[n])
        if shift == 0:
            return features
        centre = int(self._centre[n])
        source = np.interp(np.arange(frames), [0, centre + shift, frames - 1], [0, centre, frames - 1])
        left = np.minimum(source.astype(np.int64), max(frames - 2, 0))
        fraction = (source - left).astype(np.float32)[:, None]
        return features[left] * (1 - fraction) + features[left + 1] * fraction

    def apply(self, batch: np.ndarray, lens: np.ndarray, fill: np.ndarray | None) -> None:
        """Mask ``batch`` (N, T, C) in place with 0, or with ``fill`` (N,). Padding after ``lens`` (N,) stays 0."""
        rows, columns = batch.shape[1:]
        in_time = _inside(*self._time, rows)  # (N, T)
        in_frequency = _inside(*self._frequency, columns)  # (N, C)
        if fill is None:
            batch[in_time] = 0.0
            batch *= ~in_frequency[:, None, :]
            return
        for utterance, frames, time, frequency, value in zip(batch, lens, in_time, in_frequency, fill, strict=True):
            utterance[time] = value
            utterance[:frames, frequency] = value


def _inside(starts: np.ndarray, ends: np.ndarray, size: int) -> np.ndarray:
    """Whether each position below ``size`` lies in one of the intervals (N, M): (N, size) bool."""
    position = np.arange(size)
    return ((position >= starts[:, :, None]) & (position < ends[:, :, None])).any(axis=1)
