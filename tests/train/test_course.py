"""Going back to the best model where the dev loss says so, and a start by one learner alone."""

import json
from pathlib import Path

import pytest
import torch
from minidata import ranks, train_options
from torch.nn.utils import parameters_to_vector

from asrpar.config import load_config
from asrpar.errors import ConfigError
from asrpar.parallel.comm import LocalComm
from asrpar.parallel.strategies import STRATEGIES
from asrpar.parallel.virtual.cluster import Cluster, Compute
from asrpar.simulate.training import simulate
from asrpar.train.config import TrainConfig
from asrpar.train.evaluate import DevSet, Evaluation
from asrpar.train.experiment import train
from asrpar.train.model_io import load_acoustic_model
from asrpar.train.state import for_other_learners

OF_SEVERAL = [name for name in STRATEGIES if name != "single"]
QUICK = {"ema__enabled": "false", "batch__size": 3000, "optimizers__adamw__lr": 0.003}


def config_of(mini, exp, **settings):
    options = train_options(mini, exp, **(QUICK | settings))
    return load_config(TrainConfig, None, [option.removeprefix("--set=") for option in options])


def run(mini, exp, learners=2, **settings):
    """Train on virtual learners; the summary."""
    cluster = Cluster("x", devices_per_node=learners, compute=Compute(frames_per_second=2e4))
    simulate(config_of(mini, exp, **settings), cluster, learners)
    return summary(exp)


def summary(exp):
    return json.loads((Path(exp) / "train.json").read_text())


def weights(exp):
    return parameters_to_vector(load_acoustic_model(Path(exp) / "final.pt")[0].parameters()).detach()


@pytest.fixture
def dev_losses(monkeypatch):
    """Let the dev losses of epochs be these; gives the models that were evaluated."""

    def of(*losses):
        left, seen = {}, []

        def evaluate(self, model, comm):
            mine = left.setdefault(id(self), list(losses))
            if comm.rank == 0:
                seen.append(model.clone())
            return Evaluation(mine.pop(0), 10.0)

        monkeypatch.setattr(DevSet, "evaluate", evaluate)
        return seen

    return of


@pytest.mark.parametrize("strategy", OF_SEVERAL)
def test_every_strategy_goes_back_to_its_best_model(mini, tmp_path, dev_losses, strategy):
    seen = dev_losses(2.0, 3.0, 3.0)
    found = run(mini, tmp_path, strategy=strategy, schedule="newbob", epochs=3)
    assert torch.equal(weights(tmp_path), seen[0])
    assert not torch.equal(seen[0], seen[1])
    assert [epoch.get("back_to") for epoch in found["history"]] == [None, 1, 1]
    # Both went on from the same weights, with other data and half the rate.
    assert not torch.equal(seen[1], seen[2])
    assert found["dev_loss"] == 2.0
    assert found["history"][2]["lr"] == pytest.approx(found["history"][1]["lr"] / 2)


def test_a_training_that_stands_still_ends_and_is_complete(mini, tmp_path, dev_losses):
    seen = dev_losses(2.0, 1.99, 1.9899, 1.0)
    found = run(mini, tmp_path, learners=1, schedule="newbob", epochs=4)
    assert (found["epochs"], found["complete"], len(seen)) == (3, True, 3)
    # Asked for again it is not trained any further.
    assert run(mini, tmp_path, learners=1, schedule="newbob", epochs=4) == found


def test_going_back_survives_an_interruption(mini, tmp_path, dev_losses):
    """The best epoch lies before it, and the epoch that is taken back after it."""
    settings = {"schedule": "newbob", "epochs": 4, "threads": 1, "ema__enabled": "true"}
    losses = (2.0, 1.5, 1.6, 1.4)
    dev_losses(*losses)
    train(config_of(mini, tmp_path / "whole", **settings), LocalComm())
    dev_losses(*losses)
    train(config_of(mini, tmp_path / "parts", stop_after_epochs=2, **settings), LocalComm())
    dev_losses(*losses[2:])
    train(config_of(mini, tmp_path / "parts", **settings), LocalComm())
    whole, parts = summary(tmp_path / "whole"), summary(tmp_path / "parts")
    assert whole["checksum"] == parts["checksum"]
    assert [epoch.get("back_to") for epoch in parts["history"]] == [None, None, 2, None]
    assert [epoch["lr"] for epoch in parts["history"]] == [epoch["lr"] for epoch in whole["history"]]


