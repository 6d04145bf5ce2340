"""Recordings that break things: each kind is reported, and dropped or kept; none stops the extraction."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from lhotse import CutSet
from lhotse.utils import fastcopy

from asrpar.cli import main
from asrpar.errors import DataError
from asrpar.feats.batches import BatchLoader
from asrpar.feats.config import BatchConfig, FeatureConfig
from asrpar.feats.extract import extract_features

RATE = 8000
SMALL = {"num_filters": 20}


def good(seed: int, seconds: float = 0.6, rate: int = RATE) -> np.ndarray:
    return 0.1 * np.random.default_rng(seed).standard_normal(round(seconds * rate))


@pytest.fixture
def bad(tmp_path: Path, write_cuts: Callable[..., None]) -> Path:
    """Twenty sound utterances of train and one of each kind of trouble."""
    audio = {f"a-good{i:02d}": good(i) for i in range(20)}
    audio["a-silent"] = np.zeros(RATE)
    audio["a-offset"] = np.full(RATE, 0.25)
    audio["a-clipped"] = np.clip(good(1) * 40, -1, 1)
    audio["a-attenuated"] = np.clip(good(2) * 40, -1, 1) * 0.3
    audio["a-short"] = good(3, 0.1)
    audio["a-window"] = good(4, 0.005)
    audio["a-nan"] = np.where(np.arange(RATE) == 99, np.nan, good(5, 1.0))
    audio["a-inf"] = np.where(np.arange(RATE) == 99, np.inf, good(6, 1.0))
    audio["a-missing"], audio["a-garbage"], audio["a-truncated"] = good(7), good(8), good(9)
    write_cuts(tmp_path, "train", audio)
    (tmp_path / "wav/a-missing.wav").unlink()
    (tmp_path / "wav/a-garbage.wav").write_bytes(b"this is no audio")
    truncated = tmp_path / "wav/a-truncated.wav"
    soundfile.write(truncated, good(9, 0.3), RATE)
    return tmp_path


def test_each_kind_is_reported(bad: Path):
    config = FeatureConfig(fbank=SMALL, speeds=[0.9, 1.0, 1.1], max_bad_fraction=0.5)
    assert extract_features(config, bad, bad / "f", ["train"], jobs=2) == {"train": 3 * 24}
    report = (bad / "f/report.txt").read_text().splitlines()
    assert report[0] == "# train: 31 utterances, 7 dropped, 4 suspicious but kept"
    found = {line.split()[1]: line.split(maxsplit=2)[2] for line in report[1:]}
    expected = {
        "a-silent": "kept silent",
        "a-offset": "kept silent",
        "a-clipped": "kept clipped",
        "a-attenuated": "kept clipped",
        "a-short": "dropped too short: 0.100 s",
        "a-window": "dropped too short",
        "a-nan": "dropped 1 samples are NaN or infinite",
        "a-inf": "dropped 1 samples are NaN or infinite",
        "a-missing": f"dropped unreadable: no audio file {bad}",
        "a-garbage": f"dropped unreadable: {bad}/wav/a-garbage.wav is not readable",
        "a-truncated": "dropped unreadable: 2400 samples fewer than its manifest says",
    }
    assert set(found) == set(expected)
    assert {i: found[i][: len(text)] for i, text in expected.items()} == expected
    ids = set(CutSet.from_file(bad / "f/cuts_train.jsonl.gz").ids)
    assert {"a-silent", "sp0.9-a-clipped"} <= ids and not any("nan" in i or "short" in i for i in ids)
    for batch in BatchLoader(bad / "f", "train", BatchConfig(size=500), 0).epoch(0):
        assert np.isfinite(batch.features.numpy()).all()


def test_too_many_are_an_error(bad: Path):
    with pytest.raises(DataError, match=r"7 of 31 utterances of split train cannot be used.*report.txt lists them"):
        extract_features(FeatureConfig(fbank=SMALL), bad, bad / "f", ["train"])
    assert "a-nan dropped" in (bad / "f/report.txt").read_text()
    assert not (bad / "f/cuts_train.jsonl.gz").exists()
    assert list((bad / "f/storage").iterdir()) == []


def test_nothing_usable(tmp_path: Path, write_cuts: Callable[..., None]):
    write_cuts(tmp_path, "dev", {"a-1": good(1, 0.05)})
    with pytest.raises(DataError, match="1 of 1 utterances"):
        extract_features(FeatureConfig(fbank=SMALL, max_bad_fraction=1.0), tmp_path, tmp_path / "f", ["dev"])


def test_a_copy_that_becomes_too_short_is_dropped_alone(tmp_path: Path, write_cuts: Callable[..., None]):
    write_cuts(tmp_path, "train", {"a-1": good(1, 0.125), "a-2": good(2)})
    assert extract_features(FeatureConfig(fbank=SMALL), tmp_path, tmp_path / "f", ["train"]) == {"train": 5}
    report = (tmp_path / "f/report.txt").read_text()
    assert "# train: 2 utterances, 0 dropped" in report and "train sp1.1-a-1 dropped too short" in report


def test_wrong_sampling_rate_names_the_recording(tmp_path: Path, write_cuts: Callable[..., None]):
    write_cuts(tmp_path, "train", {f"a-{i}": good(i) for i in range(3)})
    write_cuts(tmp_path, "dev", {"b-1": good(9, rate=16000)}, rate=16000)
    with pytest.raises(DataError, match=r"recording b-1 of split dev has 16000 Hz, expected 8000 Hz.*resample: true"):
        extract_features(FeatureConfig(fbank=SMALL), tmp_path, tmp_path / "f", ["train", "dev"])
    with pytest.raises(DataError, match=r"recording a-0 of split train has 8000 Hz, expected 16000"):
        config = FeatureConfig(fbank={**SMALL, "sampling_rate": 16000})
        extract_features(config, tmp_path, tmp_path / "f", ["train", "dev"])


def test_resampling(tmp_path: Path, write_cuts: Callable[..., None]):
    write_cuts(tmp_path, "train", {f"a-{i}": good(i) for i in range(3)})
    write_cuts(tmp_path, "dev", {"b-1": good(9, rate=16000)}, rate=16000)
    extract_features(FeatureConfig(fbank=SMALL, resample=True), tmp_path, tmp_path / "f", ["train", "dev"])
    cut = next(iter(CutSet.from_file(tmp_path / "f/cuts_dev.jsonl.gz")))
    assert cut.sampling_rate == 8000 and cut.features.sampling_rate == 8000
    assert cut.load_features().shape == (60, 20)


def test_a_file_that_contradicts_its_manifest(tmp_path: Path, write_cuts: Callable[..., None]):
    write_cuts(tmp_path, "dev", {"a-1": good(1), "a-2": good(2)})
    soundfile.write(tmp_path / "wav/a-2.wav", good(2), 16000)
    with pytest.raises(DataError, match=r"recording a-2: .*a-2.wav has 16000 Hz but the manifest says 8000"):
        extract_features(FeatureConfig(fbank=SMALL), tmp_path, tmp_path / "f", ["dev"], jobs=2)


def test_segments_of_one_long_recording(tmp_path: Path, write_cuts: Callable[..., None]):
    write_cuts(tmp_path, "whole", {"a-1": good(1, 3.0)})
    whole = next(iter(CutSet.from_file(tmp_path / "cuts_whole.jsonl.gz")))
    parts = []
    for i, (start, seconds) in enumerate([(0.0, 0.7), (1.013, 0.6), (2.3, 0.7)]):
        part = fastcopy(whole.supervisions[0], id=f"a-1-{i}", start=0, duration=seconds)
        parts.append(fastcopy(whole, id=part.id, start=start, duration=seconds, supervisions=[part]))
    CutSet.from_cuts(parts).to_file(tmp_path / "cuts_train.jsonl.gz")
    assert extract_features(FeatureConfig(fbank=SMALL), tmp_path, tmp_path / "f", ["train"]) == {"train": 9}
    cuts = CutSet.from_file(tmp_path / "f/cuts_train.jsonl.gz").to_eager()
    assert cuts["a-1-1"].load_features().shape == (60, 20)
    assert cuts["sp0.9-a-1-1"].load_features().shape[0] == cuts["sp0.9-a-1-1"].features.num_frames == 67


@pytest.mark.parametrize("kind", ["command", "url", "memory"])
def test_audio_that_is_no_file(tmp_path: Path, write_cuts: Callable[..., None], kind: str):
    write_cuts(tmp_path, "dev", {"a-1": good(1), "a-2": good(2)})
    cuts = list(CutSet.from_file(tmp_path / "cuts_dev.jsonl.gz"))
    cuts[1].recording.sources[0].type = kind
    cuts[1].recording.sources[0].source = f"touch {tmp_path}/run; cat {tmp_path}/wav/a-2.wav"
    CutSet.from_cuts(cuts).to_file(tmp_path / "cuts_dev.jsonl.gz")
    with pytest.raises(DataError, match=rf"cuts_dev.jsonl.gz: cut a-2, recording a-2: its source is .*{kind}") as e:
        extract_features(FeatureConfig(fbank=SMALL), tmp_path, tmp_path / "f", ["dev"])
    assert "\n" not in str(e.value)
    assert not (tmp_path / "run").exists() and not (tmp_path / "f").exists()


def test_sphere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Through stages 1 and 2, mu-law and linear, whatever its name looks like to a shell."""
    monkeypatch.chdir(tmp_path)
    names = ("a-1;touch run;.sph", "a-2.sph")
    for name, coding in zip(names, ("ULAW", "PCM_16"), strict=True):
        soundfile.write(name, good(1), RATE, format="NIST", subtype=coding)
    (tmp_path / "k").mkdir()
    for name, value in (("wav.scp", dict(zip(("a-1", "a-2"), names, strict=True))), ("text", {"a-1": "A", "a-2": "A"})):
        (tmp_path / "k" / name).write_text("".join(f"{k} {v}\n" for k, v in value.items()))
    (tmp_path / "k/utt2spk").write_text("a-1 a\na-2 a\n")
    (tmp_path / "k/spk2utt").write_text("a a-1 a-2\n")
    main(["import-kaldi", "k", "--output", "m", "--split", "dev"])
    assert extract_features(FeatureConfig(fbank=SMALL, normalize="none"), "m", "f", ["dev"]) == {"dev": 2}
    plain, coded = (c.load_features() for c in CutSet.from_file("f/cuts_dev.jsonl.gz"))
    assert np.abs(plain - coded).mean() < 0.1
    assert not Path("run").exists()


