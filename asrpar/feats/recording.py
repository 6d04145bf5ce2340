"""The features of a recording of one's own, as a model was trained with them."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from lhotse import MonoCut

from asrpar.corpus.audio.files import inspect, probe
from asrpar.errors import DataError
from asrpar.feats.audio import load_samples, strict_durations, suspicion
from asrpar.feats.fbank import make_extractor
from asrpar.feats.front_end import extraction
from asrpar.feats.shard import compute_features, dither_seed, one_thread
from asrpar.feats.stats import MeanStd, Moments, Normalizer
from asrpar.log import get_logger

LOG = get_logger(__name__)


class FrontEnd:
    """Computes and normalises features.

    Args:
        features: settings, see `front_end`.
        mean_std: global statistics, where features are normalised with them.
        resample: take recordings of another sampling rate.
        channel: of those with several; None to refuse them.
        max_seconds: longest recording.

    Raises:
        DataError: features that Kaldi made cannot be computed here.
    """

    def __init__(
        self,
        features: dict[str, Any],
        mean_std: MeanStd | None,
        resample: bool,
        channel: int | None,
        max_seconds: float,
    ) -> None:
        if features["from_kaldi"]:
            raise DataError(
                "the model was trained with features that Kaldi made (from_kaldi), which cannot be computed here: "
                "compute them with Kaldi, then asrpar import-kaldi, extract-features and decode"
            )
        self.config = extraction(features)
        self.rate, self.mean_std = self.config.fbank["sampling_rate"], mean_std
        self.resample, self.channel, self.max_seconds = resample, channel, max_seconds
        self.extractor = make_extractor(self.config.fbank)

    def check(self, path: Path) -> None:
        """Refuse, by its header alone, a file that cannot be taken."""
        info = inspect(path)
        if info.sampling_rate != self.rate and not self.resample:
            raise DataError(
                f"{path} has {info.sampling_rate} Hz, and the model is for {self.rate} Hz: give --resample to "
                "convert it"
            )
        if info.channels > 1 and self.channel is None:
            raise DataError(f"{path} has {info.channels} channels: give --channel, from 0 to {info.channels - 1}")
        if (self.channel or 0) >= info.channels:
            kinds = f"{info.channels}, from 0" if info.channels > 1 else "one, 0"
            raise DataError(f"{path} has no channel {self.channel}: it has {kinds}")
        seconds = info.num_samples / info.sampling_rate
        if not seconds <= self.max_seconds:  # which may be no number
            raise DataError(
                f"{path} lasts {seconds:.0f} s, more than --max-seconds {self.max_seconds:g}: cut it where nobody "
                "speaks, or raise the limit (a recording is recognised as a whole, and memory grows with it)"
            )

    def features(self, path: Path, name: str) -> np.ndarray:
        """Normalised features (T, C) float32 of a file that `check` lets pass. Raises `DataError` if it has none."""
        recording = probe(path, name)
        cut = MonoCut(name, 0, recording.duration, self.channel or 0, recording=recording)
        if recording.sampling_rate != self.rate:
            cut = cut.resample(self.rate)
        with one_thread(), strict_durations(), torch.random.fork_rng(devices=[]):
            samples, problem = load_samples(cut)
            if samples is not None:
                torch.manual_seed(dither_seed(self.config.seed, name))
                found, problem = compute_features(self.extractor, samples, self.config.min_frames)
        if problem:
            raise DataError(f"{path}: {problem}")
        doubt = suspicion(samples, self.config.silence_range, self.config.clip_fraction)
        if doubt:
            LOG.warning("%s: %s", path, doubt)
        return self._normalised(found)

    def _normalised(self, features: np.ndarray) -> np.ndarray:
        kind, mean_std = self.config.normalize, self.mean_std
        if kind == "speaker":  # of whom nothing else is known
            own = Moments.of(features).tensors()
            kind, mean_std = "global", (own["mean"], own["std"])
        return Normalizer(Path(), "", kind, mean_std)(features, None)
