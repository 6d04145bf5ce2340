"""Noise, and how it is added to speech at a stated signal-to-noise ratio."""

from collections.abc import Sequence

import numpy as np

NOISES = ("white", "pink", "babble")


def white_noise(rng: np.random.Generator, num_samples: int) -> np.ndarray:
    """Gaussian noise of power 1: (S,) float64."""
    return rng.standard_normal(num_samples)


def pink_noise(rng: np.random.Generator, num_samples: int, sampling_rate: int) -> np.ndarray:
    """Noise whose power falls by 3 dB per octave above 20 Hz, of power 1: (S,) float64."""
    spectrum = np.fft.rfft(rng.standard_normal(num_samples))
    frequency = np.fft.rfftfreq(num_samples, 1 / sampling_rate)
    # Below 20 Hz the spectrum is flat: otherwise inaudible rumble would take most of the power.
    return unit_power(np.fft.irfft(spectrum / np.sqrt(np.maximum(frequency, 20.0)), num_samples))


def babble_noise(rng: np.random.Generator, num_samples: int, talkers: Sequence[np.ndarray]) -> np.ndarray:
    """Several people talking at once, of power 1: (S,) float64.

    Args:
        rng: source of randomness.
        num_samples: S.
        talkers: speech of each talker, (S_i,) float; each is repeated from a random place on.
    """
    mixture = np.zeros(num_samples)
    for speech in talkers:
        start = int(rng.integers(len(speech)))
        repeats = -(-(start + num_samples) // len(speech))
        mixture += unit_power(np.tile(speech, repeats)[start : start + num_samples])
    return unit_power(mixture)


def unit_power(samples: np.ndarray) -> np.ndarray:
    """Scale (S,) to a mean square of 1; silence stays silence."""
    power = np.mean(np.square(samples, dtype=np.float64))
    return samples / np.sqrt(power) if power > 0 else samples.astype(np.float64)


def add_noise(speech: np.ndarray, noise: np.ndarray, snr_db: float, speech_power: float) -> np.ndarray:
    """Add ``noise`` (S,) of power 1 to ``speech`` (S,) so that speech_power / noise power is ``snr_db``."""
    return speech + noise * np.sqrt(speech_power / 10 ** (snr_db / 10))
