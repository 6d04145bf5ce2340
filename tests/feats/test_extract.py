import gzip
import hashlib
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from lhotse import CutSet, Fbank, FbankConfig

from asrpar.config import load_config
from asrpar.errors import ConfigError, DataError, MissingInputError
from asrpar.feats.batches import BatchLoader, eval_batches
from asrpar.feats.config import BatchConfig, FeatureConfig, read_settings
from asrpar.feats.extract import extract_features
from asrpar.feats.front_end import front_end
from asrpar.feats.store import FeatureStore
from asrpar.files.lock import BusyError, alone

SPLITS = ["train", "dev", "test"]
SMALL = {"num_filters": 20}


def contents(folder: Path) -> dict[str, str]:
    """A digest of each file, with the folder's own path taken out of manifests."""
    found = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and not p.name.startswith("index_")):
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        found[str(path.relative_to(folder))] = hashlib.sha256(data.replace(str(folder).encode(), b"")).hexdigest()
    return found


def test_features_are_lhotses_and_copies_keep_text_and_speaker(feats: Path, manifests: Path):
    original = {c.id: c for c in CutSet.from_file(manifests / "cuts_train.jsonl.gz")}
    cuts = CutSet.from_file(feats / "cuts_train.jsonl.gz").to_eager()
    assert list(cuts.ids) == sorted(cuts.ids) and len(cuts) == 3 * 45
    assert set(cuts.ids) == {prefix + i for i in original for prefix in ("", "sp0.9-", "sp1.1-")}
    extractor = Fbank(FbankConfig(sampling_rate=8000, num_filters=20))
    for utterance in ("a-000", "sp0.9-a-000", "sp1.1-b-001"):
        cut, source = cuts[utterance], original[utterance.removeprefix("sp0.9-").removeprefix("sp1.1-")]
        assert (cut.supervisions[0].text, cut.supervisions[0].speaker) == (
            source.supervisions[0].text,
            source.supervisions[0].speaker,
        )
        assert cut.supervisions[0].id == utterance
        features = cut.load_features()
        np.testing.assert_array_equal(features, extractor.extract(cut.load_audio(), 8000))
        assert features.shape == (cut.features.num_frames, 20)
    assert cuts["sp0.9-a-000"].duration == pytest.approx(original["a-000"].duration / 0.9, abs=1e-3)


def test_only_train_gets_speed_copies(feats: Path):
    assert len(CutSet.from_file(feats / "cuts_dev.jsonl.gz")) == 7
    assert len(CutSet.from_file(feats / "cuts_test.jsonl.gz")) == 5


def test_files_do_not_depend_on_the_number_of_processes(feats: Path, manifests: Path, tmp_path: Path):
    extract_features(FeatureConfig(fbank=SMALL), manifests, tmp_path / "f", SPLITS, jobs=3)
    assert contents(tmp_path / "f") == contents(feats)


def test_running_again_gives_the_same(manifests: Path, tmp_path: Path):
    config = FeatureConfig(fbank={**SMALL, "dither": 0.005}, speeds=[1.0])
    extract_features(config, manifests, tmp_path, SPLITS)
    first = contents(tmp_path)
    extract_features(config, manifests, tmp_path, ["dev"])
    assert contents(tmp_path) == first
    # Storage that was moved to a larger disk stays there.
    link, far = tmp_path / "storage" / "dev", tmp_path / "far"
    link.rename(far)
    link.symlink_to(far)
    extract_features(config, manifests, tmp_path, ["dev"])
    assert link.is_symlink() and len(FeatureStore(tmp_path, "dev").load(0)) > 0


def test_feats_yaml_repeats_the_run(feats: Path, manifests: Path, tmp_path: Path):
    config = load_config(FeatureConfig, feats / "feats.yaml")
    assert config.fbank == {"num_filters": 20, "sampling_rate": 8000}
    extract_features(config, manifests, tmp_path, SPLITS)
    assert contents(tmp_path) == contents(feats)


