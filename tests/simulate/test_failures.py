"""Learners that die on a virtual cluster: the others go on, the same each time."""

import json
from collections import Counter

import pytest
from lhotse import CutSet
from minidata import train_options

from asrpar.config import load_config
from asrpar.errors import TrainingError
from asrpar.feats import BatchLoader
from asrpar.feats.config import BatchConfig
from asrpar.parallel.virtual.cluster import Cluster, Compute, Jitter
from asrpar.parallel.virtual.failures import Failure, Failures
from asrpar.simulate.learner import VirtualLearner
from asrpar.simulate.training import simulate
from asrpar.train.config import TrainConfig


def cluster(**failures):
    compute = Compute(frames_per_second=2e4, jitter=Jitter("lognormal", 0.2))
    return Cluster("frail", nodes=2, devices_per_node=4, compute=compute, failures=Failures(**failures))


def run(mini, exp, description, learners=4, **settings):
    settings = {"epochs": 2, "models__tdnn__dilations": "[1]", "batch__size": 300, "batch__per": "learner"} | settings
    options = [o.removeprefix("--set=") for o in train_options(mini, exp, **settings)]
    simulate(load_config(TrainConfig, None, options), description, learners)
    return json.loads((exp / "train.json").read_text())


@pytest.mark.parametrize(
    ("strategy", "settings"),
    [
        ("adpsgd", {}),
        ("adpsgd", {"batch__deal": "equal"}),
        ("asgd", {}),
        ("hadpsgd", {"strategies__hadpsgd__super_learner_size": 2}),
    ],
)
def test_the_others_go_on_and_twice_the_same(mini, tmp_path, monkeypatch, strategy, settings):
    used, gradient = Counter(), VirtualLearner.gradient

    def counted(learner, batch):
        frames = gradient(learner, batch)
        used.update(batch.ids if batch else ())
        return frames

    monkeypatch.setattr(VirtualLearner, "gradient", counted)
    deaths = cluster(at=[Failure(0, 0.06), Failure(2, 0.08)])
    found = [run(mini, tmp_path / str(n), deaths, strategy=strategy, **settings) for n in range(2)]
    keys = ("checksum", "trace_checksum", "virtual_seconds", "frames", "steps", "failures")
    assert all(found[0][key] == found[1][key] for key in keys)
    result = found[0]
    assert result["complete"] and result["learners"] == 2
    assert result["failures"]["losses"] == 2 and 0.5 < result["failures"]["present_share"] < 1
    epoch = BatchLoader(mini / "feats", "train", BatchConfig(), 0).frames_per_epoch
    assert result["frames"] == 2 * epoch
    # In both epochs of both runs; what was computed and then lost, or may have been, is computed again.
    assert set(used) == {cut.id for cut in CutSet.from_file(mini / "feats" / "cuts_train.jsonl.gz")}
    assert min(used.values()) == 4
    assert result["history"][-1]["train_loss"] < result["history"][0]["train_loss"]


def test_who_cannot_go_on_says_so(mini, tmp_path):
    with pytest.raises(TrainingError, match="this strategy cannot go on without it"):
        run(mini, tmp_path, cluster(at=[Failure(1, 0.05)]), strategy="ssgd")
    assert not (tmp_path / "final.pt").exists()
    with pytest.raises(TrainingError, match=r"all learners are lost at virtual second 0\.07"):
        run(mini, tmp_path / "all", cluster(at=[Failure(r, 0.04 + 0.01 * r) for r in range(4)]), strategy="adpsgd")
