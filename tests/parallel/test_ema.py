"""The moving average: its equation, its unit, its precision, and that it changes nothing else."""

import math

import pytest
import torch

from asrpar.parallel.ema import SPAN, Ema, too_short


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
    assert torch.equal(ema.model(), torch.ones(2))
    ema.update(model, 1.0)
    assert torch.equal(model, torch.zeros(2))


@pytest.mark.parametrize("warmup", [False, True])
def test_a_restored_average_goes_on_to_the_same_bits(warmup):
    a, b = (Ema(torch.full((4,), x), 10.0, warmup=warmup) for x in (0.1, 0.0))
    for frames in (1.0, 2.0):
        a.update(torch.randn(4), frames)
    b.load_state_dict(a.state_dict())
    model = torch.randn(4)
    for ema in (a, b):
        ema.update(model, 3.0)
    assert torch.equal(a.mean, b.mean)
    # As of the versions that kept it in the type of the model.
    b.load_state_dict({"mean": torch.ones(4)})
    assert torch.equal(b.model(), torch.ones(4))


def test_does_not_stall_where_a_step_adds_less_than_the_last_bit():
    # Steps of 1e-5 of the distance of 0.002 to a weight of 1: in 32 bits nothing would ever be added.
    ema = Ema(torch.ones(3), decay_frames=1e5)
    for _ in range(20000):
        ema.update(torch.full((3,), 1.002), 1.0)
    expected = 1.002 - 0.002 * math.exp(-0.2)
    assert torch.allclose(ema.model(), torch.full((3,), expected), rtol=0, atol=1e-6)


def test_parts_of_a_long_vector_are_averaged_alike():
    model = torch.randn(300_000)
    ema = Ema(torch.zeros_like(model), 1.0)
    ema.update(model, 1.0)
    assert torch.allclose(ema.model(), -math.expm1(-1) * model)


def test_the_warm_up_forgets_the_beginning_and_ends():
    ema = Ema(torch.full((1,), 1e6), decay_frames=150.0, warmup=True)
    # Models that are the number of frames so far; of steps of different lengths.
    seen, steps = 0.0, [1.0, 3.0] * 500
    for frames in steps:
        seen += frames
        ema.update(torch.tensor([seen]), frames)
        if seen == 1000.0:
            # Σ f · f⁸ / Σ f⁸ = 9 f / 10.
            assert ema.mean.item() == pytest.approx(SPAN * 1000 / (SPAN + 1), rel=0.01)
    # After 9 time constants it is the plain average, which follows 150 frames behind.
    assert ema.mean.item() == pytest.approx(seen - 150, abs=2)


def test_a_model_that_is_not_finite_is_left_out():
    ema = Ema(torch.ones(2), 10.0)
    ema.update(torch.tensor([1.0, torch.inf]), 1.0)
    assert torch.equal(ema.model(), torch.ones(2))


def test_a_training_shorter_than_the_time_constant_is_told():
    assert too_short(6, 1.5, False) is None
    plain = too_short(3, 6, False)
    assert "ema.decay_epochs is 6, but the training has 3 epochs: 61 % of the final weights" in plain
    assert "ema.warmup=true" in plain
    assert "last 1/9 of the training" in too_short(3, 6, True)
