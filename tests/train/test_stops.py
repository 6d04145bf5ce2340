"""Learners at their own pace that are stopped again and again, and go on: in virtual time, with real checkpoints."""

from pathlib import Path

import pytest
from minidata import train_options

from asrpar.config import load_config
from asrpar.files.json_files import read_json
from asrpar.parallel.virtual.cluster import Cluster, Compute
from asrpar.simulate.parts import VirtualParts
from asrpar.simulate.training import run_all
from asrpar.train.checkpoint import Checkpoints
from asrpar.train.config import TrainConfig
from asrpar.train.experiment import prepare
from asrpar.train.signals import StopRequest


class Stop(StopRequest):
    """The first learner sees a signal when it looks for one the ``at``-th time."""

    def __init__(self, comm, at):
        super().__init__(comm, 0.0, signals=())
        self.looks = at

    def seen(self):
        self.looks -= 1
        if self.comm.rank == 0 and self.looks <= 0:
            self.number = 15
        return self.number


class Stopped(VirtualParts):
    """Parts of a simulation that is stopped, and leaves checkpoints."""

    at = 0

    def checkpoints(self, comm):
        return Checkpoints(Path(self.config.exp) / "checkpoints", comm, keep=1)

    def stop(self, comm):
        return Stop(comm, self.at)


@pytest.mark.parametrize(
    ("strategy", "learners", "settings"),
    [("adpsgd", 3, {"batch.deal": "equal"}), ("hadpsgd", 4, {"strategies.hadpsgd.super_learner_size": 2})],
)
def test_what_some_have_passed_and_others_have_not_is_due_no_more(
    monkeypatch, mini, tmp_path, strategy, learners, settings
):
    options = train_options(
        mini, tmp_path, strategy=strategy, epochs=2, dev_every_steps=3, batch__size=800, autocast="none", **settings
    )
    config = load_config(TrainConfig, None, [option.removeprefix("--set=") for option in options])
    cluster = Cluster("x", devices_per_node=learners, compute=Compute(frames_per_second=2e4))
    monkeypatch.setattr("asrpar.simulate.training.VirtualParts", Stopped)
    for run in range(30):
        monkeypatch.setattr(Stopped, "at", 1 + run % 3)
        run_all(tmp_path, config, cluster, prepare(config), learners)
        summary = read_json(tmp_path / "train.json")
        if summary["complete"]:
            break
    assert run > 1 and summary["complete"]
    assert [epoch["frames"] for epoch in summary["history"]] == [summary["frames"] // 2, summary["frames"]]
