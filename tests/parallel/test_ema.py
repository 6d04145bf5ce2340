"""The moving average: its equation, its unit, and that it changes nothing else."""

import math

import torch

from asrpar.parallel.ema import Ema


def test_equation_and_time_constant():
    ema = Ema(torch.zeros(3, dtype=torch.float64), decay_frames=100.0)
    model = torch.ones(3, dtype=torch.float64)
    ema.update(model, 25.0)
    a = math.exp(-0.25)
    assert torch.allclose(ema.mean, (1 - a) * model, rtol=0, atol=1e-15)
    # Four quarters and one whole are the same decay.
    whole = Ema(torch.zeros(3, dtype=torch.float64), decay_frames=100.0)
    whole.update(model, 100.0)
    for _ in range(3):
        ema.update(model, 25.0)
    assert torch.allclose(ema.mean, whole.mean, rtol=0, atol=1e-15)


def test_keeps_its_own_copy():
    model = torch.ones(2)
    ema = Ema(model, 10.0)
    model.zero_()
    assert torch.equal(ema.mean, torch.ones(2))
    ema.update(model, 1.0)
    assert torch.equal(model, torch.zeros(2))


def test_state_round_trip():
    a, b = Ema(torch.randn(4), 10.0), Ema(torch.zeros(4), 10.0)
    b.load_state_dict(a.state_dict())
    assert torch.equal(a.mean, b.mean)
