"""A learner's vectors: whatever memory they are in, the same training."""

from copy import deepcopy
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from asrpar.errors import ConfigError
from asrpar.feats import Batch
from asrpar.nn.losses.ctc import Loss, Settings
from asrpar.nn.objective import Sources
from asrpar.parallel.comm import LocalComm
from asrpar.parallel.strategies import make_strategy, settings_class
from asrpar.train.compiling import check_compiler
from asrpar.train.learner import AcousticLearner
from asrpar.train.optimizers import OPTIMIZERS, adamw


class Tiny(nn.Module):
    """A frame classifier; features are (N, T, 4)."""

    def scores(self, features, lens):
        return self.layers(features), lens

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))

    def forward(self, features, lens):
        return self.layers(features).log_softmax(2), lens


def learner(optimizer):
    torch.manual_seed(0)
    words = SimpleNamespace(num_tokens=3, encode_variants=lambda text: [[1, 2]])
    objective = Loss(Settings(), Sources(words))
    return AcousticLearner(Tiny(), objective, optimizer, autocast=False, max_nonfinite=1)


def test_an_objective_gets_scores_where_it_wants_them():
    seen = []

    def loss(output, lens, targets):
        seen.append(output.detach())
        return output.sum(), [True]

    batch = Batch(torch.randn(1, 9, 4), torch.tensor([9]), [[[1, 2]]], ["u1"], 9, 9, 0, 0)
    for of_scores in (True, False):
        one = learner(partial(adamw.make, adamw.Settings(lr=0.1)))
        one.objective = SimpleNamespace(of_scores=of_scores, loss=loss, frames_in=lambda _: None)
        one.compute(batch)
    assert torch.equal(seen[0].log_softmax(2), seen[1]) and not torch.equal(*seen)


def test_a_gradient_is_the_mean_over_the_frames_that_the_objective_counts():
    one = learner(partial(adamw.make, adamw.Settings(lr=0.1)))
    counts = [4, 0]
    one.objective = SimpleNamespace(
        of_scores=False, loss=lambda output, *_: (output.sum(), [True]), frames_in=lambda _: counts[0]
    )
    batch = Batch(torch.randn(1, 9, 4), torch.tensor([9]), [[]], ["u1"], 9, 9, 0, 0)
    assert one.compute(batch) == one.loss_frames == 4
    # A batch without any is not the end of the data.
    counts[0] = 0
    assert one.compute(batch) == 1 and one.loss_frames == 4
    assert one.compute(None) == 0


def test_losses_are_told_of_batches_with_finite_ones():
    one = learner(partial(adamw.make, adamw.Settings(lr=0.1)))
    batch = Batch(torch.randn(1, 9, 4), torch.tensor([9]), [[[1, 2]]], ["u1"], 9, 9, 0, 0)
    one.compute(batch)
    first, again = one.loss_sum, one.loss_sum
    assert first == again > 0 and one.loss_frames == 9
    one.compute(batch)
    one.compute(replace(batch, features=batch.features * torch.nan))
    assert one.state_dict()["counters"][2:] == [2 * first, 18, 0]
    one.compute(batch)
    other = learner(partial(adamw.make, adamw.Settings(lr=0.1)))
    other.compute(batch)
    other.load_state_dict(deepcopy(one.state_dict()))
    assert other.take_tally() == one.take_tally() == [3 * first, 27, 0]
    assert one.take_tally() == [0, 0, 0]


def test_a_compiled_model_trains_as_it_would_without(monkeypatch):
    # The compiler itself takes half a minute; what it is given is what counts here.
    seen = []
    backend = lambda graph, inputs: seen.append(graph) or graph.forward  # noqa: E731
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=backend))
    plain, compiled = (learner(partial(adamw.make, adamw.Settings(lr=0.1))) for _ in range(2))
    compiled.compiled = True
    for frames in (9, 9, 7):
        batch = Batch(torch.randn(1, frames, 4), torch.tensor([frames]), [[[1, 2]]], ["u1"], frames, frames, 0, 0)
        for one in (plain, compiled):
            one.apply(one.compute(batch))
        assert torch.equal(plain.weights, compiled.weights)
    compiled.module.eval()
    compiled.batch_loss(replace(batch, features=torch.randn(1, 5, 4), feature_lens=torch.tensor([5])))
    assert len(seen) == 2