def test_another_number_of_learners_goes_back_to_the_consensus():
    mean, own = torch.ones(3), torch.zeros(3)
    best = {"epoch": 1, "learner": {"weights": own}, "ema": None, "consensus": {"weights": mean}}
    state = {"machine": {}, "learner": {"weights": own}, "ema": None, "course": {"over": False, "best": best}}
    assert torch.equal(for_other_learners(state)["course"]["best"]["learner"]["weights"], mean)


@pytest.mark.mpi
def test_learners_of_mpi_go_back_and_resume_to_the_same_numbers(mini, tmp_path):
    """A rate at which dev losses rise; half of the run is a start by one learner."""
    settings = {"schedule": "newbob", "strategy": "bmuf", "strategies__bmuf__sync_steps": 2, "warm_start_epochs": 1}
    settings |= {"epochs": 5, "threads": 1, "optimizers__adamw__lr": 0.05, "schedules__newbob__stop_gain": 0}
    ranks(2, "train", *train_options(mini, tmp_path / "whole", **(QUICK | settings)))
    for stop in (1, 3, 0):
        ranks(2, "train", *train_options(mini, tmp_path / "parts", stop_after_epochs=stop, **(QUICK | settings)))
    whole, parts = summary(tmp_path / "whole"), summary(tmp_path / "parts")
    assert any("back_to" in epoch for epoch in whole["history"])
    assert whole["checksum"] == parts["checksum"]


@pytest.mark.parametrize("strategy", ["ssgd", "bmuf", "adpsgd", "asgd"])
def test_a_warm_start_is_the_training_of_one_learner(mini, tmp_path, strategy):
    settings = {"epochs": 2, "ema__enabled": "true", "batch__size": 2000}
    one = run(mini, tmp_path / "one", learners=1, stop_after_epochs=1, **settings)
    three = run(
        mini, tmp_path / "three", learners=3, strategy=strategy, stop_after_epochs=1, warm_start_epochs=1, **settings
    )
    # The mean of three equal numbers is rounded.
    torch.testing.assert_close(weights(tmp_path / "one"), weights(tmp_path / "three"), rtol=1e-6, atol=1e-7)
    assert one["history"][0]["dev_loss"] == pytest.approx(three["history"][0]["dev_loss"])
    after = run(mini, tmp_path / "all", learners=3, strategy=strategy, warm_start_epochs=1, **settings)
    assert after["history"][1]["dev_loss"] < one["history"][0]["dev_loss"]


@pytest.mark.parametrize("strategy", ["model_averaging", "bmuf", "asgd", "easgd_async", "adpsgd"])
def test_the_first_epoch_of_all_is_taken_back_to_that_of_one(mini, tmp_path, dev_losses, strategy):
    seen = dev_losses(1.0, 2.0)
    settings = {"schedule": "newbob", "epochs": 2, "warm_start_epochs": 1}
    done = run(mini, tmp_path, strategy=strategy, **settings)
    assert done["history"][1]["back_to"] == 1
    torch.testing.assert_close(weights(tmp_path), seen[0], rtol=1e-6, atol=1e-7)


def test_after_a_warm_start_synchronised_sgd_goes_on_as_one_learner_would(mini, tmp_path):
    """The optimizer's state goes over to the others: the second epoch differs by rounding alone."""
    settings = {"epochs": 2, "models__tdnn__dropout": 0, "batch__augment__probability": 0, "threads": 1}
    settings["batch__augment__random_start"] = "false"
    one = run(mini, tmp_path / "one", learners=1, **settings)
    two = run(mini, tmp_path / "two", strategy="ssgd", warm_start_epochs=1, **settings)
    assert one["history"][1]["dev_loss"] == pytest.approx(two["history"][1]["dev_loss"], rel=1e-3)


def test_a_start_that_is_the_whole_training_is_refused(mini, tmp_path):
    with pytest.raises(ConfigError, match=r"warm_start_epochs is 3: it must be below epochs \(3\)"):
        config_of(mini, tmp_path, epochs=3, warm_start_epochs=3)
