"""Learners that died come back, and take place, weights and course from the others."""

import json
import re

import pytest
from minidata import asrpar, stop_when, train_options

SETTINGS = {"epochs": 100000, "models__tdnn__dilations": "[1]", "batch__size": 1000, "strategy": "adpsgd"}


def read(path):
    return path.read_text() if path.exists() else ""


@pytest.mark.mpi
def test_lost_learners_come_back_and_the_run_goes_on_as_if_all_had_stayed(mini, tmp_path):
    # The first one, which starts others and deals, and another at about the same time.
    settings = SETTINGS | {"faults__die_rank": "[0,2]", "faults__die_step": "[4,5]", "dev_every_steps": 3}
    options = train_options(mini, tmp_path, **settings)

    # An epoch has ended since, so that the next one can be saved from.
    back = re.compile(r"is back after.*is back after.*epoch \d+: train loss.*epoch \d+: train loss", re.DOTALL)

    def all_are_back():
        came = back.search(read(tmp_path / "log" / "train.1.log"))
        return came and "among the others" in read(tmp_path / "log" / "train.2.log")

    done = stop_when(all_are_back, "launch", "--learners", 4, "--rejoin", "--", "train", *options)
    assert "after saving a checkpoint; run the same command again to go on" in done.stderr
    result = json.loads((tmp_path / "train.json").read_text())
    assert result["learners"] == 4 and [rank["rank"] for rank in result["time"]["ranks"]][:2] == [1, 3]
    (newest,) = sorted((tmp_path / "checkpoints").iterdir())[-1:]
    assert len(list(newest.glob("rank-*.pt"))) == 4
    losses = re.findall(r"epoch (\d+): train loss ([\d.]+)", read(tmp_path / "log" / "train.1.log"))
    assert [int(epoch) for epoch, _ in losses] == list(range(1, len(losses) + 1))
    assert float(losses[-1][1]) < float(losses[0][1])


@pytest.mark.mpi
def test_one_comes_back_to_block_learners(mini, tmp_path):
    settings = SETTINGS | {"strategy": "bmuf", "strategies__bmuf__sync_steps": 2, "ema__enabled": "true"}
    settings |= {"faults__die_rank": "[1]", "faults__die_step": "[3]", "batch__size": 300}
    options = train_options(mini, tmp_path, **settings)
    log = tmp_path / "log" / "train.0.log"
    # An epoch has ended since.
    back = re.compile(r"learner 1 back; going on with 2 .*epoch \d+: train loss .*epoch \d+: train loss", re.DOTALL)
    command = ("launch", "--learners", 2, "--rejoin", "--", "train", *options)
    done = stop_when(lambda: back.search(read(log)), *command)
    assert done.returncode == 143 and "after saving a checkpoint" in done.stderr
    losses = re.findall(r"epoch \d+: train loss ([\d.]+)", read(log))
    assert float(losses[-1]) < float(losses[0])


def test_where_learners_cannot_come_back_it_is_said_in_one_line(mini, tmp_path):
    options = train_options(mini, tmp_path, strategy="ssgd")
    done = asrpar("launch", "--learners", 2, "--rejoin", "--", "train", *options, check=False)
    assert done.returncode != 0 and "Traceback" not in done.stderr
    assert "--rejoin" in done.stderr.strip().splitlines()[-1] and not (tmp_path / "config.yaml").exists()
