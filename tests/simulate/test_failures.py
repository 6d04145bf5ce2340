"""Learners that die on a virtual cluster: the others go on, the same each time."""

import json
from collections import Counter

import pytest
import torch
from lhotse import CutSet
from minidata import train_options

from asrpar.config import load_config
from asrpar.errors import TrainingError
from asrpar.feats import BatchLoader
from asrpar.feats.config import BatchConfig
from asrpar.parallel.strategies.adpsgd import Algorithm
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


@pytest.mark.parametrize("part", [0.6, 0.9])
def test_a_loss_in_a_later_epoch_leaves_no_utterance_out(mini, tmp_path, monkeypatch, part):
    used, gradient = Counter(), VirtualLearner.gradient

    def counted(learner, batch):
        frames = gradient(learner, batch)
        used.update(batch.ids if batch else ())
        return frames

    settings = {"strategy": "adpsgd", "epochs": 4}
    whole = run(mini, tmp_path / "whole", cluster(), **settings)["virtual_seconds"]
    monkeypatch.setattr(VirtualLearner, "gradient", counted)
    result = run(mini, tmp_path / "lost", cluster(at=[Failure(2, part * whole)]), **settings)
    assert result["complete"] and result["failures"]["losses"] == 1
    assert len(used) == 24 and min(used.values()) >= 4


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


@pytest.mark.parametrize("strategy", ["adpsgd", "asgd"])
def test_they_come_back(mini, tmp_path, strategy):
    frail = cluster(at=[Failure(0, 0.06), Failure(2, 0.08), Failure(0, 0.16)], restart_seconds=0.04)
    found = [run(mini, tmp_path / str(n), frail, strategy=strategy, epochs=4) for n in range(2)]
    keys = ("checksum", "trace_checksum", "virtual_seconds", "frames", "steps", "failures")
    assert all(found[0][key] == found[1][key] for key in keys)
    assert found[0]["complete"] and found[0]["learners"] == 4
    assert found[0]["failures"]["losses"] == found[0]["failures"]["returns"] == 3
    epoch = BatchLoader(mini / "feats", "train", BatchConfig(), 0).frames_per_epoch
    assert found[0]["frames"] == 4 * epoch
    # What came before a loss counts, too; dev sets take no time here.
    assert 0.9 < found[0]["train_seconds"] / found[0]["virtual_seconds"] <= 1


def test_the_sum_of_weights_is_that_of_all_updates_and_the_mean_stays_when_somebody_joins(mini, tmp_path, monkeypatch):
    # Of the last moment at which all were synchronised: their number, Σ x_i, and the updates since.
    state, checks = {}, Counter()
    apply, finish, survive = VirtualLearner.apply, Algorithm.finish, Algorithm.survive

    def watched_apply(learner, frames):
        before = learner.weights.double()
        applied = apply(learner, frames)
        if state:
            state["moved"] += learner.weights.double() - before
        return applied

    def total(strategy):
        return sum(x.double() for x in strategy.comm.allgather_object(strategy.learner.weights.clone()))

    def remember(strategy, found):
        state.update(size=strategy.comm.size, sum=found, moved=torch.zeros_like(found))

    def watched_finish(strategy):
        finish(strategy)
        found = total(strategy)
        if strategy.comm.rank == 0:
            if state:
                torch.testing.assert_close(found, state["sum"] + state["moved"], rtol=0, atol=1e-4)
                checks["sum"] += 1
            remember(strategy, found)

    def watched_survive(strategy, comm):
        other = survive(strategy, comm)
        found = total(other)
        if comm.rank == 0:
            if comm.size > state.get("size", comm.size):
                torch.testing.assert_close(found / comm.size, state["sum"] / state["size"], rtol=0, atol=1e-5)
                checks["mean"] += 1
            remember(other, found)
        return other

    monkeypatch.setattr(VirtualLearner, "apply", watched_apply)
    monkeypatch.setattr(Algorithm, "finish", watched_finish)
    monkeypatch.setattr(Algorithm, "survive", watched_survive)
    frail = cluster(mean_seconds=0.3, restart_seconds=0.01)
    found = run(mini, tmp_path, frail, learners=6, strategy="adpsgd", epochs=4)
    assert found["failures"]["losses"] > 3 and checks["mean"] > 1 and checks["sum"] > 5
