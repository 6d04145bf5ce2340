"""Training as a user runs it: `asrpar train`, alone and on several learners."""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest
import torch
from minidata import asrpar, ranks, stop_after, train_options

from asrpar.config import load_config
from asrpar.cpu import cpu
from asrpar.train.config import TrainConfig
from asrpar.train.model_io import load_acoustic_model

DETERMINISTIC = {
    "models__tdnn__dropout": 0.0,
    "batch__augment__random_start": "false",
    "batch__augment__probability": 0.0,
    "ema__enabled": "false",
}


def train(data, exp, *options, learners=1, check=True, **settings):
    command = ["train", *train_options(data, exp, **settings), *options]
    return ranks(learners, *command, check=check) if learners > 1 else asrpar(*command, check=check)


def summary(exp):
    return json.loads((exp / "train.json").read_text())


def weights(exp):
    return torch.cat([p.reshape(-1) for p in load_acoustic_model(exp / "final.pt")[0].state_dict().values()])


@pytest.fixture(scope="module")
def alone(mini, tmp_path_factory):
    exp = tmp_path_factory.mktemp("alone")
    train(mini, exp, **DETERMINISTIC)
    return exp


def test_one_learner_learns_and_leaves_its_files(mini, alone):
    result = summary(alone)
    assert result["complete"] and result["strategy"] == "single" and result["learners"] == 1
    losses = [e["train_loss"] for e in result["history"]]
    assert losses[-1] < losses[0]
    assert result["autocast"] == load_config(TrainConfig, alone / "config.yaml").autocast == "none"  # of auto
    assert result["versions"]["CPU"] == cpu()
    assert "autocast: auto is none: " in (alone / "log" / "train.0.log").read_text()
    for name in ("config.yaml", "final.pt", "log/train.0.log", "checkpoints", "tensorboard"):
        assert (alone / name).exists()
    module, notes = load_acoustic_model(alone / "final.pt")
    assert notes["notes"]["frames"] == result["frames"]
    assert not module.training


def test_the_written_configuration_repeats_the_run(alone, tmp_path):
    asrpar("train", "--config", alone / "config.yaml", "--set", f"exp={tmp_path}")
    assert summary(tmp_path)["checksum"] == summary(alone)["checksum"]


@pytest.mark.mpi
def test_ssgd_on_two_learners_takes_the_steps_of_one(mini, alone, tmp_path):
    train(mini, tmp_path, learners=2, strategy="ssgd", **DETERMINISTIC)
    result = summary(tmp_path)
    assert (result["learners"], result["steps"]) == (2, summary(alone)["steps"])
    # The same sums in another order, in float32.
    assert torch.allclose(weights(tmp_path), weights(alone), atol=2e-3)
    assert result["dev_loss"] == pytest.approx(summary(alone)["dev_loss"], rel=1e-3)


def test_a_training_can_begin_with_the_weights_of_another(mini, alone, tmp_path):
    settings = DETERMINISTIC | {"epochs": 1, "optimizers__adamw__lr": 1e-9}
    train(mini, tmp_path / "warm", init_from=alone, **settings)
    assert torch.allclose(weights(tmp_path / "warm"), weights(alone), atol=1e-6)
    refused = train(mini, tmp_path / "other", init_from=alone, models__tdnn__channels=24, check=False, **settings)
    assert refused.returncode != 0
    assert "a model of other layers or units" in refused.stderr.strip().splitlines()[-1]
    missing = train(mini, tmp_path / "none", init_from=tmp_path / "nowhere", check=False, **settings)
    assert "nowhere" in missing.stderr.strip().splitlines()[-1] and "Traceback" not in missing.stderr
    assert not (tmp_path / "other" / "config.yaml").exists()


@pytest.mark.mpi
def test_all_learners_begin_with_those_weights(mini, alone, tmp_path):
    settings = DETERMINISTIC | {"epochs": 1, "optimizers__adamw__lr": 1e-9, "strategy": "asgd"}
    train(mini, tmp_path, learners=2, init_from=alone / "final.pt", **settings)
    assert torch.allclose(weights(tmp_path), weights(alone), atol=1e-6)


