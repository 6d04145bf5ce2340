"""Synchronous strategies: equalities on real MPI ranks, settings, memory."""

from pathlib import Path

import pytest
import torch
from toy import ToyLearner, data, sgd

from asrpar.config import load_config
from asrpar.errors import ConfigError
from asrpar.parallel.comm import LocalComm
from asrpar.parallel.strategies import make_strategy, settings_class

PROGRAMS = Path(__file__).parent / "programs"


def make(name, learner=None, learners=1, **settings):
    comm = LocalComm()
    comm.size = learners
    return make_strategy(name, settings_class(name)(**settings), learner or ToyLearner(), comm)


@pytest.mark.mpi
@pytest.mark.timeout(400)
@pytest.mark.parametrize("ranks", [2, 3, 4])
def test_oracles_under_mpi(mpirun, repo, ranks):
    path = f"{repo}:{repo / 'tests/support'}"
    done = mpirun(ranks, PROGRAMS / "sync_oracles.py", timeout=360, env={"PYTHONPATH": path})
    assert done.stdout.count("passed") == ranks


@pytest.mark.mpi
@pytest.mark.timeout(400)
def test_noisy_regression_reaches_its_floor_and_the_control_does_not(mpirun, repo):
    names = ["ssgd", "model_averaging:sync_steps=4", "bmuf:sync_steps=4", "slowmo:sync_steps=4", "diloco:sync_steps=10"]
    names += ["easgd", "dpsgd", "dpsgd:topology=complete", "sgp"]
    path = f"{repo}:{repo / 'tests/support'}"
    done = mpirun(3, PROGRAMS / "regression.py", *names, timeout=360, env={"PYTHONPATH": path})
    assert done.stdout.count("passed") == 3
    assert done.stdout.count("ok ") == len(names)


def test_easgd_of_one_learner_follows_its_two_equations():
    batches = data(steps=12, rows=4)
    learner = ToyLearner()
    easgd = make("easgd", learner, sync_steps=1, alpha=0.4)
    easgd.start()
    x, c = learner.weights.clone(), learner.weights.clone()
    for batch in batches:
        at_x = ToyLearner()
        at_x.weights.copy_(x)
        at_x.grad.div_(at_x.gradient(batch))
        x, c = x - 0.05 * at_x.grad - 0.4 * (x - c), c + 0.4 * (x - c)
        easgd.step(batch)
    assert torch.allclose(learner.weights, x, rtol=0, atol=1e-13)
    assert torch.allclose(easgd.model(), c, rtol=0, atol=1e-13)


def test_easgd_between_exchanges_is_plain_sgd():
    batches = data(steps=5, rows=4)
    reference, learner = ToyLearner(momentum=0.9), ToyLearner(momentum=0.9)
    sgd(reference, batches)
    easgd = make("easgd", learner, sync_steps=6)
    easgd.start()
    for batch in batches:
        easgd.step(batch)
    assert torch.equal(learner.weights, reference.weights)


def test_easgd_keeps_overflowed_weights_from_the_centre():
    learner = ToyLearner()
    easgd = make("easgd", learner, sync_steps=1)
    easgd.start()
    before = easgd.model().clone()
    learner.weights.fill_(float("inf"))
    easgd.step(data(1, 4)[0])
    assert torch.equal(easgd.model(), before)
    assert torch.equal(learner.weights, before)
    # The exchange, and the gradient at those weights.
    assert learner.nonfinite == 2


def test_easgd_looks_for_overflow_in_one_pass(monkeypatch):
    easgd = make("easgd", sync_steps=1)
    easgd.start()
    # A mask of P elements takes ten times as long.
    monkeypatch.setattr(torch, "isfinite", lambda x: pytest.fail(f"a mask of {x.numel()} elements"))
    monkeypatch.setattr(easgd.learner, "apply", lambda frames: True)
    easgd.step(data(1, 4)[0])


def test_local_momentum_is_reset_at_the_end_of_a_block_or_kept():
    for keep in (False, True):
        learner = ToyLearner(momentum=0.9)
        strategy = make("slowmo", learner, sync_steps=2, keep_local_momentum=keep)
        strategy.start()
        for batch in data(2, 4):
            strategy.step(batch)
        (state,) = learner.optimizer.state.values()
        assert bool(state["momentum_buffer"].any()) == keep


