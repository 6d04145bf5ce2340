"""Settings with Kaldi's names mean what they mean in Kaldi, or are refused with the value meant."""

import numpy as np
import pytest
from lhotse import Fbank, FbankConfig

from asrpar.errors import ConfigError
from asrpar.feats.config import FeatureConfig
from asrpar.feats.fbank import _empty_filters, make_extractor


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"dither": 1.0}, r"fbank.dither 1 is in Kaldi's units, of 16-bit samples; .* write 3.05e-05 for the same"),
        ({"dither": 1}, r"write 3.05e-05"),
        ({"dither": 0.1}, r"write 3.05e-06"),
        ({"dither": -1.0}, r"fbank.dither must not be negative"),
        ({"energy_floor": 1.0}, r"fbank.energy_floor 1 is in Kaldi's units.* write 9.31e-10"),
        ({"energy_floor": -1.0}, r"must not be negative"),
        ({"frame_length": 25}, r"fbank.frame_length 25 is in Kaldi's milliseconds; .*write 0.025"),
        ({"frame_shift": 10.0}, r"fbank.frame_shift 10 is in Kaldi's milliseconds; .*write 0.01"),
        ({"frame_shift": 0.0}, r"fbank.frame_shift must be above 0"),
        ({"frame_length": 0.6}, r"fbank.frame_length must be above 0 and at most 0.5 s"),
        ({"frame_shift": 0.03}, r"audio between frames would be lost"),
        ({"preemph_coeff": 97}, r"fbank.preemph_coeff must lie between 0 and 1 \(Kaldi: 0.97\), not 97"),
        ({"preemph_coeff": -0.1}, r"fbank.preemph_coeff must lie"),
        ({"low_freq": float("nan")}, r"fbank.low_freq must be finite"),
        ({"window_type": "kaiser"}, r"'kaiser' is unknown; known: hamming, hanning, povey"),
        ({"norm_filters": True}, r"fbank.norm_filters does nothing unless"),
        ({"sampling_rate": -8000}, r"fbank.sampling_rate must be at least 1000 Hz, not -8000$"),
        ({"sampling_rate": 16}, r"fbank.sampling_rate must be at least 1000 Hz, not 16: it is in Hz, write 16000"),
        ({"high_freq": 7.6}, r"fbank.high_freq 7.6 is in Hz: write 7600 for 7.6 kHz"),
    ],
)
def test_values_that_cannot_be_meant(settings: dict, message: str):
    with pytest.raises(ConfigError, match=message):
        FeatureConfig(fbank=settings).validate()


@pytest.mark.parametrize(
    ("rate", "settings", "message"),
    [
        (16000, {"num_filters": 128}, r"128 is too large at 16000 Hz .*: 1 of them have no bin .* at most 124 work"),
        (8000, {"num_filters": 200}, r"200 is too large at 8000 Hz .*: 33 of them .* of 256 points; at most 90 work"),
        (16000, {"num_filters": 80, "frame_length": 0.01}, r"frames of 0.01 s: \d+ of them .* 256 points; at most"),
        (16000, {"num_filters": 3}, r"num_filters must be at least 4"),
        (16000, {"high_freq": 9000.0}, r"are from 20 to 9000 Hz: they must lie between 0 and 8000 Hz"),
        (16000, {"high_freq": -7990.0}, r"are from 20 to 10 Hz"),
        (8000, {"low_freq": 4000.0, "torchaudio_compatible_mel_scale": False}, r"are from 4000 to 3600 Hz"),
        (16000, {"low_freq": -1.0}, r"are from -1 to 7600 Hz"),
        (11025, {}, r"frame_shift of 110.25 samples"),
    ],
)
def test_filter_banks_that_cannot_be(rate: int, settings: dict, message: str):
    with pytest.raises(ConfigError, match=message):
        make_extractor({"sampling_rate": rate, **settings})


@pytest.mark.parametrize("compatible", [True, False])
@pytest.mark.parametrize(("rate", "high"), [(16000, -400.0), (8000, 0.0), (8000, 3700.0)])
def test_empty_filters_are_those_of_lhotse(compatible: bool, rate: int, high: float):
    config = FbankConfig(sampling_rate=rate, high_freq=high, torchaudio_compatible_mel_scale=compatible)
    extractor = Fbank(config)
    for count in (80, 96, 140):
        config.num_filters = count
        weights = Fbank(config).extractor._fb.numpy()
        assert _empty_filters(extractor, count) == int((weights.max(axis=0) <= 0).sum())


def test_kaldis_settings_in_our_units_are_accepted():
    settings = {"dither": 1 / 32768, "energy_floor": 1 / 32768**2, "use_energy": True, "high_freq": 0.0}
    FeatureConfig(fbank=settings).validate()
    samples = 0.1 * np.random.default_rng(0).standard_normal((1, 16000)).astype(np.float32)
    assert make_extractor({"sampling_rate": 16000, **settings}).extract(samples, 16000).shape == (100, 81)
    FeatureConfig(fbank={"num_filters": 40, "dither": 0.003}).validate()  # egs/yesno, whose silences are all zeros
