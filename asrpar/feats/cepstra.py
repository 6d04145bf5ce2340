"""Cepstra with differences, for Gaussians: their dimensions hang together less than those of filter banks."""

from functools import lru_cache

import numpy as np

WINDOW = 2  # frames to each side that a difference looks at, as in HTK and Kaldi


def cepstra(features: np.ndarray, count: int = 13) -> np.ndarray:
    """The first ``count`` cepstra of filter banks, their differences and the differences of those.

    Args:
        features: log energies (T, C), normalised or not.
        count: of cepstra, the mean of the energies included, C at most; 0 gives the features themselves in their place.

    Returns:
        (T, 3 count), or (T, 3 C).
    """
    width = features.shape[1]
    static = features @ _dct(width, min(count, width)) if count else features
    first = deltas(static)
    return np.concatenate([static, first, deltas(first)], axis=1)


def deltas(features: np.ndarray, window: int = WINDOW) -> np.ndarray:
    """The slope of each feature (T, C) over 2 ``window`` + 1 frames; the outermost frames are repeated outside."""
    return slopes(np.pad(features, ((window, window), (0, 0)), mode="edge"), window)


def slopes(padded: np.ndarray, window: int = WINDOW) -> np.ndarray:
    """The slope at each frame that has ``window`` others on both sides: (T + 2 window, C) -> (T, C)."""
    frames = len(padded) - 2 * window
    slope = np.zeros((frames, padded.shape[1]), padded.dtype)
    for n in range(1, window + 1):
        slope += n * (padded[window + n : window + n + frames] - padded[window - n : window - n + frames])
    return slope / (2 * sum(n * n for n in range(1, window + 1)))


@lru_cache
def _dct(width: int, count: int) -> np.ndarray:
    """The first columns of the orthonormal cosine transform of type II, (width, count) float32."""
    places = (np.arange(width)[:, None] + 0.5) * np.arange(count)[None] * np.pi / width
    matrix = np.cos(places) * np.sqrt(2 / width)
    matrix[:, 0] /= np.sqrt(2)
    return matrix.astype(np.float32)