def test_average_of_the_model_does_not_interfere(mini, tmp_path):
    found = []
    for name in ("true", "false"):
        done = train(mini, tmp_path / name, ema__enabled=name, ema__decay_epochs=30)
        assert ("ema.decay_epochs is 30, but the training has" in done.stderr) == (name == "true")
        newest = sorted((tmp_path / name / "checkpoints").iterdir())[-1]
        found.append(torch.load(newest / "rank-0.pt", weights_only=True)["learner"]["weights"])
    assert torch.equal(*found)
    assert summary(tmp_path / "true")["checksum"] != summary(tmp_path / "false")["checksum"]


def kill_all_ranks(process, when):
    """SIGKILL to the launcher's whole family once ``when()`` holds; False if the run ended before."""
    while not when():
        if process.poll() is not None:
            return False
        time.sleep(0.005)
    for pid in [*descendants(process.pid), process.pid]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait()
    return True


def descendants(pid):
    children = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat") as f:
                    parent = int(f.read().rsplit(")", 1)[1].split()[1])
            except (OSError, IndexError):
                continue
            children.setdefault(parent, []).append(int(entry))
    found, queue = [], [pid]
    while queue:
        for child in children.get(queue.pop(), []):
            found.append(child)
            queue.append(child)
    return found


@pytest.mark.mpi
@pytest.mark.slow
@pytest.mark.parametrize(
    ("strategy", "settings"),
    [("ssgd", {}), ("bmuf", {"strategies__bmuf__sync_steps": 4, "strategies__bmuf__keep_local_momentum": "true"})],
)
def test_killed_runs_go_on_to_the_same_weights(mini, tmp_path, strategy, settings):
    settings = {"epochs": 6, "checkpoint__every_steps": 3, "strategy": strategy, **settings}
    train(mini, tmp_path / "whole", learners=2, **settings)
    exp = tmp_path / "killed"
    command = ["launch", "--learners", 2, "--", "train", *train_options(mini, exp, **settings)]
    rng = random.Random(5)
    kills = 0
    for target in (1, 3):
        process = subprocess.Popen([sys.executable, "-m", "asrpar", *map(str, command)], stderr=subprocess.DEVNULL)
        delay = rng.random() * 0.05

        def reached(target=target, delay=delay):
            done = [p for p in (exp / "checkpoints").glob("epoch-*") if p.suffix != ".tmp"]
            if done and int(sorted(done)[-1].name[-8:]) >= 3 * target:
                time.sleep(delay)
                return True
            return False

        kills += kill_all_ranks(process, reached)
    assert kills, "the run ended before it could be killed"
    train(mini, exp, learners=2, **settings)
    assert "resuming from" in (exp / "log" / "train.0.log").read_text()
    assert summary(exp)["checksum"] == summary(tmp_path / "whole")["checksum"]


@pytest.mark.mpi
def test_a_stop_signal_saves_and_the_run_goes_on(mini, tmp_path):
    settings = {"epochs": 30, "strategy": "bmuf", "strategies__bmuf__sync_steps": 7}
    exp = tmp_path / "exp"
    options = train_options(mini, exp, **settings)
    done = stop_after(exp, "epoch-*", "launch", "--learners", 2, "--", "train", *options)
    assert done.returncode == 143
    outcome = "after saving a checkpoint; run the same command again to go on\n"
    assert f"asrpar: stopped by SIGTERM {outcome}" in done.stderr
    assert "failed" not in done.stderr
    assert not summary(exp)["complete"]
    assert not (exp / "final.pt").exists()
    limited = train_options(mini, exp, time_limit_minutes=1e-4, **settings)
    done = asrpar("launch", "--learners", 2, "--", "train", *limited, check=False)
    assert done.returncode == 138
    assert done.stderr.endswith(f"asrpar: stopped by its time limit of 0.0001 minutes {outcome}")
    assert "failed" not in done.stderr
    train(mini, exp, learners=2, **settings)
    train(mini, tmp_path / "whole", learners=2, dev_every_steps=9, **settings)
    # Nor does looking at the dev set in between change anything.
    assert summary(exp)["checksum"] == summary(tmp_path / "whole")["checksum"]


