"""The work of one process: the features of one shard of a split."""

import contextlib
import hashlib
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from lhotse import Fbank, FbankConfig, Features, MonoCut
from lhotse.features.io import FeaturesWriter
from lhotse.utils import fastcopy

from asrpar.corpus.kaldi.ark import read_matrix
from asrpar.errors import DataError
from asrpar.feats.audio import check_file_rate, load_samples, speed_copy, strict_durations, suspicion
from asrpar.feats.config import FeatureConfig
from asrpar.feats.fbank import make_extractor
from asrpar.feats.prepared import decoded
from asrpar.feats.stats import Moments
from asrpar.feats.storages import STORAGES


@dataclass
class ShardTask:
    """What to do: ``lines`` are cuts of the manifest ``path``; ``folder`` gets the name ``final_folder`` in the end."""

    index: int
    path: Path
    lines: list[bytes]
    config: FeatureConfig
    speeds: list[float]
    folder: Path
    final_folder: Path
    sources: dict[str, tuple[str, int]] = field(default_factory=dict)  # of from_kaldi: (archive, byte offset)


@dataclass
class ShardResult:
    """What came out, besides the storage and the cuts with features (see `cut_file`).

    Attributes:
        index: of the shard.
        count: cuts with features, speed copies included.
        findings: (id, "dropped" or "kept", reason).
        dropped: utterances, their speed copies not counted.
        speakers: statistics of each.
    """

    index: int
    count: int = 0
    findings: list[tuple[str, str, str]] = field(default_factory=list)
    dropped: int = 0
    speakers: dict[str, Moments] = field(default_factory=dict)


# In a split's storage until the split is whole: the shards' cuts with features.
CUTS = ".cuts"


def cut_file(folder: Path, shard: int, speed: float) -> Path:
    """Lines of the final manifest, of one shard and one speed, in the order of their ids."""
    return folder / CUTS / f"{shard:05d}.{speed:g}.jsonl"


