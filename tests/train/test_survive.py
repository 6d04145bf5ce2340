"""A learner dies: who can goes on without it, who cannot says so, and nobody waits for ever."""

import itertools
import json

import pytest
from minidata import asrpar, stop_when, train_options

from asrpar.config import load_config
from asrpar.errors import TrainingError
from asrpar.feats import BatchLoader
from asrpar.feats.config import BatchConfig
from asrpar.parallel.comm import LearnerLost, LocalComm
from asrpar.train.config import TrainConfig
from asrpar.train.evaluate import DevSet
from asrpar.train.experiment import train

SETTINGS = {"epochs": 2, "models__tdnn__dilations": "[1]", "batch__size": 1000, "watchdog__timeout_seconds": 60}


def read(path):
    return path.read_text() if path.exists() else ""


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
    taken = sum(rank["frames"] for rank in result["time"]["ranks"])
    loader = BatchLoader(mini / "feats", "train", BatchConfig(size=1000), 0, 4)
    assert result["frames"] == 2 * loader.frames_per_epoch
    # Its batches of the epoch were taken over; the first rank had dealt it one share that it was done with.
    shares = settings.get("batch__deal") != "equal" and strategy != "hadpsgd" and dies
    assert result["frames"] - taken in ({0, *loader.share_frames(0)} if shares else {0})
    assert result["history"][-1]["train_loss"] < result["history"][0]["train_loss"]


@pytest.mark.mpi
def test_nothing_is_saved_within_an_epoch_in_which_a_learner_was_lost(mini, tmp_path):
    settings = {"checkpoint__every_steps": 2, "checkpoint__keep": 99, "batch__size": 150, "batch__per": "learner"}
    settings |= {"batch__deal": "equal"}
    done = launch(mini, tmp_path, "adpsgd", 1, "--survive", **settings | {"faults__die_step": "[4]"})
    assert done.returncode == 0, done.stderr
    saved = sorted((p.name[:10], len(list(p.glob("rank-*.pt")))) for p in (tmp_path / "checkpoints").iterdir())
    # At the second step, by all; at the end of that epoch, and from then on by those who were left.
    assert ("epoch-0000", 4) in saved and ("epoch-0000", 3) not in saved
    assert saved.count(("epoch-0001", 3)) > 1 and saved[-1] == ("epoch-0002", 3)


@pytest.mark.mpi
def test_a_stop_in_an_epoch_in_which_a_learner_was_lost_says_how_to_go_on(mini, tmp_path):
    # Those who are left take a second for each step.
    slow = {"faults__straggler_rank": "[0,2,3]", "faults__straggler_factor": "[50,50,50]", "batch__size": 300}
    settings = SETTINGS | {"faults__die_rank": "[1]", "faults__die_step": "[2]"} | slow
    options = train_options(mini, tmp_path, strategy="adpsgd", **settings)
    done = stop_when(
        lambda: "going on with 3 learner" in read(tmp_path / "log" / "train.0.log"),
        *("launch", "--learners", 4, "--survive", "--", "train", *options),
    )
    assert done.returncode != 0
    assert "start as many learners as before" in done.stderr
    assert not list(tmp_path.glob("checkpoints/*"))


@pytest.mark.mpi
def test_of_a_dead_learner_what_came_before_the_last_checkpoint_is_not_used_again(mini, tmp_path):
    settings = {"batch__deal": "equal", "batch__per": "learner", "batch__size": 150, "epochs": 1}
    settings |= {"checkpoint__every_steps": 3, "faults__die_step": "[5]"}
    done = launch(mini, tmp_path, "adpsgd", 1, "--survive", **settings)
    assert done.returncode == 0, done.stderr
    loader = BatchLoader(mini / "feats", "train", BatchConfig(size=150, per="learner"), 0, 4, 1)
    first = sum(batch.num_frames for batch in itertools.islice(loader.epoch(0), 3))
    result = json.loads((tmp_path / "train.json").read_text())
    assert sum(rank["frames"] for rank in result["time"]["ranks"]) == loader.frames_per_epoch - first > 0


@pytest.mark.mpi
def test_block_learners_go_on_without_one_that_stands_still(mini, tmp_path):
    settings = {"strategy": "bmuf", "strategies__bmuf__sync_steps": 2, "ema__enabled": "true", "batch__size": 300}
    settings |= {"watchdog__timeout_seconds": 5, "faults__hang_rank": "[0]", "faults__hang_step": "[6]"}
    command = train_options(mini, tmp_path, **SETTINGS | settings | {"faults__hang_whole": "true"})
    done = asrpar("launch", "--learners", 3, "--quorum", 2, "--", "train", *command, check=False)
    assert done.returncode == 0, done.stderr
    assert "rank 0 did not answer" in done.stderr and ": the others go on without" in done.stderr
    assert "rank 0 was lost on the way; the other 2 went on without" in done.stderr
    result = json.loads((tmp_path / "train.json").read_text())
    epoch = BatchLoader(mini / "feats", "train", BatchConfig(), 0).frames_per_epoch
    assert result["complete"] and result["frames"] == 2 * epoch
    # What the lost one had done before the last block's end has not been done again.
    assert epoch < sum(rank["frames"] for rank in result["time"]["ranks"]) < 2 * epoch
    assert result["history"][-1]["train_loss"] < result["history"][0]["train_loss"]


@pytest.mark.mpi
@pytest.mark.parametrize(
    # Sums that a thread sees through, too. (Without --survive: see test_watchdog.)
    "settings",
    [{}, {"strategies__ssgd__bucket_mb": 0.01}],
)
def test_synchronous_learners_stop(mini, tmp_path, settings):
    done = launch(mini, tmp_path, "ssgd", 1, "--survive", **settings)
    assert done.returncode != 0
    assert "this strategy cannot go on without it" in done.stderr.strip().splitlines()[-1]
    assert not (tmp_path / "final.pt").exists()


def test_a_loss_between_training_steps_ends_the_run_with_one_line(mini, tmp_path, monkeypatch):
    def lose(dev, weights, comm):
        raise LearnerLost("rank 1 does not answer")

    monkeypatch.setattr(DevSet, "evaluate", lose)
    options = [o.removeprefix("--set=") for o in train_options(mini, tmp_path)]
    with pytest.raises(TrainingError, match=r"in a dev set or a checkpoint.*run again to resume"):
        train(load_config(TrainConfig, None, options), LocalComm())
