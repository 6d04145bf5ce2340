"""Training on labels of frames from an alignment: what must fit, what the model keeps, what is resumed."""

import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from minidata import train_options

import asrpar.train.labels
from asrpar.config import load_config
from asrpar.errors import AsrparError, ConfigError, DataError
from asrpar.feats.store import FeatureStore
from asrpar.hmm.phones import Phones
from asrpar.hmm.topologies.three_state import Settings as ThreeStates
from asrpar.hmm.topologies.three_state import Topology
from asrpar.hmm.tree import Tree
from asrpar.lang.lang import Lang
from asrpar.parallel.comm import LocalComm
from asrpar.parallel.virtual.presets import load_cluster
from asrpar.simulate.training import simulate
from asrpar.train.config import TrainConfig
from asrpar.train.experiment import train
from asrpar.train.model_io import load_acoustic_model


class Alignment:
    """An ALI folder of the mini corpus, by the phone that the loudness of a frame would be if it told phones."""

    def __init__(self, mini):
        self.tree = Tree.monophone(Phones.of_lang(Lang.load(mini / "lang")), Topology(ThreeStates()))
        self.frame_shift, self.subsampling, self.splits = 0.01, 1, ["train", "dev"]
        self.sets = {}
        for split in self.splits:
            store, last = FeatureStore(mini / "feats", split), self.tree.num_pdfs - 1
            frames = [store.load(i).mean(1) for i in range(len(store.utterances))]
            found = [np.where(x > 0, 4, np.where(x > -1, last, 0)).astype(np.int32) for x in frames]
            self.sets[split] = dict(zip((u.id for u in store.utterances), found, strict=True))

    def labels(self, split):
        return self.sets[split]

    def counts(self):
        return np.bincount(np.concatenate(list(self.sets["train"].values())), minlength=self.tree.num_pdfs)


@pytest.fixture
def ali(mini, monkeypatch):
    """What ``data.ali`` stands for in this test."""
    found = Alignment(mini)
    monkeypatch.setattr(asrpar.train.labels, "open_alignments", lambda folder: found)
    return found


TINY = {"epochs": 2, "models__tdnn__channels": 8, "models__tdnn__dilations": "[1]", "models__tdnn__conv_maps": 4}


def settings(data, exp, **more):
    given = {"loss": "frame_ce", "data__ali": "ali", "data__feats": data / "feats", "data__lang": data / "lang"}
    options = train_options(data, exp, **TINY | given | more)
    return load_config(TrainConfig, None, [o.removeprefix("--set=") for o in options])


def run(data, exp, **more):
    assert train(settings(data, exp, **more), LocalComm()) == 0
    return json.loads((exp / "train.json").read_text())


def test_a_model_knows_its_classes_and_how_often_they_are(mini, ali, tmp_path):
    summary = run(mini, tmp_path / "exp")
    first, last = summary["history"]
    assert last["train_loss"] < first["train_loss"] < np.log(ali.tree.num_pdfs) and last["dev_error_rate"] < 60
    module, facts = load_acoustic_model(tmp_path / "exp" / "final.pt")
    assert facts["loss"] == "frame_ce" and facts["blank"] is None and module.output.out_features == ali.tree.num_pdfs
    identity, counts = facts["identity"], ali.counts()
    assert identity.class_names == list(ali.tree.names) and identity.tree == ali.tree.digest
    expected = np.log((counts + 1) / (counts.sum() + len(counts)))
    torch.testing.assert_close(facts["log_priors"], torch.from_numpy(expected).float())
    assert identity.alignment["subsampling"] == 1 and identity.digest() == summary["data_digest"]


def test_a_training_goes_on_with_its_own_labels_only(mini, ali, tmp_path):
    whole = run(mini, tmp_path / "whole")
    half = tmp_path / "half"
    run(mini, half, stop_after_epochs=1)
    changed = shutil.copytree(half, tmp_path / "changed")
    assert run(mini, half)["checksum"] == whole["checksum"]
    (half / "config.yaml").write_text((half / "config.yaml").read_text().replace("half", "changed"))
    utterance = next(iter(ali.sets["train"]))
    ali.sets["train"][utterance] = ali.sets["train"][utterance][::-1].copy()
    for exp in (changed, tmp_path / "whole"):
        with pytest.raises(AsrparError, match=r"on other data .*labels: other train"):
            run(mini, exp)


def test_a_simulated_training_has_the_labels_too(mini, ali, tmp_path):
    exp = tmp_path / "exp"
    simulate(settings(mini, exp, strategy="ssgd", epochs=1), load_cluster("laptop"), 2)
    assert json.loads((exp / "train.json").read_text())["dev_loss"] > 0
    assert load_acoustic_model(exp / "final.pt")[1]["identity"].tree == ali.tree.digest


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"frame_shift": 0.0125}, r"labels of features every 0\.0125 s, but those in .* every 0\.01 s"),
        ({"subsampling": 4}, "a label for every 4 frames, but the model gives an output for every 3"),
        ({"splits": ["train"]}, r"no alignment of the set 'dev' \(but of train\)"),
    ],
)
def test_labels_of_other_frames_are_refused(mini, ali, tmp_path, change, says):
    vars(ali).update(change)
    with pytest.raises(DataError, match=says) as e:
        run(mini, tmp_path / "exp")
    assert "\n" not in str(e.value)


def test_utterances_without_labels_are_named_and_must_be_few(mini, ali, tmp_path, capfd):
    names = list(ali.sets["train"])
    del ali.sets["train"][names[3]]
    run(mini, tmp_path / "exp", stop_after_epochs=1)
    assert f"1 of 24 utterances have no labels of frames ({names[3]}" in capfd.readouterr().err
    for name in names[4:8]:
        del ali.sets["train"][name]
    with pytest.raises(DataError, match=r"5 of 24 utterances .* more than max_misfit_fraction = 0\.1 allows; align"):
        run(mini, tmp_path / "other")


def test_labels_and_loss_go_together(mini, ali, tmp_path):
    with pytest.raises(ConfigError, match=r"loss is ctc, which has no use for data\.ali"):
        run(mini, tmp_path / "exp", loss="ctc")
    with pytest.raises(ConfigError, match=r"loss is frame_ce, which needs labels of frames .* data\.ali=FOLDER"):
        run(mini, tmp_path / "exp", data__ali="")
    ali.sets["dev"][next(iter(ali.sets["dev"]))][0] = ali.tree.num_pdfs
    with pytest.raises(DataError, match=f"has label {ali.tree.num_pdfs}, but there are {ali.tree.num_pdfs} classes"):
        run(mini, tmp_path / "exp")


def test_trees_of_models_to_begin_with(mini, ali, tmp_path):
    run(mini, tmp_path / "first", stop_after_epochs=1)
    ali.tree = SimpleNamespace(**{k: getattr(ali.tree, k) for k in ("num_pdfs", "phones", "phones_of", "names")})
    ali.tree.digest = "another"
    with pytest.raises(ConfigError, match=r"init_from: .*\(the tree's questions or states\)"):
        run(mini, tmp_path / "second", init_from=tmp_path / "first")