def test_warm_up_is_observed_and_ends_at_its_frames():
    reference, learner = ToyLearner(), ToyLearner()
    strategy = make("bmuf", learner, sync_steps=4, warmup_frames=8.0)
    strategy.start()
    batches = data(5, 4)
    sgd(reference, batches[:2])
    for k, batch in enumerate(batches):
        strategy.step(batch)
        # Two steps of warm-up, then a block that does not end before its fourth step.
        assert strategy.synchronised == (k < 2)
        if k == 0:
            assert torch.equal(strategy.model(), learner.weights)
        else:
            assert torch.equal(strategy.model(), reference.weights)


def test_w_g_takes_no_memory_of_its_own_without_look_ahead():
    strategy = make("model_averaging")
    assert strategy.w is strategy.w_g
    assert make("diloco").w is not make("diloco").w_g


def test_nested_settings_are_read():
    found = load_config(settings_class("dpsgd"), None, ["topology=matrix", "matrix=[[0.5,0.5],[0.5,0.5]]"])
    assert found.matrix == [[0.5, 0.5], [0.5, 0.5]]


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("model_averaging", {"sync_steps": 0}, "model_averaging.sync_steps is 0"),
        ("model_averaging", {"overlap_steps": -1}, "overlap_steps is -1: it lies between 0 and sync_steps"),
        ("bmuf", {"sync_steps": 4, "overlap_steps": 5}, "overlap_steps is 5: it lies between 0 and sync_steps"),
        ("bmuf", {"warmup_frames": -1.0}, "bmuf.warmup_frames is -1.0"),
        ("slowmo", {"slow_momentum": 1.0}, "slowmo.slow_momentum"),
        ("slowmo", {"slow_lr": 0.0}, "slowmo.slow_lr"),
        ("diloco", {"outer_momentum": -0.1}, "diloco.outer_momentum"),
        ("diloco", {"outer_lr": 0.0}, "diloco.outer_lr"),
        ("easgd", {"sync_steps": 0}, "easgd.sync_steps is 0"),
        ("easgd", {"alpha": 0.25}, "with 4 learners it must lie between 0 and 1/4"),
        ("easgd", {"alpha": 0.0}, "easgd.alpha is 0.0"),
        ("dpsgd", {"topology": "star"}, "dpsgd.topology 'star' is unknown"),
        ("dpsgd", {"matrix": [[0.25] * 4] * 4}, "dpsgd.topology is ring, but there is a matrix"),
        ("sgp", {"matrix_file": "x"}, "sgp.topology is exponential, but there is a matrix"),
        ("sgp", {"topology": "star"}, "sgp.topology 'star' is unknown"),
        ("sgp", {"topology": "matrix", "matrix": [[0.5] * 4] * 4}, "column 0 .* adds up to 2"),
    ],
)
def test_impossible_settings_are_refused(name, settings, message):
    with pytest.raises(ConfigError, match=message):
        make(name, learners=4, **settings)


def test_a_failure_while_mixing_reaches_the_learner_in_the_same_step(monkeypatch):
    dpsgd = make("dpsgd", topology="complete")
    dpsgd.start()

    def fail():
        raise ArithmeticError("no mixing")

    monkeypatch.setattr(dpsgd, "mix", fail)
    # As if the activity had not come to its end yet.
    monkeypatch.setattr(dpsgd.activity, "check", lambda: None)
    with pytest.raises(ArithmeticError, match="no mixing"):
        dpsgd.step(data(steps=1, rows=4)[0])


def test_weights_that_overflow_are_forgotten_with_the_steps_behind_which_the_sum_was_hidden():
    batches = data(steps=3, rows=4)
    strategy = make("bmuf", learner := ToyLearner(), sync_steps=2, overlap_steps=1, block_momentum=0.5)
    strategy.start()
    before = learner.weights.clone()
    strategy.step(batches[0])
    learner.weights[0] = torch.inf
    strategy.step(None)
    assert strategy.due
    strategy.step(batches[2])
    assert torch.equal(learner.weights, before)
    assert torch.equal(strategy.model(), before)
    assert strategy.frames == 0
