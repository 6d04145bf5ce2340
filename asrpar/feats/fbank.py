"""Filter banks: Lhotse's, with Kaldi's meaning, and settings refused that no filter bank can have.

The names are Kaldi's, two units are not: times are seconds (Kaldi: milliseconds), and samples lie between -1 and 1
(Kaldi: -32768 to 32767), so noise and energies are smaller. Values in Kaldi's units are refused with the value meant.
"""

import dataclasses
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from asrpar.errors import ConfigError
from asrpar.names import unknown

if TYPE_CHECKING:
    from lhotse import Fbank

INT16 = 32768.0
LOUDEST_DITHER = 0.01  # of full scale; that is 328 in Kaldi's units, and noise at -40 dB
LARGEST_FLOOR = 1e-4  # of a frame's energy; quiet speech has more
LONGEST_FRAME = 0.5  # s
LEAST_RATE = 1000  # Hz; no recording of speech has less

# Of Lhotse's FbankConfig, in its order; the rest is its own affair.
MEANINGS = {
    "sampling_rate": "Hz; that of the recordings where it is not given",
    "frame_length": "s",
    "frame_shift": "s",
    "round_to_power_of_two": "pad the window to a power of two for the FFT",
    "remove_dc_offset": "of each frame",
    "preemph_coeff": "pre-emphasis",
    "window_type": "povey, hanning, hamming...",
    "dither": "noise added to samples of -1 to 1: Kaldi's 1.0 is 3.1e-05 here",
    "snip_edges": "only frames that fit in whole, as in Kaldi",
    "energy_floor": "least energy, for samples of -1 to 1",
    "raw_energy": "energy before pre-emphasis and window, with use_energy",
    "use_energy": "one more feature, the frame's energy",
    "use_fft_mag": "magnitudes instead of powers",
    "low_freq": "Hz, lower edge of the lowest filter",
    "high_freq": "Hz, upper edge of the highest filter; negative: below half of the sampling rate",
    "num_filters": "features of a frame",
    "norm_filters": "filters of equal area",
    "torchaudio_compatible_mel_scale": "the filters of Kaldi and torchaudio",
}


def check_fbank(settings: dict[str, Any]) -> None:
    """Raise ConfigError unless every key is a field of Lhotse's FbankConfig and its value can be meant.

    What depends on the sampling rate is left to `make_extractor`.
    """
    from lhotse import FbankConfig
    from lhotse.features.kaldi.layers import available_windows

    known = {f.name: f.default for f in dataclasses.fields(FbankConfig) if f.name != "num_mel_bins"}
    for key, value in settings.items():
        if key not in known:
            raise unknown("key", key, known, prefix="fbank.")
        kind = type(known[key])
        # An integer will do for a float; True and False will not do for a number.
        fits = isinstance(value, (int, float) if kind is float else kind) and isinstance(value, bool) == (kind is bool)
        if not fits:
            raise ConfigError(f"fbank.{key} must be of type {kind.__name__}, not {value!r}")
        if kind is float and not math.isfinite(value):
            raise ConfigError(f"fbank.{key} must be finite, not {value}")
    values = known | settings
    for name in ("frame_length", "frame_shift"):
        _check_time(name, values[name])
    if values["frame_shift"] > values["frame_length"]:
        raise ConfigError(
            f"fbank.frame_shift ({values['frame_shift']:g} s) is longer than fbank.frame_length "
            f"({values['frame_length']:g} s): audio between frames would be lost"
        )
    _check_16_bit("dither", values["dither"], LOUDEST_DITHER, 1 / INT16)
    _check_16_bit("energy_floor", values["energy_floor"], LARGEST_FLOOR, 1 / INT16**2)
    if not 0 <= values["preemph_coeff"] <= 1:
        raise ConfigError(f"fbank.preemph_coeff must lie between 0 and 1 (Kaldi: 0.97), not {values['preemph_coeff']}")
    if values["window_type"] not in available_windows():
        raise unknown("fbank.window_type", values["window_type"], available_windows())
    if values["norm_filters"] and values["torchaudio_compatible_mel_scale"]:
        raise ConfigError("fbank.norm_filters does nothing unless fbank.torchaudio_compatible_mel_scale is false")
    rate = settings.get("sampling_rate")
    if rate is not None and rate < LEAST_RATE:
        hint = f": it is in Hz, write {1000 * rate}" if 4 <= rate < 1000 else ""
        raise ConfigError(f"fbank.sampling_rate must be at least {LEAST_RATE} Hz, not {rate}{hint}")
    if 0 < values["high_freq"] < 100:
        raise ConfigError(
            f"fbank.high_freq {values['high_freq']:g} is in Hz: write {1000 * values['high_freq']:g} for "
            f"{values['high_freq']:g} kHz"
        )


