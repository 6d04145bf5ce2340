import numpy as np
import pytest
from lhotse import SupervisionSet

import asrpar.feats.storages.shards  # noqa: F401 - Lhotse learns of the storage
from asrpar.errors import DataError, MissingInputError
from asrpar.hmm.alignment_files import Aligned, writing_alignments
from asrpar.hmm.alignments import AlignmentInfo, Alignments
from asrpar.hmm.phones import Phones
from asrpar.hmm.segments import relabel
from asrpar.hmm.topologies.three_state import Settings, Topology
from asrpar.hmm.tree import Tree

DATA = {"utterances": 3, "frames": 22, "digest": "abc"}


def mono():
    return Tree.monophone(Phones.with_silence(["A", "B"]), Topology(Settings()))


def write(folder, shift=0.01, subsampling=1):
    tree = mono()
    a, b, sil = (tree.phones.id(p) for p in ("A", "B", "SIL"))
    one = [tree.pdf((p,), k) for p, states in ((sil, (0, 1, 2)), (a, (0, 1, 1, 2)), (b, (0, 1, 2))) for k in states]
    two = [tree.pdf((p,), k) for p in (b, a, a) for k in (0, 1, 2)]
    with (
        writing_alignments(folder, tree, AlignmentInfo("flat", shift, subsampling, settings={"seed": 1})) as out,
        out.split("train", DATA) as train,
    ):
        train.add(
            Aligned("one", np.array(one), np.array([[sil, 3, -1], [a, 4, 0], [b, 3, 0]]), ["AB"], "AB", "s", 0.095)
        )
        train.add(Aligned("two", np.array(two), np.array([[b, 3, 0], [a, 3, 0], [a, 3, 1]]), ["BA", "A"], "BA A", "s"))
        train.leave_out("three", "has 2 frames, 9 are needed")
    return one, two


def test_a_folder_reads_as_it_was_written(tmp_path):
    one, two = write(tmp_path / "ali")
    ali = Alignments.open(tmp_path / "ali")
    assert (ali.frame_shift, ali.subsampling, ali.sets, ali.info.method) == (0.01, 1, ["train"], "flat")
    labels = ali.labels("train")
    assert list(labels) == ["one", "two"] and labels["one"].tolist() == one and labels["two"].tolist() == two
    assert "three" not in labels and ali.left_out("train") == {"three": "has 2 frames, 9 are needed"}
    assert ali.counts().tolist() == np.bincount([*one, *two], minlength=ali.num_pdfs).tolist()
    segments = ali.segments("train")
    assert relabel(segments["one"], ali.tree).tolist() == one
    assert ali.word_numbers("train")["two"].tolist() == [0, 0, 1]
    found = list(ali.utterances("train"))
    assert found[0].words == [("AB", 0.03, 0.065)]  # where the utterance ends, not its last frame
    assert found[1].phones == [("B", 0.0, 0.03), ("A", 0.03, 0.03), ("A", 0.06, 0.03)]
    assert found[1].words == [("BA", 0.0, 0.06), ("A", 0.06, 0.03)]


def test_lhotse_reads_times_and_labels(tmp_path):
    _, two = write(tmp_path / "ali")
    found = list(SupervisionSet.from_file(tmp_path / "ali" / "supervisions_train.jsonl.gz"))[1]
    assert [(w.symbol, w.start, w.duration) for w in found.alignment["word"]] == [("BA", 0.0, 0.06), ("A", 0.06, 0.03)]
    pdfs = found.load_pdfs()
    assert pdfs.dtype == np.int32 and pdfs.tolist() == two and found.pdfs.frame_shift == 0.01


def test_times_of_subsampled_labels(tmp_path):
    write(tmp_path / "ali", 0.01, 3)
    assert next(iter(Alignments.open(tmp_path / "ali").utterances("train"))).phones[1] == ("A", 0.09, 0.005)


def test_only_pdfs(tmp_path):
    with writing_alignments(tmp_path / "ali", mono(), AlignmentInfo("imported")) as out, out.split("train") as train:
        train.add(Aligned("u", np.array([0, 1, 2])))
    ali = Alignments.open(tmp_path / "ali")
    assert ali.segments("train") is None and ali.labels("train")["u"].tolist() == [0, 1, 2]
    ali.check("train", 0.01, DATA)  # nobody says what it was made of


def test_other_features_are_refused(tmp_path):
    write(tmp_path / "ali")
    ali = Alignments.open(tmp_path / "ali")
    ali.check("train", 0.01, DATA)
    with pytest.raises(DataError, match=r"labels for frames of 0\.01 s, the features have 0\.03 s"):
        ali.check("train", 0.03, DATA)
    with pytest.raises(DataError, match="22 frames, there are 23 now"):
        ali.check("train", 0.01, DATA | {"frames": 23})
    with pytest.raises(DataError, match="other ids or texts"):
        ali.check("train", 0.01, DATA | {"digest": "x"})
    with pytest.raises(DataError, match="'trian'"):
        ali.labels("trian")


def test_a_failure_leaves_what_was_there(tmp_path):
    one, _ = write(tmp_path / "ali")
    with (
        pytest.raises(DataError, match="beyond the tree's 9"),
        writing_alignments(tmp_path / "ali", mono(), AlignmentInfo("flat")) as out,
        out.split("train") as train,
    ):
        train.add(Aligned("u", np.array([0, 9])))
    assert Alignments.open(tmp_path / "ali").labels("train")["one"].tolist() == one


def test_damage_is_noticed(tmp_path):
    with pytest.raises(MissingInputError, match="asrpar align"):
        Alignments.open(tmp_path / "ali")
    write(tmp_path / "ali")
    pdfs = tmp_path / "ali" / "pdfs_train.npy"
    whole = np.load(pdfs)
    np.save(pdfs, whole[::-1])  # labels that could be
    with pytest.raises(DataError, match=r"pdfs_train\.npy is not as it was made"):
        Alignments.open(tmp_path / "ali")
    (tmp_path / "ali" / "files.sha256").unlink()
    np.save(pdfs, whole[:-1])
    with pytest.raises(DataError, match=r"alignment of train in .* is damaged"):
        Alignments.open(tmp_path / "ali").labels("train")
    np.save(pdfs, whole + 5)
    with pytest.raises(DataError, match="pdfs beyond the 9 of the tree"):
        Alignments.open(tmp_path / "ali").labels("train")
    write(tmp_path / "ali")
    counts = tmp_path / "ali" / "counts_train.txt"
    counts.write_text("[ 1 2 ]\n")
    with pytest.raises(DataError, match="not as it was made"):
        Alignments.open(tmp_path / "ali")
