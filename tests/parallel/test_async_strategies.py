"""Asynchronous strategies: equalities and invariants on real MPI ranks."""

from pathlib import Path

import pytest
import torch
from toy import ToyLearner, data, sgd
from virtual import on_virtual

from asrpar.errors import ConfigError, TrainingError
from asrpar.parallel.comm import LocalComm, Message
from asrpar.parallel.strategies import make_strategy, settings_class
from asrpar.parallel.virtual.cluster import Cluster

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
    assert torch.equal(asgd.server.pulled[0], asgd.server.shard)
    torch.manual_seed(1)
    gradient, drift = torch.randn(2, 6, dtype=torch.float64)
    s = asgd.server.shard
    pulled = s.clone()
    s.add_(drift)
    asgd.update(s, Message(0, 1, (0.0, gamma), -gamma * gradient))
    compensated = gradient + lam * gradient * gradient * drift
    assert torch.allclose(s, pulled + drift - gamma * compensated, rtol=0, atol=1e-14)


def test_delay_compensation_takes_the_drift_since_the_pull_where_replies_wait_too():
    gamma, lam, learners = 0.05, 5.0, 2
    batches = data(steps=3, rows=4 * learners)
    x = ToyLearner().weights.clone()
    for batch in batches:
        # With a bound of 0 both begin a step with the same s, which the first push still meets and the second does not.
        pulled, parts = x.clone(), []
        for r in range(learners):
            one = ToyLearner()
            one.weights.copy_(pulled)
            part = tuple(t[4 * r : 4 * r + 4] for t in batch)
            parts.append(one.gradient(part) and one.grad.div_(len(part[0])).clone())
        for g in parts:
            x = x - gamma * (g + lam * g * g * (x - pulled)) / learners

    def train(comm):
        asgd = make_strategy(
            "asgd",
            settings_class("asgd")(server="dedicated", staleness_bound=0, delay_compensation=lam, push_scale=None),
            ToyLearner(),
            comm,
        )
        asgd.start()
        for batch in batches if comm.rank < learners else ():
            asgd.step(tuple(t[4 * comm.rank : 4 * comm.rank + 4] for t in batch))
        asgd.finish()
        models.append(asgd.model().clone())

    models = []
    on_virtual(learners + 1, train)
    for model in models:
        assert torch.allclose(model, x, rtol=0, atol=1e-12)


def test_without_a_learning_rate_there_is_no_drift_to_compensate():
    asgd = alone("asgd", ToyLearner(), delay_compensation=0.4)
    asgd.start()
    before = asgd.server.shard.clone()
    asgd.update(asgd.server.shard, Message(0, 1, (0.0, 0.0), torch.zeros(6, dtype=torch.float64)))
    assert torch.equal(asgd.server.shard, before)


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
        ("asgd", {"staleness_bound": -1}, "asgd.staleness_bound"),
        ("asgd", {"delay_compensation": -0.1}, "asgd.delay_compensation"),
        ("asgd", {"push_scale": 0.0}, "asgd.push_scale"),
        ("easgd_async", {"alpha": 1.0}, "easgd_async.alpha"),
        ("adpsgd", {"neighbours": "all"}, "adpsgd.neighbours"),
        ("hadpsgd", {"super_learner_size": 2}, "super_learner_size"),
    ],
)
def test_impossible_settings_are_refused(name, settings, message):
    with pytest.raises(ConfigError, match=message):
        alone(name, **settings)


def test_hadpsgd_does_not_go_on_with_other_super_learners():
    states = {}

    def make(comm):
        strategy = make_strategy("hadpsgd", settings_class("hadpsgd")(), ToyLearner(), comm)
        strategy.start()
        return strategy

    def save(comm):
        states[comm.rank] = make(comm).state_dict()

    def same(comm):
        make(comm).load_state_dict(states[comm.rank])

    def other(comm):
        with pytest.raises(TrainingError, match=r"super-learners .* \[0, 0, 1, 1\] .* \[0, 1, 2, 3\]"):
            make(comm).load_state_dict(states[comm.rank])

    on_virtual(4, save, Cluster(nodes=2, devices_per_node=2))
    on_virtual(4, same, Cluster(nodes=2, devices_per_node=2))
    on_virtual(4, other, Cluster(nodes=4))