def make_extractor(settings: dict[str, Any]) -> "Fbank":
    """Lhotse's filter bank, tried on a second of noise.

    Args:
        settings: as `check_fbank` takes them, with ``sampling_rate`` (Hz).

    Raises:
        ConfigError: settings that do not go together, or a filter without a bin of the Fourier transform, whose feature
            would be a constant. Kaldi refuses the same ("You may have set --num-mel-bins too large").
    """
    from lhotse import Fbank, FbankConfig

    rate = settings["sampling_rate"]
    config = FbankConfig(**settings)
    hop = config.frame_shift * rate
    if hop < 1 or abs(hop - round(hop)) > 1e-6:
        raise ConfigError(f"fbank.frame_shift of {hop:g} samples: it must be a whole number of samples at {rate} Hz")
    if config.num_filters < 4:
        raise ConfigError(f"fbank.num_filters must be at least 4, not {config.num_filters}")
    highest = config.high_freq + (rate / 2 if config.high_freq <= 0 else 0)
    if not 0 <= config.low_freq < highest <= rate / 2:
        raise ConfigError(
            f"fbank.low_freq {config.low_freq:g} and fbank.high_freq {config.high_freq:g} are from {config.low_freq:g} "
            f"to {highest:g} Hz: they must lie between 0 and {rate / 2:g} Hz, half the sampling rate (a high_freq of 0 "
            "or less counts from there)"
        )
    try:
        extractor = Fbank(config)
        empty = _empty_filters(extractor, config.num_filters)
        if empty:
            raise ConfigError(_too_many(extractor, empty))
        noise = np.random.default_rng(0).standard_normal((1, rate)).astype(np.float32)
        features = extractor.extract(noise, rate)
    except ConfigError:
        raise
    except Exception as e:  # Lhotse checks with assertions and torch with several kinds
        raise ConfigError(f"these fbank settings do not work: {str(e).splitlines()[0] if str(e) else e!r}") from e
    if not np.isfinite(features).all():
        raise ConfigError("these fbank settings give features that are not finite")
    return extractor


def _check_time(name: str, seconds: float) -> None:
    if seconds >= 1:
        raise ConfigError(
            f"fbank.{name} {seconds:g} is in Kaldi's milliseconds; here it is in seconds: write {seconds / 1000:g}"
        )
    if not 0 < seconds <= LONGEST_FRAME:
        raise ConfigError(f"fbank.{name} must be above 0 and at most {LONGEST_FRAME:g} s, not {seconds:g}")


def _check_16_bit(name: str, value: float, largest: float, unit: float) -> None:
    if value < 0:
        raise ConfigError(f"fbank.{name} must not be negative, not {value:g}")
    if value >= largest:
        raise ConfigError(
            f"fbank.{name} {value:g} is in Kaldi's units, of 16-bit samples; here samples are -1 to 1: write "
            f"{value * unit:.3g} for the same"
        )


def _empty_filters(extractor: "Fbank", count: int) -> int:
    """How many of ``count`` filters over the extractor's frequencies have no bin of its Fourier transform."""
    config, size = extractor.config, extractor.extractor.fft_length
    if config.torchaudio_compatible_mel_scale:
        bins = config.sampling_rate / size * np.arange(size // 2)
    else:
        bins = np.linspace(0, config.sampling_rate, size)[: size // 2]
    highest = config.high_freq + (config.sampling_rate / 2 if config.high_freq <= 0 else 0)
    edges = np.linspace(_mel(config.low_freq), _mel(highest), count + 2)
    # The bins are sorted: what is between is what is before the upper edge and not before the lower.
    below = np.searchsorted(_mel(bins), edges, side="left"), np.searchsorted(_mel(bins), edges, side="right")
    return int(np.count_nonzero(below[0][2:] <= below[1][:-2]))


def _too_many(extractor: "Fbank", empty: int) -> str:
    config = extractor.config
    fits = next((n for n in range(config.num_filters - 1, 3, -1) if not _empty_filters(extractor, n)), None)
    return (
        f"fbank.num_filters {config.num_filters} is too large at {config.sampling_rate} Hz with frames of "
        f"{config.frame_length:g} s: {empty} of them have no bin of the Fourier transform of "
        f"{extractor.extractor.fft_length} points; "
        + (f"at most {fits} work" if fits else "make fbank.frame_length longer")
    )


def _mel(hertz: Any) -> Any:
    return 1127.0 * np.log(1.0 + np.asarray(hertz) / 700.0)