def test_a_machine_without_a_compiler_is_refused(monkeypatch, tmp_path):
    monkeypatch.delenv("CXX", raising=False)
    (tmp_path / "g++").touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    check_compiler(torch.device("cpu"))
    (tmp_path / "g++").unlink()
    with pytest.raises(ConfigError, match=r"compile is true, but there is no C\+\+ compiler g\+\+"):
        check_compiler(torch.device("cpu"))


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_a_learner_that_moves_after_each_step_goes_on_as_one_that_stays(name):
    optimizer = partial(OPTIMIZERS.load(name), OPTIMIZERS.settings_class(name)(lr=0.1))
    stays, moves = learner(optimizer), learner(optimizer)
    places = [torch.zeros(len(moves.weights)) for _ in range(2)]
    for step in range(6):
        torch.manual_seed(step)
        lens = torch.tensor([7, 9])
        batch = Batch(torch.randn(2, 9, 4), lens, [[[1, 2]], [[1, 2]]], ["u1", "u2"], 16, 16, 0, step)
        for one in (stays, moves):
            assert one.apply(one.gradient(batch))
        assert torch.equal(moves.weights, stays.weights)
        left, there = moves.weights, places[step % 2].copy_(moves.weights)
        moves.move(there)
        assert moves.weights is there
        left.fill_(torch.nan)
    torch.testing.assert_close(moves.state_dict(), stays.state_dict(), rtol=0, atol=0)


def steady(**settings):
    """A learner whose gradient is always the same, and which loses no weight if nothing else is said."""
    one = learner(partial(adamw.make, adamw.Settings(**{"lr": 0.01, "weight_decay": 0.0, **settings})))
    one.gradient = lambda batch: one.grad.fill_(3.0) is not None and 1.0
    return one


@pytest.mark.parametrize("block", [4, 8, 16, 64])
@pytest.mark.parametrize("name", ["bmuf", "model_averaging", "slowmo", "diloco"])
def test_blocks_without_the_momenta_of_the_ones_before_take_whole_steps(name, block):
    one = steady()
    outer = {"bmuf": {"block_momentum": 0.0}, "slowmo": {"slow_momentum": 0.0}}
    outer |= {"diloco": {"outer_momentum": 0.0, "outer_lr": 1.0}}
    settings = settings_class(name)(sync_steps=block, keep_local_momentum=False, **outer.get(name, {}))
    strategy = make_strategy(name, settings, one, LocalComm())
    strategy.start()
    for _ in range(3):
        begin = one.weights.clone()
        for k in range(1, block + 1):
            strategy.step(object())
            torch.testing.assert_close(begin - one.weights, torch.full_like(begin, 0.01 * k), rtol=1e-3, atol=0)


def test_what_weight_decay_takes_does_not_depend_on_resets():
    resets, stays = steady(weight_decay=0.5), steady(weight_decay=0.5)
    for one in (resets, stays):
        for _ in range(3):
            one.gradient(None)
            one.apply(1.0)
    stays.optimizer.state_dict()["state"][0]["exp_avg"].zero_()
    resets.reset_optimizer()
    before = stays.weights.clone()
    for one in (resets, stays):
        one.grad.zero_()
        one.apply(1.0)
    assert not torch.equal(stays.weights, before)
    torch.testing.assert_close(resets.weights, stays.weights, rtol=1e-7, atol=0)


def test_a_reset_is_in_the_state():
    goes_on = steady()
    for step in range(5):
        goes_on.gradient(None)
        goes_on.apply(1.0)
        if step == 2:
            goes_on.reset_optimizer()
    restored = steady()
    restored.load_state_dict(deepcopy(goes_on.state_dict()))
    for one in (goes_on, restored):
        one.gradient(None)
        one.apply(1.0)
    assert torch.equal(restored.weights, goes_on.weights)
