"""Features that jobs make part by part, and their index, against those that are made at once."""

import gzip
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from asrpar.errors import ConfigError, DataError
from asrpar.feats.config import FeatureConfig
from asrpar.feats.extract import extract_features, extract_part, merge_parts
from asrpar.feats.parts import Part
from asrpar.feats.store import FeatureStore
from asrpar.feats.utterances import Utterances, index_of, open_utterances, read_cuts

SPLITS = ["train", "dev"]
CONFIG = FeatureConfig(fbank={"num_filters": 20}, speeds=[0.9, 1.0])


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file() and p.name != ".lock"}


@pytest.fixture(scope="module")
def parted(manifests: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, bytes]]:
    """A folder whose two parts are made, and what extraction at once had put there."""
    output = tmp_path_factory.mktemp("parts") / "feats"
    extract_features(CONFIG, manifests, output, SPLITS)
    at_once = files(output)
    for number in (2, 1):
        extract_part(CONFIG, manifests, output, SPLITS, Part(number, 2))
    return output, at_once


def test_parts_together_are_the_same_bytes(parted, manifests: Path):
    output, at_once = parted
    others = (".npz", ".jsonl", ".npy")
    assert {k: v for k, v in files(output).items() if ".parts/" not in k} == at_once
    assert all(name.endswith(others) for name in set(files(output)) - set(at_once))
    with pytest.raises(DataError, match=r"part 3 of 3 of the features of train is missing .*\(--part 3 --parts 3\)"):
        extract_part(CONFIG, manifests, output, SPLITS, Part(1, 3))
        extract_part(CONFIG, manifests, output, SPLITS, Part(2, 3))
        merge_parts(CONFIG, manifests, output, SPLITS, 3)
    extract_part(CONFIG, manifests, output, SPLITS, Part(3, 3))
    assert merge_parts(CONFIG, manifests, output, SPLITS, 3) == {"train": 90, "dev": 7}
    assert files(output) == at_once


def test_parts_of_something_else_are_refused(manifests: Path, tmp_path: Path):
    output, mine = tmp_path / "feats", tmp_path / "manifests"
    mine.mkdir()
    (mine / "cuts_dev.jsonl.gz").write_bytes((manifests / "cuts_dev.jsonl.gz").read_bytes())
    extract_part(CONFIG, mine, output, ["dev"], Part(1, 1))
    with pytest.raises(DataError, match="part 1 of 1 of the features of dev was made with min_frames: 12, not 13"):
        merge_parts(replace(CONFIG, min_frames=13), mine, output, ["dev"], 1)
    with pytest.raises(ConfigError, match="expected a part from 1 to 2"):
        Part(3, 2)
    lines = gzip.decompress((mine / "cuts_dev.jsonl.gz").read_bytes()).splitlines(keepends=True)
    (mine / "cuts_dev.jsonl.gz").write_bytes(gzip.compress(b"".join(lines[1:])))
    with pytest.raises(DataError, match=r"part 1 of 1 .* was made of another .*cuts_dev.jsonl.gz: run it again"):
        merge_parts(CONFIG, mine, output, ["dev"], 1)
    (output / "storage" / ".dev.parts" / "part-1-of-1.npz").write_bytes(b"PK")
    with pytest.raises(DataError, match=r"part 1 of 1 .*is damaged .*run it again"):
        merge_parts(CONFIG, mine, output, ["dev"], 1)
    assert not (output / "cuts_dev.jsonl.gz").exists()


def test_an_index_says_what_the_cuts_say(feats: Path, tmp_path: Path):
    for split in ("train", "dev", "test"):
        cuts = feats / f"cuts_{split}.jsonl.gz"
        found, read = open_utterances(cuts), read_cuts(cuts)
        assert isinstance(found.ids.data, np.memmap) and not isinstance(read.ids.data, np.memmap)
        assert list(found) == list(read) and found == read and found[-3:] == read[-3:]
        assert found.digest == read.digest and list(found.words) == list(read.words)
        assert found.num_frames.tolist() == [u.num_frames for u in read]


@pytest.mark.parametrize("what", ["missing", "other cuts", "damaged"])
def test_without_an_index_of_its_own_the_cuts_are_read(feats: Path, tmp_path: Path, what: str):
    cuts = tmp_path / "cuts_dev.jsonl.gz"
    lines = gzip.decompress((feats / "cuts_dev.jsonl.gz").read_bytes()).splitlines()
    cut = json.loads(lines[0])
    cut["supervisions"][0]["text"] = "ANOTHER"
    lines[0] = json.dumps(cut).encode()
    cuts.write_bytes(gzip.compress(b"\n".join(lines)))
    data = bytearray((feats / "index_dev.npz").read_bytes())
    if what == "damaged":
        read_cuts(cuts).write(index_of(cuts), cuts)
        data = bytearray(index_of(cuts).read_bytes())
        data[data.index(b"ANOTHER")] ^= 1
    if what != "missing":
        index_of(cuts).write_bytes(data)
    assert open_utterances(cuts)[0].text == "ANOTHER"


def test_texts_are_kept_once(feats: Path):
    utterances = FeatureStore(feats, "train").utterances
    assert isinstance(utterances, Utterances) and len(utterances.texts) <= 45 < len(utterances)
    shortest = utterances.spoken_frames()
    for number, text in enumerate(utterances.texts):
        assert shortest[number] == min(u.num_frames for u in utterances if u.text == text)