class _Kept:
    """Where the cuts of a shard go, speed by speed."""

    def __init__(self, task: ShardTask) -> None:
        (task.folder / CUTS).mkdir(exist_ok=True)
        self._files = {s: cut_file(task.folder, task.index, s).open("wb") for s in task.speeds}

    def add(self, speed: float, cut: MonoCut) -> None:
        self._files[speed].write(json.dumps(cut.to_dict(), ensure_ascii=False).encode() + b"\n")

    def __enter__(self) -> "_Kept":
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._files.values():
            file.close()


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """One torch thread: the processes are the parallelism, and sums must not depend on how they were cut up."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def extract_shard(task: ShardTask) -> ShardResult:
    """Compute and store the features of all cuts of a shard in all speeds, or copy those of Kaldi."""
    config = task.config
    result = ShardResult(task.index)
    if config.from_kaldi:
        with STORAGES.make(config).writer(task.folder, task.final_folder, task.index) as writer, _Kept(task) as kept:
            for cut in _cuts(task):
                features, problem = _kaldi_features(cut, task)
                if features is None:
                    result.findings.append((cut.id, "dropped", problem))
                    result.dropped += 1
                else:
                    kept.add(1.0, _stored(cut, features, "kaldi", task, writer, result))
        return result
    with one_thread(), strict_durations(), torch.random.fork_rng(devices=[]):
        extractor = make_extractor(config.fbank)
        with STORAGES.make(config).writer(task.folder, task.final_folder, task.index) as writer, _Kept(task) as kept:
            for cut in _cuts(task):
                check_file_rate(cut)
                if cut.sampling_rate != config.fbank["sampling_rate"]:
                    cut = cut.resample(config.fbank["sampling_rate"])
                _extract_utterance(cut, task, extractor, writer, kept, result)
    return result


def _cuts(task: ShardTask) -> Iterator[MonoCut]:
    return (decoded(task.path, line) for line in task.lines)


def _extract_utterance(
    cut: MonoCut, task: ShardTask, extractor: Fbank, writer: FeaturesWriter, kept: _Kept, result: ShardResult
) -> None:
    config = task.config
    # The unperturbed copy first: what is wrong with the recording is found, and reported, once.
    for nth, speed in enumerate(sorted(task.speeds, key=lambda s: (s != 1.0, s))):
        copy = speed_copy(cut, speed)
        samples, problem = load_samples(copy)
        if samples is not None:
            if extractor.config.dither:
                torch.manual_seed(dither_seed(config.seed, copy.id))
            features, problem = compute_features(extractor, samples, config.min_frames)
        if problem:
            result.findings.append((copy.id, "dropped", problem))
            if nth == 0:
                result.dropped += 1
                return
            continue
        doubt = suspicion(samples, config.silence_range, config.clip_fraction) if nth == 0 else ""
        if doubt:
            result.findings.append((copy.id, "kept", doubt))
        kept.add(speed, _stored(copy, features, extractor.name, task, writer, result))


def _stored(
    cut: MonoCut, features: np.ndarray, kind: str, task: ShardTask, writer: FeaturesWriter, result: ShardResult
) -> MonoCut:
    """Store one matrix and count it in the statistics; returns the cut with it."""
    manifest = Features(
        type=kind,
        num_frames=features.shape[0],
        num_features=features.shape[1],
        frame_shift=task.config.fbank.get("frame_shift", FbankConfig.frame_shift),
        sampling_rate=cut.sampling_rate,
        start=cut.start,
        duration=cut.duration,
        storage_type=writer.name,
        storage_key=writer.write(cut.id, features),
        storage_path=str(writer.storage_path).replace(str(task.folder), str(task.final_folder), 1),
        recording_id=cut.recording.id,
        channels=cut.channel,
    )
    result.count += 1
    speaker = cut.supervisions[0].speaker or ""
    moments = Moments.of(features)
    result.speakers[speaker] = result.speakers[speaker] + moments if speaker in result.speakers else moments
    return fastcopy(cut, features=manifest)


def _kaldi_features(cut: MonoCut, task: ShardTask) -> tuple[np.ndarray | None, str]:
    """A cut's matrix as Kaldi made it, or None and why it cannot be used."""
    fbank = task.config.fbank
    if cut.id not in task.sources:
        return None, "not in feats.scp"
    try:
        features = read_matrix(cut.id, *task.sources[cut.id])
    except (DataError, OSError) as e:
        return None, f"unreadable: {e}"
    frames, width = features.shape
    if width != fbank["num_filters"]:
        return None, f"{width} features a frame, others have {fbank['num_filters']}"
    if frames < task.config.min_frames:
        return None, f"too short: {frames} frames, min_frames is {task.config.min_frames}"
    shift = fbank.get("frame_shift", FbankConfig.frame_shift)
    # With snip_edges, Kaldi's default, frames that do not fit in whole are missing at the end; one more for rounding.
    window = fbank.get("frame_length", FbankConfig.frame_length)
    if not -1 <= cut.duration / shift - frames <= math.ceil(window / shift) + 1:
        return None, f"{frames} frames of {shift:g} s (fbank.frame_shift) are not its {cut.duration:.3f} s"
    return features, ""


def compute_features(extractor: Fbank, samples: np.ndarray, min_frames: int) -> tuple[np.ndarray | None, str]:
    """Features (T, C) of samples (1, n), or None and why there are none."""
    rate = extractor.config.sampling_rate
    window = extractor.config.frame_length * rate
    expected = int(samples.shape[1] / (extractor.frame_shift * rate) + 0.5)
    short = f"too short: {samples.shape[1] / rate:.3f} s, min_frames is {min_frames}"
    if samples.shape[1] < window or expected < min_frames:
        return None, short
    features = extractor.extract(samples, rate)
    if len(features) < min_frames:
        return None, short
    if not np.isfinite(features).all():
        return None, "features are not finite"
    return features, ""


def dither_seed(seed: int, utterance: str) -> int:
    """Of the noise that is added to one utterance."""
    return int.from_bytes(hashlib.blake2b(f"{seed} {utterance}".encode(), digest_size=8).digest(), "little")
