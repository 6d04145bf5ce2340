"""The oracles: equalities between parallel algorithms and plain SGD."""

from pathlib import Path

import pytest
import torch
from toy import ToyLearner, data, sgd

from asrpar.errors import ConfigError
from asrpar.parallel.comm import LocalComm
from asrpar.parallel.strategies import STRATEGIES, make_strategy, settings_class

PROGRAMS = Path(__file__).parent / "programs"


# Settings with which an algorithm that is alone is plain SGD, where its defaults ask for an outer momentum.
NEUTRAL = {"slowmo": {"slow_momentum": 0.0}, "diloco": {"outer_lr": 1.0, "outer_momentum": 0.0}}
# The centre of elastic averaging follows even a learner that is alone: tests of their own hold it to its equations.
ELASTIC = {"easgd", "easgd_async"}


@pytest.mark.parametrize("name", sorted(set(STRATEGIES) - ELASTIC))
def test_one_learner_is_plain_sgd(name):
    batches = data(steps=32, rows=6)
    reference = ToyLearner()
    sgd(reference, batches)
    learner = ToyLearner()
    strategy = make_strategy(name, settings_class(name)(**NEUTRAL.get(name, {})), learner, LocalComm())
    strategy.start()
    for batch in batches:
        assert strategy.step(batch)
    while strategy.step(None):
        pass
    strategy.finish()
    # BMUF reaches W through W + (x − W): one rounding more than SGD itself.
    assert torch.allclose(strategy.model(), reference.weights, rtol=0, atol=1e-13)


@pytest.mark.mpi
@pytest.mark.parametrize("ranks", [1, 2, 3, 4])
def test_oracles_under_mpi(mpirun, repo, ranks):
    done = mpirun(ranks, PROGRAMS / "oracles.py", env={"PYTHONPATH": f"{repo}:{repo / 'tests/support'}"})
    assert done.stdout.count("passed") == ranks


def test_published_form_of_nesterov_bmuf_moves_eight_per_block():
    # A constant drift of 1 per block and η = 7/8: the papers' form moves 1 / (1 − η) = 8 per block at steady state,
    # forms that take the look-ahead into the next base move 15.
    class Drift(ToyLearner):
        def gradient(self, batch):
            self.grad.fill_(-1.0 if batch is not None else 0.0)
            return 1.0 if batch is not None else 0.0

    learner = Drift(lr=1.0)
    strategy = make_strategy("bmuf", settings_class("bmuf")(sync_steps=1, block_momentum=7 / 8), learner, LocalComm())
    strategy.start()
    for _ in range(400):
        before = strategy.model().clone()
        strategy.step(object())
    assert torch.allclose(strategy.model() - before, torch.tensor(8.0, dtype=torch.float64), atol=1e-9)


def test_block_momentum_as_time_constant_does_not_depend_on_block_size():
    settings = settings_class("bmuf")(momentum_frames=1000.0)
    bmuf = make_strategy("bmuf", settings, ToyLearner(), LocalComm())
    assert bmuf.eta(200) == pytest.approx(bmuf.eta(100) ** 2)


def test_bmuf_skips_a_block_whose_average_is_not_finite():
    learner = ToyLearner()
    bmuf = make_strategy("bmuf", settings_class("bmuf")(sync_steps=1), learner, LocalComm())
    bmuf.start()
    bmuf.step(data(1, 4)[0])
    before = bmuf.model().clone()
    learner.weights.fill_(float("inf"))
    learner.apply = lambda frames: True
    bmuf.step(data(1, 4)[0])
    assert torch.equal(bmuf.model(), before)
    assert torch.isfinite(learner.weights).all()
    assert learner.nonfinite == 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sync_steps": 0}, "sync_steps"),
        ({"block_momentum": 1.0}, "block_momentum"),
        ({"block_momentum": 0.5, "momentum_frames": 1.0}, "give one of them"),
        ({"momentum_frames": -1.0}, "momentum_frames"),
        ({"block_lr": 0.0}, "block_lr"),
    ],
)
def test_bmuf_refuses_impossible_settings(settings, message):
    with pytest.raises(ConfigError, match=message):
        make_strategy("bmuf", settings_class("bmuf")(**settings), ToyLearner(), LocalComm())


def test_single_refuses_several_learners():
    comm = LocalComm()
    comm.size = 2
    with pytest.raises(ConfigError, match="started with 2"):
        make_strategy("single", settings_class("single")(), ToyLearner(), comm)


def test_unknown_strategy_names_the_nearest():
    with pytest.raises(ConfigError, match="did you mean 'bmuf'"):
        settings_class("bmfu")


def test_a_strategy_is_one_page(repo):
    pages = {p.name: len(p.read_text().splitlines()) for p in (repo / "asrpar/parallel/strategies").glob("*.py")}
    assert {name: lines for name, lines in pages.items() if lines > 150} == {}
