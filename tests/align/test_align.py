"""Alignment of a synthetic corpus, of which the true times are known."""

import numpy as np
import pytest

from asrpar.align.agreement import agreement, word_times
from asrpar.feats.store import FeatureStore
from asrpar.hmm.alignments import Alignments
from asrpar.train.identity import summary


def test_a_flat_start_finds_words_where_they_are(flat, true_times):
    found = agreement(word_times(Alignments.open(flat), "train"), true_times)
    assert found.words > 80
    assert found.median_error <= 0.02


def test_everything_is_there(clean, flat):
    ali = Alignments.open(flat)
    assert ali.sets == ["train", "dev"] and ali.info.method == "flat" and ali.tree.topology == "three_state"
    labels = ali.labels("train")
    store = FeatureStore(clean / "feats", "train")
    assert [len(labels[u.id]) for u in store.utterances] == store.lengths  # copies at other speeds, too
    assert sum(u.id.startswith("sp1.1-") for u in store.utterances) == 40
    ali.check("train", 0.01, summary(store.utterances))
    assert ali.counts().sum() == sum(store.lengths) and (ali.counts() > 0).all()
    assert ali.tree.states(1) != ali.tree.states(2)  # loops as counted
    assert (flat / "left_out_train.txt").read_text() == ""


def test_the_same_seed_gives_the_same_bytes(align, flat, tmp_path):
    align(tmp_path / "again")
    align(tmp_path / "other", "--set=seed=2")
    names = ["tree.txt", "pdfs_train.npy", "phones_dev.npy"]
    assert all((flat / n).read_bytes() == (tmp_path / "again" / n).read_bytes() for n in names)
    one, two = (word_times(Alignments.open(f), "train") for f in (flat, tmp_path / "other"))
    assert (flat / "pdfs_train.npy").read_bytes() != (tmp_path / "other" / "pdfs_train.npy").read_bytes()
    assert agreement(one, two).both_within(0.05) > 0.8


def test_full_sum(align, true_times, tmp_path):
    more = ["--method=full_sum", "--set=methods.full_sum.epochs=8", "--set=methods.full_sum.batch_frames=500"]
    done = align(tmp_path / "ali", "--sets=train", *more)
    assert "full sum, epoch 8" in done.stderr
    found = agreement(word_times(Alignments.open(tmp_path / "ali"), "train"), true_times)
    assert found.median_error <= 0.1  # softer bounds


def test_one_state_a_phone_at_thirty_milliseconds(align, flat, tmp_path):
    align(tmp_path / "ali", "--sets=train", "--set=topology=one_state")
    ali = Alignments.open(tmp_path / "ali")
    assert ali.num_pdfs == len(ali.tree.phones)
    both = agreement(word_times(ali, "train"), word_times(Alignments.open(flat), "train"))
    assert both.within(0.1) > 0.8


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--sets=trian"], "no set 'trian'"),
        (["--method=flta"], "did you mean 'flat'"),
        (["--set=topology=ctc"], "topology is ctc, whose frames are no states: use three_state"),
        (["--method=ctc"], "method=ctc needs a trained model: give --exp"),
        (["--exp=nowhere"], "there is no experiment nowhere"),
        (["--set=max_silence=0.05"], "aligned to silence, max_silence is 0.05"),
        (["--set=methods.flat.network.hiden=2"], "methods.flat.network.hidden"),
    ],
)
def test_mistakes_are_one_line(align, tmp_path, more, message):
    quick = ["--set=methods.flat.rounds=1", "--set=methods.flat.network_rounds=0"]
    done = align(tmp_path / "ali", *quick, *more, check=False)
    assert done.returncode != 0 and message in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "ali").exists()


def test_a_folder_of_something_else_is_not_replaced(align, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    quick = ["--set=methods.flat.rounds=1", "--set=methods.flat.network_rounds=0", "--sets=dev"]
    done = align(tmp_path / "mine", *quick, check=False)
    assert "exists and is no alignment" in done.stderr and (tmp_path / "mine" / "thesis.txt").exists()


def test_words_cover_their_phones(flat):
    for utterance in Alignments.open(flat).utterances("dev"):
        words = [w for w, _, _ in utterance.words]
        assert words == utterance.text.split()
        assert sum(d for _, _, d in utterance.phones) == pytest.approx(utterance.seconds, abs=0.011)
        assert np.all(np.array([d for _, _, d in utterance.words]) > 0.05)
