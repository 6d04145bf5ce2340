"""A learner dies: who can goes on without it, who cannot says so, and nobody waits for ever."""

import json

import pytest
from minidata import asrpar, train_options

from asrpar.config import load_config
from asrpar.errors import TrainingError
from asrpar.feats import BatchLoader
from asrpar.feats.config import BatchConfig
from asrpar.parallel.comm import LearnerLost, LocalComm
from asrpar.train.config import TrainConfig
from asrpar.train.experiment import train
from asrpar.train.trainer import Trainer

SETTINGS = {"epochs": 2, "model__dilations": "[1]", "batch__size": 1000, "watchdog__timeout_seconds": 60}


def launch(mini, exp, strategy, dies, *options, **settings):
    settings = SETTINGS | {"faults__die_rank": f"[{dies}]", "faults__die_step": "[2]"} | settings
    command = ["train", *train_options(mini, exp, strategy=strategy, **settings)]
    return asrpar("launch", "--learners", 4, *options, "--", *command, check=False)


@pytest.mark.mpi
@pytest.mark.parametrize(
    ("strategy", "dies", "settings"),
    [
        ("adpsgd", 1, {}),
        ("adpsgd", 0, {}),
        ("asgd", 2, {}),
        ("asgd", 1, {"strategies__asgd__server": "dedicated", "batch__deal": "equal"}),
        ("hadpsgd", 3, {"strategies__hadpsgd__super_learner_size": 2}),
    ],
)
def test_the_others_take_over_the_data_of_a_dead_learner(mini, tmp_path, strategy, dies, settings):
    done = launch(mini, tmp_path, strategy, dies, "--survive", **settings)
    assert done.returncode == 0, done.stderr
    assert f"rank {dies} was lost on the way; the other 3 went on without" in done.stderr
    result = json.loads((tmp_path / "train.json").read_text())
    assert result["complete"] and result["learners"] == 3
    # Nobody knew how far it had come, so all its batches of the epoch were taken over.
    taken = sum(rank["frames"] for rank in result["time"]["ranks"])
    epoch = BatchLoader(mini / "feats", "train", BatchConfig(), 0).frames_per_epoch
    assert taken == result["frames"] == 2 * epoch
    assert result["history"][-1]["train_loss"] < result["history"][0]["train_loss"]


@pytest.mark.mpi
@pytest.mark.parametrize(
    ("options", "settings", "message"),
    [
        (["--survive"], {}, "this strategy cannot go on without it"),
        # Sums that a thread sees through.
        (["--survive"], {"strategies__ssgd__bucket_mb": 0.01}, "this strategy cannot go on without it"),
        ([], {}, "rank 1 of 4 failed: killed by signal 9"),
    ],
)
def test_synchronous_learners_stop(mini, tmp_path, options, settings, message):
    done = launch(mini, tmp_path, "ssgd", 1, *options, **settings)
    assert done.returncode != 0
    assert message in done.stderr.strip().splitlines()[-1]
    assert not (tmp_path / "final.pt").exists()


def test_a_loss_between_training_steps_ends_the_run_with_one_line(mini, tmp_path, monkeypatch):
    def lose(trainer):
        raise LearnerLost("rank 1 does not answer")

    monkeypatch.setattr(Trainer, "evaluate", lose)
    options = [o.removeprefix("--set=") for o in train_options(mini, tmp_path)]
    with pytest.raises(TrainingError, match=r"in a dev set or a checkpoint.*run again to resume"):
        train(load_config(TrainConfig, None, options), LocalComm())
