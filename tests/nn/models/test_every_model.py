"""What every page of models must do; a new page is tested by being there."""

from dataclasses import fields, replace

import pytest
import torch
from torch.nn import functional as F

from asrpar.nn.model import AcousticModel
from asrpar.nn.models import MODELS, build_model

FEATURES, CLASSES = 20, 7


def tiny(name, **more):
    """The page's own settings with its large numbers made small, in their order, and without dropout."""
    settings = MODELS.settings(name)
    sizes = {f.name: getattr(settings, f.name) for f in fields(settings) if type(getattr(settings, f.name)) is int}
    small = {key: 8 * (size.bit_length() - 4) for key, size in sizes.items() if size >= 32}
    torch.manual_seed(0)
    return build_model(name, replace(settings, **{"dropout": 0.0} | small | more), FEATURES, CLASSES)


@pytest.fixture(params=MODELS)
def model(request):
    return tiny(request.param).eval()


def batch(*lens, dtype=torch.float32):
    torch.manual_seed(1)
    x = torch.randn(len(lens), max(lens), FEATURES, dtype=dtype)
    for row, frames in zip(x, lens, strict=True):
        row[frames:] = 0
    return x, torch.tensor(lens)


def frames(model, lens):
    return [-(-t // model.subsampling) for t in lens]


@pytest.mark.parametrize("lens", [[1], [21, 21, 21], [40, 23, 2], [12, 31]])
def test_shapes_and_probabilities(model, lens):
    log_probs, out = model(*batch(*lens))
    assert isinstance(model, AcousticModel) and out.tolist() == frames(model, lens)
    assert log_probs.shape == (len(lens), max(frames(model, lens)), CLASSES) and log_probs.dtype == torch.float32
    torch.testing.assert_close(log_probs.exp().sum(-1), torch.ones(log_probs.shape[:2]))
    assert model.output.out_features == CLASSES and isinstance(model.input, torch.nn.Module)


def test_one_utterance_alone_equals_the_same_one_in_a_batch(model):
    x, lens = batch(60, 25, 41)
    together, out = model(x, lens)
    for n, t in enumerate(lens.tolist()):
        alone, _ = model(x[n : n + 1, :t], lens[n : n + 1])
        torch.testing.assert_close(together[n, : out[n]], alone[0], atol=1e-5, rtol=1e-5)


def test_what_lies_behind_the_end_changes_nothing(model):
    x, lens = batch(30, 20)
    clean, out = model.scores(x, lens)
    x[1, 20:] = 1e3
    torch.testing.assert_close(model.scores(x, lens)[0][1, : out[1]], clean[1, : out[1]], atol=0, rtol=0)


def test_gradient_is_that_of_finite_differences(model):
    model.double()
    (x, lens), parameters = batch(14, 9, dtype=torch.float64), list(model.parameters())
    weights = torch.randn_like(model.scores(x, lens)[0].detach())

    def value():
        return (torch.tanh(model.scores(x, lens)[0]) * weights).sum()

    gradients = torch.autograd.grad(value(), parameters)
    assert all(g.abs().sum() > 0 for g in gradients)
    step, directions = 1e-6, [torch.randn_like(p) for p in parameters]
    with torch.no_grad():
        values = []
        for sign in (1, -2):
            torch._foreach_add_(parameters, directions, alpha=sign * step)
            values.append(value())
    slope = sum((g * d).sum() for g, d in zip(gradients, directions, strict=True))
    torch.testing.assert_close((values[0] - values[1]) / (2 * step), slope, rtol=1e-5, atol=1e-6)


def test_it_learns_what_is_in_its_frames(model):
    x, lens = batch(32, 32)
    labels = (x[:, :: model.subsampling].mean(2) > 0).long().flatten()
    optimizer = torch.optim.Adam(model.train().parameters(), lr=2e-2)
    losses = []
    for _ in range(60):
        optimizer.zero_grad()
        losses.append(F.cross_entropy(model.scores(x, lens)[0].flatten(0, 1), labels))
        losses[-1].backward()
        optimizer.step()
    assert losses[-1] < 0.5 * losses[0], [round(x.item(), 2) for x in losses[::10]]


def test_bfloat16(model):
    x, lens = batch(40, 23)
    exact = model(x, lens)[0]
    with torch.autocast("cpu", torch.bfloat16):
        scores, (log_probs, _) = model.scores(x, lens)[0], model(x, lens)
        log_probs.sum().backward()
    assert scores.dtype == torch.bfloat16 and log_probs.dtype == torch.float32
    torch.testing.assert_close(log_probs, exact, atol=0.1, rtol=0.1)
    assert all(p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no GPU here")
def test_a_gpu_computes_the_same(model):
    x, lens = batch(40, 23, 31)
    scores, out = model.scores(x, lens)
    scores[0].square().sum().backward()
    gradients = [p.grad.clone() for p in model.parameters()]
    model.zero_grad(set_to_none=True)
    model.cuda()
    there, out_there = model.scores(x.cuda(), lens.cuda())
    there[0].square().sum().backward()
    assert torch.equal(out_there.cpu(), out)
    for n, t in enumerate(out.tolist()):
        torch.testing.assert_close(there[n, :t].cpu(), scores[n, :t], atol=1e-3, rtol=1e-3)
    for p, g in zip(model.parameters(), gradients, strict=True):
        torch.testing.assert_close(p.grad.cpu(), g, atol=1e-2 * g.abs().max().item(), rtol=1e-2)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::torch.jit.TracerWarning")
def test_a_trace_holds_for_other_lengths(model):
    """No shape of the example, and no branch that it took, is in what is exported."""
    traced = torch.jit.trace(model, batch(20, 13), check_trace=False)
    for lens in ([31, 7, 25], [3]):
        for mine, expected in zip(traced(*batch(*lens)), model(*batch(*lens)), strict=True):
            torch.testing.assert_close(mine, expected)


def test_an_even_start_has_equal_classes():
    for name in MODELS:
        log_probs, _ = tiny(name, init="even").eval()(*batch(30, 20))
        assert torch.equal(log_probs, torch.full_like(log_probs, log_probs[0, 0, 0].item()))


def test_only_frames_in_context_are_seen(model):
    """What a model says of its context holds; and spliced frames, in any order, give the same scores."""
    if model.context is None:
        return
    before, after = model.context
    x, lens = batch(30)
    x.requires_grad_()
    model.scores(x, lens)[0][0, 15].sum().backward()
    seen = x.grad[0].abs().sum(1).nonzero()[:, 0].tolist()
    assert seen == list(range(15 - before, 15 + after + 1))
    rows = torch.arange(30)[:, None] + torch.arange(-before, after + 1)
    spliced = x.detach()[0][rows.clamp(0, 29)].flatten(1)
    order = torch.randperm(30)
    scores, out = model.scores(spliced[None, order], torch.tensor([30]))
    torch.testing.assert_close(scores[0], model.scores(x, lens)[0][0, order])
    assert out.tolist() == [30]
