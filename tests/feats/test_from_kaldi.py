"""Features that Kaldi made, as `import-kaldi` leaves them, become a FEATS folder."""

from pathlib import Path

import numpy as np
import pytest
import torch
from lhotse import CutSet

from asrpar.cli import main
from asrpar.config import load_config
from asrpar.corpus.kaldi.ark import read_matrices, write_matrices
from asrpar.errors import ConfigError, DataError, MissingInputError
from asrpar.feats.batches import eval_batches
from asrpar.feats.config import FeatureConfig
from asrpar.feats.extract import extract_features

SPLITS = ("train", "dev", "test")
WIDTH = 13


def config(**settings) -> FeatureConfig:
    return FeatureConfig(from_kaldi=True, speeds=[1.0], **settings)


def matrices(cuts: CutSet, missing_frames: int = 2) -> dict[str, np.ndarray]:
    """A matrix for each cut; with snip_edges Kaldi makes two frames less than the duration is long."""
    rng = np.random.default_rng(3)
    frames = {c.id: round(c.duration / 0.01) - missing_frames for c in cuts}
    return {i: (3 + 2 * rng.standard_normal((n, WIDTH))).astype(np.float32) for i, n in frames.items()}


@pytest.fixture
def imported(manifests: Path, tmp_path: Path) -> dict[str, dict[str, np.ndarray]]:
    """tmp_path/m: the manifests with a feats_<split>.scp each; the matrices by split."""
    made = {}
    (tmp_path / "m").mkdir()
    for split in SPLITS:
        name = f"cuts_{split}.jsonl.gz"
        (tmp_path / "m" / name).symlink_to(manifests / name)
        made[split] = matrices(CutSet.from_file(manifests / name))
        scp = write_matrices(tmp_path / f"kaldi_{split}.ark", made[split].items())
        scp.rename(tmp_path / "m" / f"feats_{split}.scp")
    return made


@pytest.mark.parametrize(("storage", "jobs"), [("shards", 2), ("kaldi", 1)])
def test_the_matrices_arrive_as_they_were(tmp_path: Path, imported: dict, storage: str, jobs: int):
    counts = extract_features(config(storage=storage, normalize="none"), tmp_path / "m", tmp_path / "f", SPLITS, jobs)
    assert counts == {split: len(found) for split, found in imported.items()}
    for archive in tmp_path.glob("kaldi_*.ark"):
        archive.unlink()  # what counts has been copied
    for split, expected in imported.items():
        for cut in CutSet.from_file(tmp_path / "f" / f"cuts_{split}.jsonl.gz"):
            np.testing.assert_array_equal(cut.load_features(), expected[cut.id])
        for batch in eval_batches(tmp_path / "f", split, 10000):
            for n, utterance in enumerate(batch.ids):
                found = batch.features[n, : batch.feature_lens[n]]
                np.testing.assert_array_equal(found, expected[utterance])
    everything = np.concatenate(list(imported["train"].values())).astype(np.float64)
    stats = torch.load(tmp_path / "f" / "stats.pt", weights_only=True)
    np.testing.assert_allclose(stats["global"]["mean"], everything.mean(axis=0), rtol=1e-5)
    kept = load_config(FeatureConfig, tmp_path / "f" / "feats.yaml")
    assert kept.from_kaldi and kept.fbank == {"num_filters": WIDTH, "sampling_rate": 8000}


def test_one_split_after_the_other(tmp_path: Path, imported: dict, manifests: Path):
    for split in SPLITS:
        extract_features(config(), tmp_path / "m", tmp_path / "f", [split])
    with pytest.raises(ConfigError, match="made with another from_kaldi"):
        extract_features(FeatureConfig(fbank={"num_filters": WIDTH}), manifests, tmp_path / "f", ["dev"])


