"""Training on labels of frames from an alignment: what must fit, what the model keeps, what is resumed."""

import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from minidata import align_by_loudness, train_options

from asrpar.config import load_config
from asrpar.errors import AsrparError, ConfigError, DataError
from asrpar.feats.store import FeatureStore
from asrpar.files.checksums import NAME as CHECKSUMS
from asrpar.hmm.alignments import Alignments
from asrpar.hmm.phones import Phones
from asrpar.hmm.segments import Segments
from asrpar.hmm.topologies.one_state import Settings as OneState
from asrpar.hmm.topologies.one_state import Topology
from asrpar.hmm.topologies.three_state import Settings as ThreeState
from asrpar.hmm.topologies.three_state import Topology as ThreeStates
from asrpar.hmm.tree import Tree
from asrpar.parallel.comm import LocalComm
from asrpar.parallel.virtual.presets import load_cluster
from asrpar.simulate.training import simulate
from asrpar.train import labels
from asrpar.train.config import TrainConfig
from asrpar.train.experiment import train
from asrpar.train.model_io import load_acoustic_model

TINY = {"epochs": 2, "models__tdnn__channels": 8, "models__tdnn__dilations": "[1]", "models__tdnn__conv_maps": 4}


@pytest.fixture(scope="module")
def shared(mini, tmp_path_factory):
    return align_by_loudness(mini, tmp_path_factory.mktemp("ali") / "ali")


@pytest.fixture
def ali(shared, tmp_path):
    """A copy of the ALI folder."""
    return shutil.copytree(shared, tmp_path / "ali")


def settings(data, exp, ali, **more):
    options = train_options(data, exp, **TINY | {"loss": "frame_ce", "data__ali": ali} | more)
    return load_config(TrainConfig, None, [o.removeprefix("--set=") for o in options])


def run(data, exp, ali, **more):
    assert train(settings(data, exp, ali, **more), LocalComm()) == 0
    return json.loads((exp / "train.json").read_text())


def edit(folder, name, change):
    """Change a file of an ALI folder as somebody would who knows of its checksums."""
    path = folder / name
    path.write_text(change(path.read_text()))
    (folder / CHECKSUMS).unlink(missing_ok=True)


def test_a_model_knows_its_classes_and_how_often_they_are(mini, shared, tmp_path):
    summary, found = run(mini, tmp_path / "exp", shared), Alignments.open(shared)
    first, last = summary["history"]
    assert last["train_loss"] < first["train_loss"] < np.log(found.num_pdfs) and last["dev_error_rate"] < 60
    module, facts = load_acoustic_model(tmp_path / "exp" / "final.pt")
    assert facts["loss"] == "frame_ce" and facts["blank"] is None and module.output.out_features == found.num_pdfs
    identity, counts = facts["identity"], found.counts()
    assert identity.class_names == list(found.tree.names) and identity.tree == found.tree.digest
    expected = np.log((counts + 1) / (counts.sum() + len(counts)))
    torch.testing.assert_close(facts["log_priors"], torch.from_numpy(expected).float())
    assert identity.alignment["subsampling"] == 1 and identity.digest() == summary["data_digest"]


def test_a_training_goes_on_with_its_own_labels_only(mini, ali, tmp_path):
    whole, half = run(mini, tmp_path / "whole", ali), tmp_path / "half"
    run(mini, half, ali, stop_after_epochs=1)
    stopped = shutil.copytree(half, tmp_path / "stopped")
    (stopped / "config.yaml").write_text((half / "config.yaml").read_text().replace("half", "stopped"))
    assert run(mini, half, ali)["checksum"] == whole["checksum"]
    changed = np.load(ali / "pdfs_train.npy")
    changed[0] = 4 - changed[0]
    np.save(ali / "pdfs_train.npy", changed)
    (ali / "files.sha256").unlink()
    for exp in (stopped, tmp_path / "whole"):
        with pytest.raises(AsrparError, match=r"on other data \(labels: other train\)"):
            run(mini, exp, ali)


def test_a_simulated_training_has_the_labels_too(mini, shared, tmp_path):
    exp = tmp_path / "exp"
    simulate(
        settings(mini, exp, shared, strategy="ssgd", epochs=1, losses__frame_ce__label_delay=1),
        load_cluster("laptop"),
        2,
    )
    assert json.loads((exp / "train.json").read_text())["dev_loss"] > 0
    facts = load_acoustic_model(exp / "final.pt")[1]
    assert facts["identity"].tree == Alignments.open(shared).tree.digest and facts["label_delay"] == 1


