"""A learner for any module."""

from functools import partial

import pytest
import torch
from torch import nn
from toy import ToyLearner, data

from asrpar.errors import TrainingError
from asrpar.parallel.learner import FlatLearner


def test_steps_are_those_of_torch_on_the_modules_own_parameters():
    learner = ToyLearner(momentum=0.9)
    module = nn.Linear(5, 1, dtype=torch.float64)
    module.load_state_dict(learner.module.state_dict())
    optimizer = torch.optim.SGD(module.parameters(), lr=0.05, momentum=0.9)
    for x, y in data(6, 8):
        assert learner.gradient((x, y)) == 8.0
        assert learner.apply(8.0)
        optimizer.zero_grad()
        (0.5 * (module(x).squeeze(1) - y) ** 2).mean().backward()
        optimizer.step()
    expected = torch.cat([p.detach().flatten() for p in module.parameters()])
    torch.testing.assert_close(learner.weights, expected, rtol=1e-12, atol=0.0)
    assert learner.updates == 6


def test_no_batch_is_no_gradient():
    learner = ToyLearner()
    learner.gradient(data(1, 3)[0])
    assert learner.gradient(None) == 0.0 and not learner.grad.any()
    empty = torch.zeros(0, 5, dtype=torch.float64), torch.zeros(0, dtype=torch.float64)
    assert learner.gradient(empty) == 0.0 and not learner.grad.any()


def test_long_gradients_are_clipped_and_the_rate_is_the_learners():
    learner = FlatLearner(nn.Linear(2, 1), partial(torch.optim.SGD, lr=1.0), clip_norm=0.5)
    before, learner.lr = learner.weights.clone(), 0.25
    learner.grad.copy_(torch.tensor([0.0, 30.0, 40.0]))
    assert learner.apply(10.0) and learner.grad_norm == 5.0
    torch.testing.assert_close(before - learner.weights, 0.25 * torch.tensor([0.0, 0.3, 0.4]))


def test_what_is_not_finite_changes_nothing_and_too_much_of_it_ends_the_training():
    learner = FlatLearner(nn.Linear(2, 1), partial(torch.optim.SGD, lr=1.0), max_nonfinite=2)
    before = learner.weights.clone()
    learner.grad.fill_(torch.inf)
    assert not learner.apply(1.0)
    assert torch.equal(learner.weights, before) and (learner.nonfinite, learner.updates) == (1, 0)
    with pytest.raises(TrainingError, match=r"2 gradients were not finite .*: lower the learning rate"):
        learner.apply(1.0)


def test_goes_on_from_its_state():
    batches = data(6, 4)
    whole, first, second = ToyLearner(momentum=0.9), ToyLearner(momentum=0.9), ToyLearner(seed=9, momentum=0.9)
    for batch in batches:
        whole.apply(whole.gradient(batch))
    for batch in batches[:3]:
        first.apply(first.gradient(batch))
    second.load_state_dict(first.state_dict())
    for batch in batches[3:]:
        second.apply(second.gradient(batch))
    assert torch.equal(whole.weights, second.weights) and second.updates == 6


def test_moves_to_another_vector_with_its_optimizer():
    stays, moves = ToyLearner(momentum=0.9), ToyLearner(momentum=0.9)
    for batch in data(5, 4):
        moves.move(moves.weights.clone())
        for one in (stays, moves):
            one.apply(one.gradient(batch))
    assert torch.equal(stays.weights, moves.weights)
