"""Cross-entropy in chunks: torch's own value and gradient, in every type; what does not count stays out."""

import pytest
import torch
from torch.nn import functional as F

from asrpar.nn import cross_entropy as module
from asrpar.nn.cross_entropy import cross_entropy


def case(frames=23, classes=11, dtype=torch.float32):
    torch.manual_seed(0)
    labels = torch.randint(classes, (frames,))
    labels[::5] = -1
    return (4 * torch.randn(frames, classes)).to(dtype).requires_grad_(), labels


def both(scores, labels, smoothing=0.0):
    mine = cross_entropy(scores, labels, -1, smoothing)
    reference = scores.detach().to(torch.promote_types(scores.dtype, torch.float32)).requires_grad_()
    theirs = F.cross_entropy(reference, labels, ignore_index=-1, reduction="sum", label_smoothing=smoothing)
    return mine, torch.autograd.grad(0.5 * mine, scores)[0], theirs, torch.autograd.grad(0.5 * theirs, reference)[0]


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("chunk", [1, 44, 2**22])
def test_value_and_gradient_are_those_of_torch(monkeypatch, chunk, dtype, smoothing):
    monkeypatch.setattr(module, "CHUNK", chunk)
    mine, gradient, theirs, expected = both(*case(dtype=dtype), smoothing)
    assert mine.dtype == theirs.dtype and gradient.dtype == dtype
    torch.testing.assert_close(mine, theirs)
    torch.testing.assert_close(gradient, expected.to(dtype))


def test_small_ones_in_full_precision_have_the_bits_of_torch():
    mine, gradient, theirs, expected = both(*case())
    assert torch.equal(mine, theirs) and torch.equal(gradient, expected)


def test_a_second_backward_is_refused(monkeypatch):
    monkeypatch.setattr(module, "CHUNK", 20)
    scores, labels = case(6, 5)
    loss = cross_entropy(scores, labels, -1)
    loss.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="inplace"):
        loss.backward()


def test_what_does_not_count_may_be_anything(monkeypatch):
    monkeypatch.setattr(module, "CHUNK", 4)
    scores = torch.zeros(3, 4)
    scores[1] = torch.nan
    scores.requires_grad_()
    loss = cross_entropy(scores, torch.tensor([0, -1, 2]), -1)
    loss.backward()
    assert loss.item() == pytest.approx(2 * torch.tensor(4.0).log().item())
    assert scores.grad[1].abs().sum() == 0 and scores.grad.isfinite().all()
    nothing = cross_entropy(scores, torch.tensor([-1, -1, -1]), -1)
    assert nothing.item() == 0.0 and torch.autograd.grad(nothing, scores)[0].abs().sum() == 0


def test_without_a_gradient_none_is_made(monkeypatch):
    monkeypatch.setattr(module, "CHUNK", 44)
    scores, labels = case()
    with torch.no_grad():
        assert not cross_entropy(scores, labels, -1).requires_grad
