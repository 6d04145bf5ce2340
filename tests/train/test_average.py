"""The models of an epoch's end: each is made once, whoever looks at it."""

import weakref
from collections import Counter

import pytest
from minidata import train_options

from asrpar.config import load_config
from asrpar.parallel.comm import LocalComm
from asrpar.parallel.strategies import STRATEGIES
from asrpar.parallel.virtual.cluster import Cluster, Compute
from asrpar.simulate.parts import NoCheckpoints, VirtualParts
from asrpar.simulate.training import simulate
from asrpar.train import trainer
from asrpar.train.config import TrainConfig

EPOCHS, LEARNERS = 2, 2
WITHOUT_CENTRE = ("adpsgd", "delayed", "dpsgd", "hadpsgd", "sgp")
WITH_SERVER = ("asgd", "easgd_async")


class Made(NoCheckpoints):
    """What a checkpoint would hold is made."""

    def save(self, epoch, steps, make):
        make()


def sums(monkeypatch, mini, exp, strategy, **settings):
    """How often each learner adds up a consensus in an epoch, a checkpoint and the final model included."""
    found = Counter()
    algorithm = STRATEGIES.load(strategy)
    consensus = algorithm.consensus

    def counted(self, x):
        found[self.comm.rank] += 1
        return consensus(self, x)

    monkeypatch.setattr(algorithm, "consensus", counted)
    monkeypatch.setattr(VirtualParts, "checkpoints", lambda parts, comm: Made())
    options = train_options(mini, exp, strategy=strategy, epochs=EPOCHS, batch__size=2000, **settings)
    config = load_config(TrainConfig, None, [option.removeprefix("--set=") for option in options])
    cluster = Cluster("x", devices_per_node=LEARNERS, compute=Compute(frames_per_second=2e4))
    simulate(config, cluster, LEARNERS)
    assert len(set(found.values())) <= 1
    return found[0] / EPOCHS


@pytest.mark.parametrize(
    ("settings", "without_centre", "with_server"),
    [
        ({"ema__enabled": "false"}, 1, 0),
        ({"ema__enabled": "true"}, 2, 1),
        ({"ema__enabled": "true", "ema__both": "true"}, 2, 1),
    ],
)
@pytest.mark.parametrize("strategy", [*WITHOUT_CENTRE, *WITH_SERVER])
def test_a_consensus_is_summed_once_for_each_model(
    monkeypatch, mini, tmp_path, strategy, settings, without_centre, with_server
):
    expected = with_server if strategy in WITH_SERVER else without_centre
    assert sums(monkeypatch, mini, tmp_path, strategy, **settings) == expected


def test_an_epoch_does_not_keep_the_models_of_the_one_before(monkeypatch, mini, tmp_path):
    made, alive = [], []

    class Noted(trainer.Models):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            made.append(weakref.ref(self))

    class Watched(trainer.EpochPass):
        def take_part(self, part):
            alive.append([models for models in made if models() is not None])
            return super().take_part(part)

    monkeypatch.setattr(trainer, "Models", Noted)
    monkeypatch.setattr(trainer, "EpochPass", Watched)
    options = [option.removeprefix("--set=") for option in train_options(mini, tmp_path, epochs=EPOCHS)]
    config = load_config(TrainConfig, None, options)
    config.autocast = "none"
    run = trainer.Trainer(config, STRATEGIES.of(config), LocalComm())
    run.begin()
    run.run()
    assert alive == [[]] * EPOCHS and len(made) > EPOCHS
