"""Ids and storages: what would overwrite something, or run something, is refused before anything is written."""

import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from lhotse import CutSet
from lhotse.utils import fastcopy

from asrpar.errors import ConfigError, DataError
from asrpar.feats.config import FeatureConfig
from asrpar.feats.extract import extract_features
from asrpar.feats.store import FeatureStore

SMALL = {"num_filters": 20}


def again(cuts: list, name: Callable[[str], str], speed: float = 1.0) -> list:
    """Copies of ``cuts`` with other ids, and perhaps another speed."""
    copies = []
    for cut in cuts:
        made = cut.perturb_speed(speed, affix_id=False) if speed != 1.0 else cut
        copies.append(fastcopy(made, id=name(cut.id), supervisions=[fastcopy(made.supervisions[0], id=name(cut.id))]))
    return copies


@pytest.mark.parametrize(
    ("name", "speed", "message"),
    [
        (lambda i: f"sp0.9-{i}", 0.9, r"cut sp0\.9-a-000 is a copy of a-000: split train .*set speeds: \[1\.0\]"),
        (lambda i: f"{i}_sp1.1", 1.0, r"cut a-000_sp1\.1 is a copy of a-000: split train holds copies"),
        (lambda i: f"{i}-sp0.9", 1.0, r"cut a-000-sp0\.9 is a copy of a-000"),
        (lambda i: f"{i}#1.1", 1.1, r"cut a-000#1\.1 is a copy of a-000"),
        (lambda i: f"fast-{i}", 1.1, r"recording a-000 is made faster or slower by its manifest"),
    ],
)
@pytest.mark.parametrize("storage", ["shards", "numpy_files"])
def test_data_that_are_perturbed_already(
    manifests: Path, tmp_path: Path, name: Callable[[str], str], speed: float, message: str, storage: str
):
    cuts = list(CutSet.from_file(manifests / "cuts_train.jsonl.gz"))
    CutSet.from_cuts(cuts + again(cuts[:3], name, speed)).to_file(tmp_path / "cuts_train.jsonl.gz")
    with pytest.raises(DataError, match=message):
        extract_features(FeatureConfig(fbank=SMALL, storage=storage), tmp_path, tmp_path / "f", ["train"])
    assert not (tmp_path / "f").exists()
    few = FeatureConfig(fbank=SMALL, storage=storage, speeds=[1.0])
    assert extract_features(few, tmp_path, tmp_path / "f", ["train"]) == {"train": 48}
    ids = [c.id for c in CutSet.from_file(tmp_path / "f/cuts_train.jsonl.gz")]
    assert len(set(ids)) == 48


@pytest.mark.parametrize(
    ("storage", "key", "message"),
    [
        ("numpy_files", "../../a", "cannot be the name of a file of storage: numpy_files"),
        ("numpy_files", "a-000.npy", "cannot be the name of a file"),
        ("kaldi", "a 1", "'a 1' cannot be an id in Kaldi's files"),
        ("shards", "a 1", "the id 'a 1' has a space in it, which files of transcripts"),
        ("shards", "a(1", r"the id 'a\(1' has a bracket without its partner"),
    ],
)
def test_ids_that_a_storage_cannot_hold(manifests: Path, tmp_path: Path, storage: str, key: str, message: str):
    cuts = list(CutSet.from_file(manifests / "cuts_dev.jsonl.gz"))
    CutSet.from_cuts(again(cuts[:1], lambda _: key)).to_file(tmp_path / "cuts_dev.jsonl.gz")
    with pytest.raises(DataError, match=message):
        extract_features(FeatureConfig(fbank=SMALL, storage=storage), tmp_path, tmp_path / "f", ["dev"])
    assert not (tmp_path / "f").exists()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"speaker": 5}, "has a speaker that is int, not str"),
        ({"text": "A\ud800"}, r"has the character U\+D800 in its text"),
        ({"id": "a\ud800"}, r"cut 'a\\ud800' has the character U\+D800 in its id"),
        ({"start": -1.0}, "is from -1 to .* s, which is no piece"),
    ],
)
def test_cuts_of_no_use(manifests: Path, tmp_path: Path, fields: dict, message: str):
    lines = gzip.decompress((manifests / "cuts_dev.jsonl.gz").read_bytes()).splitlines()
    records = [json.loads(line) for line in lines]
    for name, value in fields.items():
        (records[0] if name in records[0] else records[0]["supervisions"][0])[name] = value
    text = "".join(json.dumps(record) + "\n" for record in records)
    (tmp_path / "cuts_dev.jsonl.gz").write_bytes(gzip.compress(text.encode()))
    with pytest.raises(DataError, match=message):
        extract_features(FeatureConfig(fbank=SMALL), tmp_path, tmp_path / "f", ["dev"])


@pytest.mark.parametrize("kind", ["memory_raw", "lilcom_url", "shar"])
def test_storages_that_unpickle_or_fetch_are_not_read(feats: Path, tmp_path: Path, kind: str):
    shutil.copytree(feats, tmp_path / "f")
    lines = gzip.decompress((feats / "cuts_dev.jsonl.gz").read_bytes()).decode().replace("asrpar_shard", kind)
    (tmp_path / "f/cuts_dev.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    with pytest.raises(DataError, match=f"features in storage '{kind}' are not read"):
        FeatureStore(tmp_path / "f", "dev").load(0)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"num_frames": "10"}, "an entry of cut 'a-045' is of no use"),
        ({"num_frames": 0}, "an entry of cut"),
        ({"storage_path": None}, "an entry of cut"),
        ({"storage_path": ["x"]}, "an entry of cut"),
        ({"id": 5}, "an entry of cut 5"),
        ({"id": "b-046"}, "holds cut b-046 twice: run stage 2"),
    ],
)
def test_cuts_with_features_of_no_use(feats: Path, tmp_path: Path, fields: dict, message: str):
    lines = gzip.decompress((feats / "cuts_dev.jsonl.gz").read_bytes()).splitlines()
    records = [json.loads(line) for line in lines]
    for name, value in fields.items():
        (records[0] if name in records[0] else records[0]["features"])[name] = value
    text = "".join(json.dumps(record) + "\n" for record in records)
    (tmp_path / "cuts_dev.jsonl.gz").write_bytes(gzip.compress(text.encode()))
    shutil.copy(feats / "feats.yaml", tmp_path)
    with pytest.raises(DataError, match=message):
        FeatureStore(tmp_path, "dev")


def test_names_of_splits_that_get_no_copies(manifests: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture):
    shutil.copy(manifests / "cuts_dev.jsonl.gz", tmp_path / "cuts_train_small.jsonl.gz")
    assert extract_features(FeatureConfig(fbank=SMALL), tmp_path, tmp_path / "f", ["train_small"])["train_small"] == 7
    assert "split train_small gets no copies at other speeds: only a split called train does" in caplog.text
    with pytest.raises(ConfigError, match=r"split '\.\./x'"):
        extract_features(FeatureConfig(fbank=SMALL), tmp_path, tmp_path / "f", ["../x"])


def test_random_bytes_in_a_storage_are_seen(feats: Path, tmp_path: Path):
    shutil.copytree(feats, tmp_path / "f")
    shard = tmp_path / "f/storage/dev/00000.npy"
    content = bytearray(shard.read_bytes())
    content[1000:1400] = np.random.default_rng(0).bytes(400)
    shard.write_bytes(content)
    with pytest.raises(DataError, match=r"storage .*00000\.npy is damaged: \S+ holds .*run stage 2"):
        for n in range(7):
            FeatureStore(tmp_path / "f", "dev").load(n)
