"""SpecAugment and random starts, on padded batches.

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


class Augment:
    """Masks stretches of time and of frequency, warps time, drops first frames; each utterance on its own.

    Args:
        config: how much.
        stride: input frames that a model takes for one. It sees an utterance in so many ways, by where it begins, and
            should in training see all of them.
    """

    def __init__(self, config: AugmentConfig, stride: int = 1) -> None:
        self._config, self._stride = config, stride if config.random_start else 1

    def draw(self, lens: np.ndarray, num_features: int, generator: torch.Generator, views: int = 1) -> "Changes":
        """Draw what will be done to N utterances of ``lens`` (N,) frames.

        Of several ``views``, one behind the other, each has masks of its own; all show the same frames.
        """
        config, lens = self._config, np.tile(lens, views)

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
        # Last, so that the rest is the same with random starts and without.
        first = np.floor(uniform(count) * np.minimum(self._stride, lens)) if self._stride > 1 else np.zeros(count)
        moved = (np.tile(x[: count // views], views) for x in (centre, shift, first))
        return Changes(*(x.astype(np.int64) for x in (starts, widths, lowest, heights, *moved)))


class Changes:
    """What was drawn for one batch."""

    def __init__(
        self,
        starts: np.ndarray,
        widths: np.ndarray,
        lowest: np.ndarray,
        heights: np.ndarray,
        centre: np.ndarray,
        shift: np.ndarray,
        first: np.ndarray,
    ) -> None:
        """Time masks (N, M), frequency masks (N, K), for warping the frame (N,) that moves by ``shift`` (N,), and the
        ``first`` (N,) frame that is left.
        """
        starts = starts - first[:, None]
        self.first = first
        self._time = starts, starts + widths
        self._frequency = lowest, lowest + heights
        self._centre, self._shift = centre, shift

    def show(self, n: int, features: np.ndarray) -> np.ndarray:
        """Utterance ``n``, (T, C), with its centre frame moved and the rest stretched linearly, from ``first`` on."""
        first, source = self.first[n], self._source(n, len(features))
        if source is None:
            return features[first:]
        left = np.minimum(source.astype(np.int64), max(len(features) - 2, 0))
        fraction = (source - left).astype(np.float32)[:, None]
        return (features[left] * (1 - fraction) + features[left + 1] * fraction)[first:]

    def frames(self, n: int, frames: int) -> np.ndarray | None:
        """Which of utterance ``n``'s ``frames`` frames `show` shows, or is nearest to; None if it is all of them."""
        first, source = int(self.first[n]), self._source(n, frames)
        if source is None:
            return np.arange(first, frames) if first else None
        return np.rint(source).astype(np.int64)[first:]

    def _source(self, n: int, frames: int) -> np.ndarray | None:
        """(T,) where in an utterance each of its frames is taken from; None for each from its own place."""
        centre, shift = int(self._centre[n]), int(self._shift[n])
        if shift == 0:
            return None
        return np.interp(np.arange(frames), [0, centre + shift, frames - 1], [0, centre, frames - 1])

    def apply(self, batch: np.ndarray, lens: np.ndarray, fill: np.ndarray | None) -> None:
        """Mask ``batch`` (N, T, C) in place with 0, or with ``fill`` (N,). Padding after ``lens`` (N,) stays 0.

        ``lens`` are the frames that are left of each utterance.
        """
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

    def masked(self, n: int, features: np.ndarray, fill: float) -> np.ndarray:
        """What `show` gives of utterance ``n``, (T, C), with its masks: a copy."""
        features = features.copy()
        for begin, end in zip(*(x[n] for x in self._time), strict=True):
            features[max(begin, 0) : max(end, 0)] = fill
        for begin, end in zip(*(x[n] for x in self._frequency), strict=True):
            features[:, begin:end] = fill
        return features


def _inside(starts: np.ndarray, ends: np.ndarray, size: int) -> np.ndarray:
    """Whether each position below ``size`` lies in one of the intervals (N, M): (N, size) bool."""
    position = np.arange(size)
    return ((position >= starts[:, :, None]) & (position < ends[:, :, None])).any(axis=1)