def test_other_units_and_files_cut_short(tmp_path: Path, write_cuts: Callable[..., None]):
    write_cuts(tmp_path, "dev", {f"a-{i}": good(i) for i in range(5)})
    soundfile.write(tmp_path / "wav/a-1.wav", good(1) * 2**15, RATE, subtype="FLOAT")
    whole = (tmp_path / "wav/a-2.wav").read_bytes()
    (tmp_path / "wav/a-2.wav").write_bytes(whole[:-2000])
    cuts = list(CutSet.from_file(tmp_path / "cuts_dev.jsonl.gz"))
    missing = 2000 // (len(whole[44:]) // round(0.6 * RATE))
    cuts[2].recording.num_samples -= missing  # as Lhotse writes it, which believes libsndfile
    cuts[2].duration = cuts[2].recording.duration = cuts[2].recording.num_samples / RATE
    CutSet.from_cuts(cuts).to_file(tmp_path / "cuts_dev.jsonl.gz")
    extract_features(FeatureConfig(fbank=SMALL, max_bad_fraction=0.5), tmp_path, tmp_path / "f", ["dev"])
    report = (tmp_path / "f/report.txt").read_text()
    assert "dev a-1 dropped has samples up to" in report and "16-bit integers; divide them by 32768" in report
    assert "a-2.wav is cut short: " in report and "# dev: 5 utterances, 2 dropped" in report
