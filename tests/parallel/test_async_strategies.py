"""Asynchronous strategies: equalities and invariants on real MPI ranks."""

from pathlib import Path

import pytest
import torch
from toy import ToyLearner, data, sgd

from asrpar.errors import ConfigError
from asrpar.parallel.comm import LocalComm, Message
from asrpar.parallel.strategies import make_strategy, settings_class

PROGRAMS = Path(__file__).parent / "programs"


@pytest.mark.mpi
@pytest.mark.parametrize("ranks", [1, 2, 3, 4])
def test_oracles_under_mpi(mpirun, repo, ranks):
    path = {"PYTHONPATH": f"{repo}:{repo / 'tests/support'}"}
    done = mpirun(ranks, PROGRAMS / "async_oracles.py", env=path, timeout=180)
    assert done.stdout.count("passed") == ranks


@pytest.mark.mpi
@pytest.mark.parametrize("seed", [1, 2])
def test_nothing_is_lost_in_many_exchanges(mpirun, repo, seed):
    # Longer runs: 10000 exchanges, or 60 seconds, with other seeds.
    program = PROGRAMS / "gossip_soak.py"
    done = mpirun(4, program, 400, 0, seed, env={"PYTHONPATH": f"{repo}:{repo / 'tests/support'}"}, timeout=180)
    assert done.stdout.count("passed") == 4


def alone(name, learner=None, **settings):
    return make_strategy(name, settings_class(name)(**settings), learner or ToyLearner(), LocalComm())


def test_delay_compensation_adds_the_gradients_square_times_the_drift():
    gamma, lam = 0.05, 0.4
    asgd = alone("asgd", delay_compensation=lam)
    asgd.start()
    torch.manual_seed(1)
    gradient, drift = torch.randn(2, 6, dtype=torch.float64)
    s = asgd.server.shard
    pulled = s.clone()
    s.add_(drift)
    asgd.update(s, Message(0, 1, (0.0, gamma), -gamma * gradient))
    compensated = gradient + lam * gradient * gradient * drift
    assert torch.allclose(s, pulled + drift - gamma * compensated, rtol=0, atol=1e-14)


def test_a_push_may_be_divided_by_its_staleness():
    asgd = alone("asgd", scale_by_staleness=True)
    asgd.start()
    asgd.server.version = 7
    before = asgd.server.shard.clone()
    asgd.update(asgd.server.shard, Message(0, 1, (3.0, 0.05), torch.ones(6, dtype=torch.float64)))
    assert torch.allclose(asgd.server.shard, before + 0.25)


def test_local_steps_between_pushes_are_the_learners_own():
    batches = data(steps=7, rows=4)
    reference = ToyLearner()
    sgd(reference, batches)
    asgd = alone("asgd", sync_steps=3)
    asgd.start()
    for batch in batches:
        asgd.step(batch)
    assert asgd.server.version == 2
    asgd.finish()
    assert torch.allclose(asgd.model(), reference.weights, rtol=0, atol=1e-13)


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("asgd", {"server": "central"}, "asgd.server"),
        ("asgd", {"server": "dedicated"}, "a rank of its own"),
        ("asgd", {"sync_steps": 0}, "asgd.sync_steps"),
        ("easgd_async", {"alpha": 1.0}, "easgd_async.alpha"),
        ("adpsgd", {"neighbours": "all"}, "adpsgd.neighbours"),
        ("hadpsgd", {"super_learner_size": 2}, "super_learner_size"),
    ],
)
def test_impossible_settings_are_refused(name, settings, message):
    with pytest.raises(ConfigError, match=message):
        alone(name, **settings)