def test_statistics(feats: Path):
    cuts = CutSet.from_file(feats / "cuts_train.jsonl.gz").to_eager()
    stats = torch.load(feats / "stats.pt", weights_only=True)
    everything = np.concatenate([c.load_features() for c in cuts]).astype(np.float64)
    np.testing.assert_allclose(stats["global"]["mean"], everything.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(stats["global"]["std"], everything.std(axis=0), rtol=1e-4)
    of_a = np.concatenate([c.load_features() for c in cuts if c.supervisions[0].speaker == "a"]).astype(np.float64)
    np.testing.assert_allclose(stats["speakers"]["train"]["a"]["mean"], of_a.mean(axis=0), rtol=1e-5)
    assert set(stats["speakers"]) == set(SPLITS) and stats["global"]["frames"] == len(everything)


@pytest.mark.parametrize("kind", ["none", "global", "speaker", "utterance"])
def test_normalisation_is_applied_on_load(feats: Path, manifests: Path, tmp_path: Path, kind: str):
    extract_features(FeatureConfig(fbank=SMALL, normalize=kind), manifests, tmp_path, SPLITS)
    raw = {c.id: c.load_features() for c in CutSet.from_file(feats / "cuts_train.jsonl.gz")}
    store = FeatureStore(tmp_path, "train")
    loaded = {u.id: store.load(i) for i, u in enumerate(store.utterances)}
    assert set(loaded) == set(raw) and all(x.dtype == np.float32 for x in loaded.values())
    if kind == "none":
        assert all(np.array_equal(loaded[i], raw[i]) for i in raw)
        return
    groups = {"global": lambda i: "", "speaker": lambda i: i[-5], "utterance": lambda i: i}
    for name in {groups[kind](i) for i in raw}:
        part = np.concatenate([loaded[i] for i in raw if groups[kind](i) == name])
        np.testing.assert_allclose(part.mean(axis=0), 0, atol=1e-4)
        np.testing.assert_allclose(part.std(axis=0), 1, atol=1e-3)
    # The test split is normalised with the statistics of train, not with its own.
    if kind == "global":
        everything = np.concatenate(list(raw.values()))
        cut = next(iter(CutSet.from_file(tmp_path / "cuts_test.jsonl.gz")))
        store = FeatureStore(tmp_path, "test")
        expected = (cut.load_features() - everything.mean(axis=0)) / everything.std(axis=0)
        np.testing.assert_allclose(store.load(0), expected, atol=1e-3)


@pytest.mark.parametrize("storage", ["shards", "kaldi", "numpy_files", "lilcom_chunky"])
def test_every_storage_loads_in_lhotse_and_in_batches(feats: Path, manifests: Path, tmp_path: Path, storage: str):
    if storage == "lilcom_chunky":
        pytest.importorskip("lilcom")
    folder = tmp_path / "with space, and comma"
    config = FeatureConfig(fbank=SMALL, storage=storage, speeds=[1.0], normalize="none")
    extract_features(config, manifests, folder, SPLITS)
    expected = {c.id: c.load_features() for c in CutSet.from_file(feats / "cuts_train.jsonl.gz")}
    tolerance = 0.1 if storage == "lilcom_chunky" else 0
    for cut in CutSet.from_file(folder / "cuts_train.jsonl.gz"):
        np.testing.assert_allclose(cut.load_features(), expected[cut.id], atol=tolerance)
    # The folder may be moved: what lies beside the cuts is used.
    moved = tmp_path / "moved"
    folder.rename(moved)
    for batch in BatchLoader(moved, "train", BatchConfig(size=500), 0, augment=False).epoch(0):
        for n, utterance in enumerate(batch.ids):
            found = batch.features[n, : batch.feature_lens[n]].numpy()
            np.testing.assert_allclose(found, expected[utterance], atol=tolerance)


def test_kaldi_storage_has_one_sorted_scp(manifests: Path, tmp_path: Path):
    import kaldiio

    extract_features(FeatureConfig(fbank=SMALL, storage="kaldi"), manifests, tmp_path, ["train"])
    scp = kaldiio.load_scp(str(tmp_path / "storage/train/feats.scp"))
    assert list(scp) == sorted(scp) and len(scp) == 135
    cuts = CutSet.from_file(tmp_path / "cuts_train.jsonl.gz")
    assert all(np.array_equal(scp[c.id], c.load_features()) for c in cuts)


def test_kaldi_archives_run_no_commands_and_unpickle_nothing(manifests: Path, tmp_path: Path):
    extract_features(FeatureConfig(fbank=SMALL, storage="kaldi"), manifests, tmp_path, ["train"])
    for scp in (tmp_path / "storage/train").glob("0*.scp"):
        keys = [line.split()[0] for line in scp.read_text().splitlines()]
        scp.write_text("".join(f"{k} touch {tmp_path}/run |\n" for k in keys))
    with pytest.raises(DataError, match="cannot be read"):
        list(eval_batches(tmp_path, "train", 1000))
    assert not (tmp_path / "run").exists()


def test_half_precision_halves_the_disk_space(feats: Path, manifests: Path, tmp_path: Path):
    extract_features(FeatureConfig(fbank=SMALL, storages={"shards": {"dtype": "float16"}}), manifests, tmp_path, SPLITS)
    whole = sum(p.stat().st_size for p in (feats / "storage").rglob("*.npy"))
    assert sum(p.stat().st_size for p in (tmp_path / "storage").rglob("*.npy")) < 0.55 * whole
    batch, other = (next(eval_batches(f, "dev", 10000)) for f in (tmp_path, feats))
    assert batch.features.dtype == torch.float32
    torch.testing.assert_close(batch.features, other.features, atol=0.02, rtol=0)


def test_folders_of_earlier_versions_are_read(feats: Path, tmp_path: Path):
    written = (feats / "feats.yaml").read_text()
    before = re.sub(r"(?s)storages:.*float32\n", "dtype: float16\n", written)
    assert "storages" not in before and "dtype: float16" in before
    for name, storage, blocks in (("shards", "shards", {"shards": {"dtype": "float16"}}), ("kaldi", "kaldi", {})):
        (tmp_path / name).mkdir()
        (tmp_path / name / "feats.yaml").write_text(before.replace("storage: shards", f"storage: {storage}"))
        assert read_settings(tmp_path / name).storages == blocks
        with pytest.raises(ConfigError, match=r"'dtype' is now 'storages\.shards\.dtype'"):
            load_config(FeatureConfig, tmp_path / name / "feats.yaml")
    assert front_end(read_settings(tmp_path / "shards"))["dtype"] == "float16"


def test_all_settings_of_lhotses_fbank_are_reachable(manifests: Path, tmp_path: Path):
    text = "fbank: {num_filters: 23, frame_shift: 0.0125, use_energy: false, window_type: hamming, low_freq: 50}\n"
    (tmp_path / "feats.yaml").write_text(text)
    config = load_config(FeatureConfig, tmp_path / "feats.yaml", ["fbank.high_freq=3500.0"])
    extract_features(config, manifests, tmp_path / "f", ["dev"])
    cut = next(iter(CutSet.from_file(tmp_path / "f/cuts_dev.jsonl.gz")))
    settings = FbankConfig(8000, num_filters=23, frame_shift=0.0125, window_type="hamming", low_freq=50, high_freq=3500)
    np.testing.assert_array_equal(cut.load_features(), Fbank(settings).extract(cut.load_audio(), 8000))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fbank": {"num_filter": 80}}, r"key 'fbank.num_filter' is unknown; did you mean 'fbank.num_filters'"),
        ({"fbank": {"num_filters": "many"}}, "fbank.num_filters must be of type int"),
        ({"fbank": {"snip_edges": 1}}, "fbank.snip_edges must be of type bool"),
        ({"fbank": {"window_type": "kaiser"}}, "fbank.window_type 'kaiser' is unknown; known:"),
        ({"fbank": {"frame_shift": 0.01001}}, "whole number of samples"),
        ({"fbank": {"low_freq": 5000.0}}, "are from 5000 to 3600 Hz: they must lie between 0 and 4000"),
        ({"normalize": "globl"}, "did you mean 'global'"),
        ({"storage": "hdf5"}, "storage 'hdf5' is unknown"),
        ({"storages": {"kaldi": {"dtype": "float16"}}}, "key 'storages.kaldi.dtype' is unknown"),
        ({"storages": {"shards": {"dtype": "float61"}}}, "storages.shards.dtype 'float61' is unknown; did you mean"),
        ({"speeds": []}, r"speeds is \[\]: it must be different numbers"),
        ({"speeds": [1.0, 9.0]}, "numbers from 0.5 to 2.0"),
        ({"min_frames": 0}, "min_frames"),
        ({"max_bad_fraction": 2.0}, "max_bad_fraction is 2.0: it is a fraction"),
    ],
)
def test_wrong_settings(manifests: Path, tmp_path: Path, change: dict, message: str):
    with pytest.raises(ConfigError, match=message):
        extract_features(FeatureConfig(**change), manifests, tmp_path, ["dev"])
    assert not list(tmp_path.glob("cuts_*"))


