"""Flat vectors are views: what one side writes, the other sees."""

import pytest
import torch
from torch import nn

from asrpar.parallel.flat import FlatParameters, all_finite


def test_weights_and_gradients_are_views():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(3, 4), nn.LSTM(4, 2))
    before = [p.detach().clone() for p in module.parameters()]
    flat = FlatParameters(module)
    assert len(flat) == sum(p.numel() for p in before)
    assert torch.equal(flat.weights, torch.cat([p.reshape(-1) for p in before]))
    module(torch.randn(5, 3))[0].sum().backward()
    assert torch.equal(flat.grad, torch.cat([p.grad.reshape(-1) for p in module.parameters()]))
    assert flat.message[:-1].data_ptr() == flat.grad.data_ptr()
    flat.weights.fill_(0.25)
    assert all((p == 0.25).all() for p in module.parameters())


def test_a_module_that_moves_goes_on_with_what_is_there():
    torch.manual_seed(0)
    module, inputs = nn.Sequential(nn.Linear(3, 4), nn.LSTM(4, 2)), torch.randn(5, 3)
    flat = FlatParameters(module)
    before, there = flat.weights, torch.randn(len(flat))
    flat.move(there)
    module(inputs)[0].sum().backward()
    grad = flat.grad.clone()
    # As a module that has had these weights from the beginning.
    other = FlatParameters(nn.Sequential(nn.Linear(3, 4), nn.LSTM(4, 2)))
    other.weights.copy_(there)
    other.module(inputs)[0].sum().backward()
    assert torch.equal(grad, other.grad)
    there.fill_(0.5)
    before.fill_(7.0)
    assert flat.weights is there
    assert all((p == 0.5).all() for p in module.parameters())


def test_backward_adds_into_the_flat_gradient():
    module = nn.Linear(2, 1, bias=False)
    flat = FlatParameters(module)
    for _ in range(2):
        module(torch.ones(1, 2)).sum().backward()
    assert torch.equal(flat.grad, torch.full((2,), 2.0))


@pytest.mark.parametrize("module", [nn.ReLU(), nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1).double())])
def test_refuses_modules_that_cannot_be_flat(module):
    with pytest.raises(ValueError, match="param"):
        FlatParameters(module)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_one_element_that_is_not_finite_is_found_wherever_it_is(bad):
    for at in range(3):
        x = torch.tensor([-3e38, 0.0, 3e38])
        assert all_finite(x)
        x[at] = bad
        assert not all_finite(x)
