"""An LSTM in bfloat16 without autocast, as GPUs are given it."""

import pytest
import torch
from torch import nn

import asrpar.nn.lstm
from asrpar.nn.lstm import in_bfloat16, run_lstm


@pytest.mark.parametrize("projection", [0, 3])
def test_an_lstm_in_bfloat16(projection):
    torch.manual_seed(0)
    lstm, x = nn.LSTM(5, 8, batch_first=True, proj_size=projection), torch.randn(2, 9, 5, requires_grad=True)
    exact = run_lstm(lstm, x)
    exact.square().sum().backward()
    gradients = [p.grad.clone() for p in [x, *lstm.parameters()]]
    lstm.zero_grad()
    x.grad = None
    rough = in_bfloat16(lstm, x)
    rough.float().square().sum().backward()
    assert rough.dtype == torch.bfloat16 and rough.shape == exact.shape
    torch.testing.assert_close(rough.float(), exact, atol=2e-2, rtol=0)
    for p, g in zip([x, *lstm.parameters()], gradients, strict=True):
        assert p.grad.dtype == torch.float32
        torch.testing.assert_close(p.grad, g, atol=0.05 * g.abs().max().item(), rtol=0.05)


@pytest.mark.parametrize("projection", [0, 3])
@pytest.mark.parametrize("has_bfloat16", [True, False])
def test_an_lstm_under_autocast_on_any_processor(monkeypatch, projection, has_bfloat16):
    if not has_bfloat16:
        monkeypatch.setattr(asrpar.nn.lstm, "onednn_has_bfloat16", lambda: False)
    torch.manual_seed(0)
    lstm, x = nn.LSTM(5, 8, batch_first=True, proj_size=projection), torch.randn(2, 9, 5)
    exact = run_lstm(lstm, x)
    with torch.autocast("cpu", torch.bfloat16):
        found = run_lstm(lstm, x.to(torch.bfloat16))
    found.float().square().sum().backward()
    torch.testing.assert_close(found.float(), exact, atol=2e-2, rtol=0)
    assert has_bfloat16 or projection or found.dtype == torch.float32


@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no GPU here")
def test_a_gpu_does_not_fall_to_float16():
    lstm, x = nn.LSTM(5, 8, batch_first=True, device="cuda"), torch.randn(2, 9, 5, device="cuda")
    with torch.autocast("cuda", torch.bfloat16):
        assert run_lstm(lstm, x).dtype in (torch.bfloat16, torch.float32)
