"""A small corpus of tones in noise, as manifests and as features."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from lhotse import CutSet, MonoCut, Recording, SupervisionSegment

from asrpar.feats.config import FeatureConfig
from asrpar.feats.extract import extract_features

RATE = 8000


def speech(seed: int, seconds: float, rate: int = RATE) -> np.ndarray:
    """Something that is neither silent nor clipped, float64 in -1 to 1."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate)) / rate
    tone = np.sin(2 * np.pi * (200 + 50 * seed) * time) * (0.2 + 0.1 * np.sin(2 * np.pi * 3 * time))
    return tone + 0.01 * rng.standard_normal(len(time))


@pytest.fixture(scope="session")
def write_cuts() -> Callable[..., None]:
    """``write_cuts(manifests, split, {id: samples}, rate)``: wav files and a cut manifest; the speaker is id's head."""

    def write(manifests: Path, split: str, audio: dict[str, np.ndarray], rate: int = RATE) -> None:
        (manifests / "wav").mkdir(parents=True, exist_ok=True)
        cuts = []
        for utterance, samples in audio.items():
            path = manifests / "wav" / f"{utterance}.wav"
            soundfile.write(path, samples, rate, subtype="FLOAT")
            recording = Recording.from_file(path, recording_id=utterance)
            supervision = SupervisionSegment(
                id=utterance,
                recording_id=utterance,
                start=0,
                duration=recording.duration,
                text=f"TEXT OF {utterance.upper()}",
                speaker=utterance.split("-")[0],
            )
            cuts.append(MonoCut(utterance, 0, recording.duration, 0, [supervision], recording=recording))
        CutSet.from_cuts(cuts).to_file(manifests / f"cuts_{split}.jsonl.gz")

    return write


@pytest.fixture(scope="session")
def manifests(tmp_path_factory: pytest.TempPathFactory, write_cuts: Callable[..., None]) -> Path:
    """Splits train (45 utterances of 3 speakers, 0.3 to 1.4 s), dev (7) and test (5)."""
    folder = tmp_path_factory.mktemp("manifests")
    lengths = np.random.default_rng(7).uniform(0.3, 1.4, 57)
    names = [f"{'abc'[i % 3]}-{i:03d}" for i in range(57)]
    audio = {name: speech(i, lengths[i]) for i, name in enumerate(names)}
    for split, part in (("train", names[:45]), ("dev", names[45:52]), ("test", names[52:])):
        write_cuts(folder, split, {name: audio[name] for name in part})
    return folder


@pytest.fixture(scope="session")
def feats(tmp_path_factory: pytest.TempPathFactory, manifests: Path) -> Path:
    """Features of `manifests` in three speeds, 20 bins, global normalisation."""
    folder = tmp_path_factory.mktemp("feats")
    extract_features(FeatureConfig(fbank={"num_filters": 20}), manifests, folder, ["train", "dev", "test"])
    return folder