@pytest.mark.parametrize(
    ("name", "before", "after", "says"),
    [
        ("ali.yaml", "frame_shift: 0.01", "frame_shift: 0.0125", r"features every 0\.0125 s, but .* every 0\.01 s"),
        ("ali.yaml", "subsampling: 1", "subsampling: 4", "for every 4 frames, but the model gives .* for every 3"),
        ("ali.yaml", "  dev:", "  test:", r"no alignment of the set 'dev' \(but of train, test\)"),
        ("ali.yaml", "utterances: 24", "utterances: 25", "aligned on other features of train"),
        ("tree.txt", " AH ", " ZZ ", "other phones than"),
    ],
)
def test_an_alignment_of_something_else_is_refused(mini, ali, tmp_path, name, before, after, says):
    edit(ali, name, lambda text: text.replace(before, after))
    with pytest.raises(DataError, match=says) as e:
        run(mini, tmp_path / "exp", ali)
    assert "\n" not in str(e.value)


def test_utterances_without_labels_are_named_and_must_be_few(mini, tmp_path, capfd):
    names = [u.id for u in FeatureStore(mini / "feats", "train").utterances]
    ali = align_by_loudness(mini, tmp_path / "one", leave_out=1)
    run(mini, tmp_path / "exp", ali, stop_after_epochs=1)
    assert f"1 of 24 utterances have no labels of frames ({names[0]}" in capfd.readouterr().err
    listed = (tmp_path / "exp" / "log" / "left_out_train.txt").read_text()
    assert listed == f"{names[0]} no labels of frames: {names[0]}\n"
    ali = align_by_loudness(mini, tmp_path / "three", leave_out=3)
    with pytest.raises(
        DataError,
        match=r"3 of 24 utterances .* more than max_misfit_fraction = 0\.1 allows; see why in .*left_out_train",
    ):
        run(mini, tmp_path / "other", ali)


def test_labels_and_loss_go_together(mini, shared, tmp_path):
    with pytest.raises(ConfigError, match=r"loss is ctc, which has no use for data\.ali"):
        run(mini, tmp_path / "exp", shared, loss="ctc")
    with pytest.raises(ConfigError, match=r"loss is frame_ce, which needs labels of frames .* data\.ali=FOLDER"):
        run(mini, tmp_path / "exp", "")
    with pytest.raises(AsrparError, match=r"nowhere/ali\.yaml .*asrpar align"):
        run(mini, tmp_path / "exp", "nowhere")


def test_a_model_to_begin_with_is_of_the_same_tree(mini, shared, ali, tmp_path):
    run(mini, tmp_path / "first", shared, stop_after_epochs=1)
    tree = Alignments.open(ali).tree
    Tree.monophone(Phones(tree.phones.names, tree.phones.silences), Topology(OneState())).write(ali / "tree.txt")
    labels = {split: np.load(ali / f"pdfs_{split}.npy") for split in ("train", "dev")}
    for split, found in labels.items():
        np.save(ali / f"pdfs_{split}.npy", np.minimum(found, 5))
        edit(ali, f"counts_{split}.txt", lambda _: f"[ {' '.join(['1'] * len(tree.phones))} ]\n")
    with pytest.raises(ConfigError, match=r"init_from: .*\(number of units: \d+ -> \d+\)"):
        run(mini, tmp_path / "second", ali, init_from=tmp_path / "first")


def test_phones_that_are_shorter_than_their_states_are_told_of(monkeypatch):
    tree = Tree.monophone(Phones.with_silence(["A"]), ThreeStates(ThreeState()))
    spoken, said = Segments(np.array([2, 1, 1]), np.array([9, 6, 3]), np.zeros(18, np.uint8)), []
    monkeypatch.setattr(labels.LOG, "warning", lambda text, *values: said.append(text % values))
    found = SimpleNamespace(tree=tree, subsampling=1, folder="ALI", segments=lambda split: {"u": spoken})
    labels.warn_of_short_phones(found, "train", 1)
    assert not said
    labels.warn_of_short_phones(found, "train", 3)
    assert said[0].startswith("67 % of the phones in ALI are shorter than their states with an output of the model")
    found.segments = lambda split: None  # of labels that others made
    labels.warn_of_short_phones(found, "train", 3)
    assert len(said) == 1
