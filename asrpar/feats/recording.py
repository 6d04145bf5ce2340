"""The features of a recording of one's own, as a model was trained with them: whole, or in pieces where it is long.

Of a long recording samples are kept of a piece only; it is read up to three times, to find its pauses, to count its
statistics where features are normalised by speaker, and for the features themselves.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lhotse.augmentation import Resample

from asrpar.corpus.audio.files import AudioInfo, cut_short, inspect, open_audio, scale_fault
from asrpar.corpus.audio.pauses import FRAME, Levels, pieces
from asrpar.errors import DataError
from asrpar.feats.audio import suspicion
from asrpar.feats.fbank import make_extractor
from asrpar.feats.front_end import extraction
from asrpar.feats.shard import compute_features, dither_seed, one_thread
from asrpar.feats.stats import MeanStd, Moments, Normalizer
from asrpar.log import get_logger

LOG = get_logger(__name__)
BLOCK = 10.0  # s that are read at a time


@dataclass(frozen=True)
class Piece:
    """Of a recording.

    Attributes:
        begin: second at which it begins.
        features: (T, C) normalised.
    """

    begin: float
    features: np.ndarray


@dataclass(frozen=True)
class Cutting:
    """How recordings are taken.

    Attributes:
        channel: of those with several; None for the mean of all.
        max_seconds: of what is recognised as a whole; longer recordings are cut in pauses.
        min_pause: seconds of a pause in which these are cut.
    """

    channel: int | None = None
    max_seconds: float = 30.0
    min_pause: float = 0.3


class FrontEnd:
    """Computes and normalises features.

    Args:
        features: settings, see `front_end`.
        mean_std: global statistics, where features are normalised with them.
        cutting: how recordings are taken.

    Raises:
        DataError: features that Kaldi made cannot be computed here.
    """

    def __init__(self, features: dict[str, Any], mean_std: MeanStd | None, cutting: Cutting) -> None:
        if features["from_kaldi"]:
            raise DataError(
                "the model was trained with features that Kaldi made (from_kaldi), which cannot be computed here: "
                "compute them with Kaldi, then asrpar import-kaldi, extract-features and decode"
            )
        self.config = extraction(features)
        self.rate, self.mean_std = self.config.fbank["sampling_rate"], mean_std
        self.cutting = cutting
        self.extractor = make_extractor(self.config.fbank)

    def check(self, path: Path) -> str:
        """Refuse, by its header alone, a file that cannot be taken; else what is done to it, or an empty string."""
        info, channel, done = inspect(path), self.cutting.channel, []
        if (channel or 0) >= info.channels:
            kinds = f"{info.channels}, from 0" if info.channels > 1 else "one, 0"
            raise DataError(f"{path} has no channel {channel}: it has {kinds}")
        if info.channels > 1:
            taken = "their mean is taken (--channel takes one)" if channel is None else f"channel {channel} is taken"
            done.append(f"{info.channels} channels, {taken}")
        if info.sampling_rate != self.rate:
            less = f", and has nothing above {info.sampling_rate // 2} Hz" if info.sampling_rate < self.rate else ""
            done.append(f"{info.sampling_rate} Hz, resampled to {self.rate} Hz{less}")
        if not info.seconds <= self.cutting.max_seconds:
            done.append(f"{info.seconds:.0f} s, cut in pauses")
        return "; ".join(done)

    def pieces(self, path: Path, name: str) -> Iterator[Piece]:
        """What is to be recognised of a file that `check` lets pass, in its order.

        Raises:
            DataError: a recording that is too short for any word, or cannot be read to its end.
        """
        info = inspect(path)
        if info.seconds <= self.cutting.max_seconds:
            samples = np.concatenate(list(self._blocks(path)))
            features, problem = self._features(samples, info.sampling_rate, name)
            if problem:
                raise DataError(f"{path}: {problem}")
            doubt = suspicion(samples[None], self.config.silence_range, self.config.clip_fraction)
            if doubt:
                LOG.warning("%s: %s", path, doubt)
            yield Piece(0.0, self._normalised(features, None))
            return
        spoken = self._spoken(path, info)
        if not spoken:
            LOG.warning("%s: silent: nothing in it stands out from its noise", path)
        moments = None
        if self.config.normalize == "speaker":
            for _, features in self._of_spoken(path, info, spoken, name):
                found = Moments.of(features)
                moments = found if moments is None else moments + found
        for begin, features in self._of_spoken(path, info, spoken, name):
            yield Piece(begin, self._normalised(features, moments))

    def _spoken(self, path: Path, info: AudioInfo) -> list[tuple[int, int]]:
        """First and last + 1 sample of each piece."""
        levels = Levels(info.sampling_rate)
        for block in self._blocks(path):
            levels.add(block)
        found = pieces(levels.decibels(), self.cutting.min_pause, self.cutting.max_seconds)
        lengths = [(end - begin) * FRAME for begin, end in found]
        if found:
            LOG.info(
                "%s: %d pieces of %.1f to %.1f s, %.0f s of %.0f s in all",
                path, len(found), min(lengths), max(lengths), sum(lengths), info.seconds,
            )  # fmt: skip
        return [(begin * levels.size, end * levels.size) for begin, end in found]

    def _of_spoken(
        self, path: Path, info: AudioInfo, spoken: list[tuple[int, int]], name: str
    ) -> Iterator[tuple[float, np.ndarray]]:
        """Second at which it begins, and features as they are, of each piece that has any."""
        blocks, kept, at = self._blocks(path), np.zeros(0, dtype=np.float32), 0
        for number, (begin, end) in enumerate(spoken):
            while at + len(kept) < end and (block := next(blocks, None)) is not None:
                if at + len(kept) <= begin:  # of what lies between pieces nothing is kept
                    at, kept = at + len(kept), block
                else:
                    kept = np.concatenate([kept, block])
            samples = kept[begin - at : end - at]
            features, problem = self._features(samples, info.sampling_rate, f"{name} {number}")
            if not problem:
                yield begin / info.sampling_rate, features

    def _blocks(self, path: Path) -> Iterator[np.ndarray]:
        """The samples (n,) of a recording, some seconds at a time, of one channel or the mean of all."""
        channel, read = self.cutting.channel, 0
        try:
            with open_audio(path) as file:
                while len(block := file.read(round(BLOCK * file.samplerate), dtype="float32", always_2d=True)):
                    read += len(block)
                    bad = block.size - int(np.isfinite(block).sum())
                    fault = f"{bad} samples are NaN or infinite" if bad else scale_fault(float(np.abs(block).max()))
                    if fault:
                        raise DataError(f"{path}: {fault}")
                    one = block[:, channel or 0] if channel is not None or block.shape[1] == 1 else block.mean(axis=1)
                    yield np.ascontiguousarray(one)
                if read < file.frames:
                    raise DataError(f"audio file {path} {cut_short(read, file.frames)}")
        except RuntimeError as e:  # libsndfile's
            raise DataError(f"{path} is not readable as audio: {' '.join(str(e).split())}") from e

    def _features(self, samples: np.ndarray, rate: int, name: str) -> tuple[np.ndarray, str]:
        """Features (T, C) of samples (n,) as they are, or of none (0, C) with the reason."""
        wave = samples[None]
        with one_thread(), torch.random.fork_rng(devices=[]):
            if rate != self.rate:
                wave = Resample(rate, self.rate)(wave, rate)
            torch.manual_seed(dither_seed(self.config.seed, name))
            found, problem = compute_features(self.extractor, np.asarray(wave), self.config.min_frames)
        return (np.zeros((0, 0), dtype=np.float32), problem) if found is None else (found, "")

    def _normalised(self, features: np.ndarray, moments: Moments | None) -> np.ndarray:
        """Features of a piece; by ``moments`` of the whole recording where it has several."""
        kind, mean_std = self.config.normalize, self.mean_std
        if kind == "speaker":  # of whom nothing else is known
            own = (moments or Moments.of(features)).tensors()
            kind, mean_std = "global", (own["mean"], own["std"])
        return Normalizer(Path(), "", kind, mean_std)(features, None)
