"""What sherpa-onnx loads as a zipformer CTC model: model.onnx and tokens.txt, from raw audio to text.

Of the CTC models that it knows this kind has Lhotse's filter banks: samples of -1 to 1, no dither, the same windows and
filters. (For WeNet's it adds dither, for NeMo's it has other filters.) It counts 40 ms for each output frame.
"""

from pathlib import Path
from typing import Any

from asrpar.errors import DataError
from asrpar.export.contract import ExportFormat
from asrpar.lang.units.contract import WORD_START

# What sherpa-onnx computes; rate and number of filters may be told.
FILTER_BANKS = {
    "frame_length": 0.025,
    "frame_shift": 0.01,
    "round_to_power_of_two": True,
    "remove_dc_offset": True,
    "preemph_coeff": 0.97,
    "window_type": "povey",
    "snip_edges": False,
    "use_energy": False,
    "use_fft_mag": False,
    "low_freq": 20.0,
    "high_freq": -400.0,
    "norm_filters": False,
    "torchaudio_compatible_mel_scale": True,
}
# Output frames that it takes to be so many of 10 ms.
SUBSAMPLING = 4


class Format(ExportFormat):
    """``sherpa_onnx.OfflineRecognizer.from_zipformer_ctc(model, tokens, sample_rate=..., feature_dim=...)``."""

    def check(self) -> None:
        t = self.trained
        if t.facts["blank"] != 0:
            raise DataError(f"{t.path} was trained with the loss {t.facts['loss']}; sherpa-onnx decodes CTC models")
        if t.features["from_kaldi"]:
            raise DataError(f"{t.path} was trained with features that Kaldi made, which sherpa-onnx does not compute")
        if t.normalize == "speaker":
            raise DataError(
                f"{t.path} was trained with features normalised by speaker, of whom sherpa-onnx knows nothing: give "
                "--normalize utterance to take each recording for one of another speaker, as asrpar transcribe does"
            )
        rate = t.features["fbank.sampling_rate"]
        other = []
        for name, theirs in FILTER_BANKS.items():
            ours = t.features[f"fbank.{name}"]
            if name == "high_freq" and ours > 0:
                ours -= rate / 2  # both count from there
            if ours != theirs:
                other.append(f"fbank.{name} is {t.features[f'fbank.{name}']}, in sherpa-onnx {theirs}")
        if other:
            raise DataError(f"{t.path} was trained with features that sherpa-onnx does not compute: {'; '.join(other)}")

    def metadata(self) -> dict[str, Any]:
        return self.common() | {"model_type": "zipformer2_ctc", "version": "1", "model_author": "asrpar"}

    def symbols(self) -> list[str]:
        """The blank as it is called there; phones with a mark of words, so that text has spaces between them."""
        units = self.trained.identity.units
        mark = "" if any(WORD_START in unit for unit in units) else WORD_START
        return ["<blk>", *(mark + unit for unit in units[1:])]

    def advice(self, folder: Path) -> list[str]:
        t = self.trained
        rate, width = t.features["fbank.sampling_rate"], t.facts["num_features"]
        told = [
            f"sherpa_onnx.OfflineRecognizer.from_zipformer_ctc('{folder / 'model.onnx'}', '{folder / 'tokens.txt'}', "
            f"sample_rate={rate}, feature_dim={width})"
        ]
        if t.subsampling != SUBSAMPLING:
            told.append(
                f"its times are {SUBSAMPLING / t.subsampling:.3g} times too late: sherpa-onnx counts {SUBSAMPLING} "
                f"input frames for each output frame of such models, this one has {t.subsampling}"
            )
        if t.features["fbank.dither"]:
            told.append("sherpa-onnx adds no dither, which this model's features have")
        return told
