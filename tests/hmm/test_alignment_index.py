"""Labels of one utterance of many: found, read and compared by themselves."""

import gzip
import hashlib
import json
from types import SimpleNamespace

import numpy as np
import pytest

from asrpar.errors import DataError
from asrpar.files.checksums import write_checksums
from asrpar.files.columns import Strings
from asrpar.hmm import alignments
from asrpar.hmm.alignment_files import Aligned, writing_alignments
from asrpar.hmm.alignment_index import index_of
from asrpar.hmm.alignments import AlignmentInfo, Alignments
from asrpar.hmm.phones import Phones
from asrpar.hmm.topologies.one_state import Settings, Topology
from asrpar.hmm.tree import Tree
from asrpar.train.config import DataConfig
from asrpar.train.identity import digest, labels_of


@pytest.fixture
def ali(tmp_path):
    tree, rng = Tree.monophone(Phones.with_silence(["A", "B"]), Topology(Settings())), np.random.default_rng(0)
    with writing_alignments(tmp_path / "ali", tree, AlignmentInfo("flat")) as out, out.split("train") as train:
        for number in range(20):
            phones = rng.integers(1, 4, 5)
            lengths = rng.integers(1, 9, 5)
            rows = np.stack([phones, lengths, np.arange(5)], axis=1)
            pdfs = np.repeat(phones - 1, lengths)
            train.add(Aligned(f"u{number}", pdfs, rows, list("vwxyz"), classes=np.zeros(len(pdfs), np.int32)))
        train.leave_out("u20", "is empty")
    return tmp_path / "ali"


def facts(folder, ids):
    found = Alignments.open(folder)
    labels, segments, words = found.labels("train"), found.segments("train"), found.word_numbers("train")
    told = [(u.id, u.words, u.pdfs.tolist()) for u in found.utterances("train")]
    per = {x: (labels[x].tolist(), segments[x].lengths.tolist(), words[x].tolist()) for x in labels}
    return told, per, found.label_counts("train", ids).tolist(), list(found.fingerprints("train", ids))


def test_a_folder_without_an_index_says_the_same(ali):
    ids = Strings.of(["u20", *(f"u{i}" for i in range(20)), "other"])
    indexed = facts(ali, ids)
    labels = Alignments.open(ali).labels("train")
    assert indexed[2] == [0, *(len(labels[f"u{i}"]) for i in range(20)), 0]
    assert indexed[3][0] == "" and indexed[3][7] == hashlib.sha256(labels["u6"].tobytes()).hexdigest()
    index_of(ali, "train").unlink()
    with pytest.raises(DataError, match="index_train"):
        Alignments.open(ali)
    (ali / "files.sha256").unlink()
    assert facts(ali, ids) == indexed
    assert "u20" not in labels and "u3" in labels and labels.get("u20") is None


def test_the_supervisions_are_not_read_for_labels(ali, monkeypatch):
    def read(path):
        raise AssertionError("all supervisions are read")

    monkeypatch.setattr("asrpar.hmm.aligned_set.read_supervisions", read)
    assert len(Alignments.open(ali).labels("train")["u3"])


@pytest.mark.parametrize(("name", "ask"), [("pdfs", "labels"), ("phones", "segments"), ("classes", "segments")])
def test_large_arrays_are_compared_where_they_are_used(ali, monkeypatch, name, ask):
    path = ali / f"{name}_train.npy"
    array = np.load(path)
    array[-1] = array[-1] ^ 1
    np.save(path, array)
    with pytest.raises(DataError, match=rf"{name}_train\.npy is not as it was made"):
        Alignments.open(ali)
    monkeypatch.setattr(alignments, "AT_ONCE", 0)
    found = getattr(Alignments.open(ali), ask)("train")
    assert found["u0"] is not None
    with pytest.raises(
        DataError, match=r"the alignment of train in .* is damaged \(the .* of u19 are others than"
    ) as e:
        found["u19"]
    assert "\n" not in str(e.value)


def test_arrays_that_are_cut_short_are_noticed_at_once(ali, monkeypatch):
    monkeypatch.setattr(alignments, "AT_ONCE", 0)
    path = ali / "pdfs_train.npy"
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(DataError, match=r"damaged \(pdfs_train\.npy is cut short\)"):
        Alignments.open(ali).labels("train")


def test_a_damaged_index_is_told(ali):
    path = index_of(ali, "train")
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(DataError, match=r"index_train\.npz is not as it was made"):
        Alignments.open(ali)
    write_checksums(ali, [path.name])
    with pytest.raises(DataError, match=r"alignment of train in .* is damaged"):
        Alignments.open(ali).labels("train")


def test_what_a_training_keeps_of_labels_is_as_before(ali):
    ids = ["u20", *(f"u{i}" for i in range(20))]
    found = Alignments.open(ali)
    store = SimpleNamespace(split="train", utterances=SimpleNamespace(ids=Strings.of(ids)))
    labels = found.labels("train")
    prints = {x: hashlib.sha256(labels[x].tobytes()).hexdigest() if x in labels else "" for x in ids}
    facts = labels_of(found, DataConfig(train="train", dev="train"), [store])
    assert facts["train"] == digest([x, prints[x]] for x in ids)


@pytest.mark.parametrize("damage", ["order", "shorter", "kind"])
def test_supervisions_that_are_not_those_of_the_labels(ali, monkeypatch, damage):
    path = ali / "supervisions_train.jsonl.gz"
    lines = gzip.decompress(path.read_bytes()).decode().splitlines()
    if damage == "kind":
        index_of(ali, "train").unlink()
        (ali / "files.sha256").unlink()
        lines[3] = json.dumps(json.loads(lines[3]) | {"id": 3})
    else:  # too large to be looked at before they are used
        monkeypatch.setattr(alignments, "AT_ONCE", 0)
        lines = lines[:-1] if damage == "shorter" else lines[::-1]
    path.write_bytes(gzip.compress("".join(f"{line}\n" for line in lines).encode()))
    with pytest.raises(DataError, match=r"the alignment of train in .* is damaged"):
        list(Alignments.open(ali).utterances("train"))