@pytest.mark.mpi
def test_number_of_learners_can_change_at_an_epochs_end_only_when_asked(mini, tmp_path):
    train(mini, tmp_path, learners=2, strategy="ssgd", stop_after_epochs=1)
    refused = train(mini, tmp_path, learners=3, strategy="ssgd", check=False)
    assert refused.returncode != 0
    assert "saved by 2 learners, now there are 3" in refused.stderr
    (missing,) = (tmp_path / "checkpoints").glob("*/rank-0.pt")
    missing.rename(tmp_path / "rank-0.pt")
    refused = train(mini, tmp_path, learners=2, strategy="ssgd", check=False)
    assert refused.returncode != 0 and "1 of 2 files are there" in refused.stderr
    (tmp_path / "rank-0.pt").rename(missing)
    train(mini, tmp_path, "--allow-learner-change", learners=3, strategy="ssgd")
    assert summary(tmp_path)["learners"] == 3
    assert summary(tmp_path)["epochs"] == 3


@pytest.mark.mpi
@pytest.mark.parametrize("strategy", ["sgp"])
def test_another_number_of_learners_begins_with_the_consensus(mini, tmp_path, strategy):
    train(mini, tmp_path, learners=3, strategy=strategy, stop_after_epochs=1)
    saved = max((tmp_path / "checkpoints").iterdir())
    ranks = [torch.load(saved / f"rank-{r}.pt", weights_only=True) for r in range(3)]
    mean = sum(rank["learner"]["weights"] for rank in ranks) / 3
    assert not torch.allclose(ranks[0]["learner"]["weights"], mean)
    first = ranks[0]["consensus"]
    assert torch.allclose(first["weights"], mean, atol=1e-6)
    assert torch.allclose(first["ema"], sum(rank["ema"]["mean"] for rank in ranks) / 3, atol=1e-6)
    assert [rank["consensus"] for rank in ranks[1:]] == [None, None]
    before = torch.load(tmp_path / "final.pt", weights_only=True)
    (tmp_path / "final.pt").unlink()
    train(mini, tmp_path, "--allow-learner-change", learners=2, strategy=strategy, stop_after_epochs=1)
    after = torch.load(tmp_path / "final.pt", weights_only=True)
    assert before["weights"].keys() == after["weights"].keys()
    for name, x in before["weights"].items():
        assert torch.allclose(x, after["weights"][name], atol=1e-6), name


def test_a_finished_training_is_left_alone(mini, alone):
    before = (alone / "final.pt").stat().st_mtime_ns
    done = train(mini, alone, **DETERMINISTIC)
    assert "trained already" in done.stderr
    assert (alone / "final.pt").stat().st_mtime_ns == before


def test_other_settings_in_the_same_folder_are_refused(mini, alone):
    done = train(mini, alone, check=False, **DETERMINISTIC | {"optimizers__adamw__lr": 0.5})
    assert done.returncode == 1
    assert "optimizers.adamw.lr: 0.01 -> 0.5" in done.stderr
    assert "Traceback" not in done.stderr


def test_divergence_is_counted_and_stops_the_run(mini, tmp_path):
    done = train(mini, tmp_path, check=False, optimizer="sgd", optimizers__sgd__lr="1e30", max_nonfinite=3)
    assert done.returncode == 1
    assert "3 gradients were not finite" in done.stderr
    assert not (tmp_path / "final.pt").exists()


def test_several_learners_need_a_strategy(mini, tmp_path):
    done = train(mini, tmp_path, learners=2, check=False)
    assert done.returncode != 0
    assert "strategy 'single' trains one learner but was started with 2" in done.stderr


@pytest.mark.parametrize(("kind", "extra"), [("tdnnf", "bottleneck"), ("cldnn", "cells"), ("blstm", "cells")])
def test_other_models_train(mini, tmp_path, kind, extra):
    train(mini, tmp_path, model=kind, epochs=1, **{f"models__{kind}__{extra}": 8})
    assert summary(tmp_path)["model"] == kind


def test_bfloat16_and_dev_loss_between_epochs(mini, tmp_path):
    train(mini, tmp_path, autocast="bf16", dev_every_steps=5, epochs=2)
    assert summary(tmp_path)["complete"]
