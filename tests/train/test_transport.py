"""Trainings on torch.distributed; Gloo stands for NCCL where there is no GPU (see test_gpu.py)."""

import json

import pytest
from minidata import asrpar, ranks, train_options

from asrpar.config import load_config
from asrpar.errors import ConfigError
from asrpar.parallel.comm import LocalComm
from asrpar.train.config import TrainConfig
from asrpar.train.experiment import train

SETTINGS = {"epochs": 2, "models__tdnn__dilations": "[1]", "batch__size": 1000}


def launch(mini, exp, strategy, learners, *options, **settings):
    command = ["train", *train_options(mini, exp, strategy=strategy, **SETTINGS | settings)]
    return asrpar("launch", "--learners", learners, *options, "--", *command, check=False)


def run(mini, exp, strategy, learners, **settings):
    options = train_options(mini, exp, strategy=strategy, **SETTINGS | settings)
    return ranks(learners, "train", *options, check=False)


def result(mini, exp, strategy, learners, **settings):
    done = run(mini, exp, strategy, learners, **settings)
    assert done.returncode == 0, done.stderr
    return json.loads((exp / "train.json").read_text())


@pytest.mark.mpi
@pytest.mark.parametrize(
    ("strategy", "settings"),
    [
        ("ssgd", {"strategies__ssgd__bucket_mb": 0.01}),
        ("ssgd", {"compression": "bf16"}),
        ("hadpsgd", {"strategies__hadpsgd__super_learner_size": 2}),
    ],
)
def test_two_learners_end_as_with_mpi(mini, tmp_path, strategy, settings):
    mpi = result(mini, tmp_path / "mpi", strategy, 2, **settings)
    gloo = result(mini, tmp_path / "gloo", strategy, 2, transport="gloo", **settings)
    # The sum of two numbers knows no order.
    assert gloo["checksum"] == mpi["checksum"]

    def sent(run):
        return [rank["bytes_sent"] for rank in run["time"]["ranks"]]

    assert sent(gloo) == sent(mpi)


@pytest.mark.mpi
def test_a_training_may_change_its_transport(mini, tmp_path):
    whole = result(mini, tmp_path / "whole", "bmuf", 2, transport="gloo")
    result(mini, tmp_path / "parts", "bmuf", 2, transport="gloo", stop_after_epochs=1)
    parts = result(mini, tmp_path / "parts", "bmuf", 2)
    assert parts["checksum"] == whole["checksum"]
    assert parts["config_digest"] == whole["config_digest"]


@pytest.mark.mpi
def test_learners_at_their_own_pace(mini, tmp_path):
    run = result(mini, tmp_path, "adpsgd", 3, transport="gloo")
    assert run["complete"] and run["history"][-1]["train_loss"] < run["history"][0]["train_loss"]


@pytest.mark.mpi
def test_a_dead_learner_is_named(mini, tmp_path):
    faults = {"faults__die_rank": "[1]", "faults__die_step": "[2]"}
    done = launch(mini, tmp_path, "ssgd", 3, transport="gloo", **faults)
    assert done.returncode != 0
    assert "rank 1 of 3 failed: killed by signal 9" in done.stderr.strip().splitlines()[-1]


@pytest.mark.mpi
def test_a_transport_that_does_not_serve_is_refused(mini, tmp_path):
    done = run(mini, tmp_path, "ssgd", 2, transport="nccl", device="cpu")
    assert done.returncode != 0
    assert "asrpar: error: transport is nccl, but learners compute on cpu" in done.stderr
    done = launch(mini, tmp_path, "ssgd", 2, "--survive", transport="gloo")
    assert done.returncode != 0
    assert "--survive needs transport=mpi" in done.stderr.strip().splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "config.yaml").exists()


def test_a_transport_that_nobody_knows_is_refused(mini, tmp_path):
    options = [o.removeprefix("--set=") for o in train_options(mini, tmp_path, transport="udp")]
    with pytest.raises(ConfigError, match="transport 'udp' is unknown; known: mpi, nccl, windows, gloo"):
        train(load_config(TrainConfig, None, options), LocalComm())


def test_a_learner_that_is_alone_needs_none(mini, tmp_path):
    asrpar("train", *train_options(mini, tmp_path, strategy="single", transport="gloo", **SETTINGS))
    assert json.loads((tmp_path / "train.json").read_text())["complete"]