def test_a_folder_does_not_mix_settings(feats: Path, manifests: Path, tmp_path: Path):
    folder = tmp_path / "f"
    shutil.copytree(feats, folder)
    with pytest.raises(ConfigError, match="made with another fbank"):
        extract_features(FeatureConfig(fbank={"num_filters": 40}), manifests, folder, ["test"])
    extract_features(FeatureConfig(fbank={"num_filters": 40}, speeds=[1.0]), manifests, folder, SPLITS)
    assert FeatureStore(folder, "train").num_features == 40


def test_statistics_of_other_settings_do_not_survive(feats: Path, manifests: Path, tmp_path: Path):
    folder = tmp_path / "f"
    shutil.copytree(feats, folder)
    for split in ("train", "test"):
        (folder / f"cuts_{split}.jsonl.gz").unlink()
    extract_features(FeatureConfig(fbank={"num_filters": 40}), manifests, folder, ["dev"])
    with pytest.raises(DataError, match="no global statistics: extract the features of the split train"):
        eval_batches(folder, "dev", 1000)


def test_missing_and_damaged_inputs(feats: Path, manifests: Path, tmp_path: Path):
    with pytest.raises(MissingInputError, match=r"cuts_dev.jsonl.gz is missing: run stage 1"):
        extract_features(FeatureConfig(), tmp_path, tmp_path / "f", ["dev"])
    (tmp_path / "cuts_dev.jsonl.gz").write_bytes(b"not gzip")
    with pytest.raises(DataError, match="not a readable cut manifest"):
        extract_features(FeatureConfig(), tmp_path, tmp_path / "f", ["dev"])
    with pytest.raises(MissingInputError, match="run stage 2"):
        BatchLoader(tmp_path / "none", "train", BatchConfig(), 0)
    broken = tmp_path / "broken"
    shutil.copytree(feats, broken)
    for shard in (broken / "storage/dev").glob("*.npy"):
        shard.write_bytes(shard.read_bytes()[:1000])
    with pytest.raises(DataError, match=r"features of .* cannot be read .*run stage 2"):
        list(eval_batches(broken, "dev", 1000))
    (broken / "stats.pt").write_bytes(b"PK")
    with pytest.raises(DataError, match=r"stats.pt is damaged"):
        eval_batches(broken, "dev", 1000)
    (broken / "cuts_dev.jsonl.gz").write_bytes((broken / "cuts_dev.jsonl.gz").read_bytes()[:200])
    with pytest.raises(DataError, match="not a manifest of cuts with features"):
        eval_batches(broken, "dev", 1000)


def test_a_folder_that_somebody_is_writing_to_is_left_alone(manifests, tmp_path):
    with alone(tmp_path):
        with pytest.raises(BusyError, match=rf"is being written by .* \(process {os.getpid()} on "):
            extract_features(FeatureConfig(fbank=SMALL), manifests, tmp_path, ["dev"])
        assert [path.name for path in tmp_path.iterdir()] == [".lock"]