def test_what_does_not_fit_is_reported(tmp_path: Path, imported: dict):
    dev = imported["dev"]
    first, second, third, *_ = sorted(dev)
    dev[first] = np.repeat(dev[first], 2, axis=0)
    del dev[second]
    dev[third] = dev[third][:, :5]
    dev[sorted(dev)[3]][1, 1] = np.nan
    import kaldiio

    kaldiio.save_ark(str(tmp_path / "odd.ark"), dev, scp=str(tmp_path / "m/feats_dev.scp"))
    with pytest.raises(DataError, match="4 of 7 utterances of split dev cannot be used"):
        extract_features(config(), tmp_path / "m", tmp_path / "f", ["train", "dev"])
    assert extract_features(config(max_bad_fraction=0.6), tmp_path / "m", tmp_path / "f", ["train", "dev"])["dev"] == 3
    report = (tmp_path / "f" / "report.txt").read_text()
    for reason in ("frames of 0.01 s (fbank.frame_shift) are not its", "not in feats.scp", "5 features a frame", "NaN"):
        assert report.count(reason) == 1, report


def test_mistakes(tmp_path: Path, imported: dict, manifests: Path):
    with pytest.raises(ConfigError, match=r"from_kaldi: .* set speeds: \[1.0\]"):
        extract_features(FeatureConfig(from_kaldi=True), tmp_path / "m", tmp_path / "f", ["dev"])
    with pytest.raises(ConfigError, match=r"fbank\.frame_shift must be above 0"):
        extract_features(config(fbank={"frame_shift": 0.0}), tmp_path / "m", tmp_path / "f", ["dev"])
    with pytest.raises(DataError, match=r"cannot be used.* are not its"):
        extract_features(config(fbank={"frame_shift": 0.02}), tmp_path / "m", tmp_path / "f", ["dev"])
    with pytest.raises(MissingInputError, match=r"feats_dev.scp is missing: run stage 1 \(asrpar import-kaldi\)"):
        extract_features(config(), manifests, tmp_path / "g", ["dev"])
    (tmp_path / "m" / "feats_dev.scp").write_text(f"a-045 touch {tmp_path}/run |\n")
    with pytest.raises(DataError, match="is a command; commands in data are not run"):
        extract_features(config(), tmp_path / "m", tmp_path / "g", ["dev"])
    assert not (tmp_path / "run").exists() and not (tmp_path / "g").exists()


def test_there_and_back_on_the_command_line(
    feats: Path, manifests: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Features → export-kaldi → import-kaldi → extract-features: the same features."""
    from asrpar.corpus.manifests import Split, write_manifests

    cuts = list(CutSet.from_file(manifests / "cuts_dev.jsonl.gz"))
    write_manifests(tmp_path / "m", {"dev": Split([c.recording for c in cuts], [c.supervisions[0] for c in cuts])})
    data, again = tmp_path / "data", tmp_path / "again"
    with monkeypatch.context() as alone:
        # As in a process of its own, where nothing has registered the storage with Lhotse.
        alone.setattr("lhotse.features.io.READER_BACKENDS", {})
        main(["export-kaldi", str(tmp_path / "m"), "--split", "dev", "--output", str(data), "--features", str(feats)])
    main(["import-kaldi", str(data), "--split", "dev", "--output", str(again)])
    settings = ["--set", "from_kaldi=true", "--set", "speeds=[1.0]"]
    main(["extract-features", "--manifests", str(again), "--output", str(tmp_path / "f"), "--splits", "dev", *settings])
    before = {c.id: c.load_features() for c in CutSet.from_file(feats / "cuts_dev.jsonl.gz")}
    after = {c.id: c.load_features() for c in CutSet.from_file(tmp_path / "f/cuts_dev.jsonl.gz")}
    assert before.keys() == after.keys() and all(np.array_equal(before[i], after[i]) for i in before)
    assert dict(read_matrices(data / "feats.scp")).keys() == before.keys()
    (data / "feats.scp").unlink()
    main(["import-kaldi", str(data), "--split", "dev", "--output", str(again)])
    assert not (again / "feats_dev.scp").exists()
