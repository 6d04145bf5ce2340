"""`Parallel` with one learner: whose gradients are applied, and what is refused, in a line that says what to do."""

import weakref
from functools import partial

import pytest
import torch
from torch import nn

from asrpar.errors import AsrparError, ConfigError, TrainingError
from asrpar.parallel import Parallel
from asrpar.parallel.loops.checks import check_alike, check_rates, check_shares, digest
from asrpar.parallel.loops.failures import where
from asrpar.parallel.loops.parallel import _tell_if_open
from asrpar.parallel.momenta import AdamW


class TwoOfMe:
    """A transport on which every rank says the same, or what the test wants."""

    rank, size = 0, 2

    def __init__(self, others=None):
        self.others = others

    def allgather_object(self, value):
        return [value, value if self.others is None else self.others]


def parts(**more):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, **more)
    return model, optimizer, list(torch.randn(6, 5, 3))


def trained(model, optimizer, batches, step):
    for batch in batches:
        optimizer.zero_grad()
        (model(batch) ** 2).mean().backward()
        step(len(batch))
    return [p.detach().clone() for p in model.parameters()]


@pytest.fixture(autouse=True)
def _hook(monkeypatch):
    monkeypatch.setattr("sys.excepthook", None)  # put back after each test


@pytest.mark.parametrize("more", [{}, {"momentum": 0.9, "weight_decay": 0.1}])
def test_alone_the_steps_are_the_optimizers(more):
    model, optimizer, batches = parts(**more)
    expected = trained(model, optimizer, batches, lambda n: optimizer.step())
    model, optimizer, batches = parts(**more)
    parallel = Parallel(model, optimizer, "single")
    found = trained(model, optimizer, parallel.epoch(batches), parallel.step)
    for a, b in zip(found, expected, strict=True):
        assert torch.allclose(a, b, rtol=1e-5, atol=1e-7)
    parallel.close()
    optimizer.step()  # is the loop's again


def test_a_summed_loss_is_divided_by_its_samples():
    model, optimizer, batches = parts()
    expected = trained(model, optimizer, batches, lambda n: optimizer.step())
    model, optimizer, batches = parts()
    parallel = Parallel(model, optimizer, "single")
    for batch in parallel.epoch(batches):
        model.zero_grad(set_to_none=False)
        (model(batch) ** 2).sum().backward()
        parallel.step(len(batch), summed=True)
    for a, b in zip(model.parameters(), expected, strict=True):
        assert torch.allclose(a, b, rtol=1e-5, atol=1e-7)


def test_groups_keep_their_rates_and_frozen_parameters_stay():
    model, _, batches = parts()
    model[0].weight.requires_grad_(False)
    groups = [{"params": [model[0].bias], "lr": 0.0}, {"params": [model[2].weight, model[2].bias], "lr": 0.1}]
    optimizer = torch.optim.SGD([*groups, {"params": [model[0].weight]}], lr=0.5, weight_decay=0.1)
    before = [p.detach().clone() for p in model.parameters()]
    parallel = Parallel(model, optimizer, "bmuf", {"sync_steps": 2})
    after = trained(model, optimizer, parallel.epoch(batches), parallel.step)
    assert [torch.equal(a, b) for a, b in zip(after, before, strict=True)] == [True, True, False, False]


def test_a_batch_without_a_step_belongs_to_the_next():
    model, optimizer, batches = parts()
    parallel = Parallel(model, optimizer, "ssgd")
    for number, batch in enumerate(parallel.epoch(batches), 1):
        (model(batch) ** 2).mean().div(3).backward()
        if number % 3 == 0:
            parallel.step(3 * len(batch))
            optimizer.zero_grad()
    assert parallel.steps == 2
    found = [p.detach().clone() for p in model.parameters()]
    model, optimizer, batches = parts()
    for three in (batches[:3], batches[3:]):
        optimizer.zero_grad()
        torch.stack([(model(batch) ** 2).mean() for batch in three]).mean().backward()
        optimizer.step()
    for a, b in zip(found, model.parameters(), strict=True):
        assert torch.allclose(a, b, rtol=1e-5, atol=1e-7)


def test_gradients_without_a_step_at_the_end_of_an_epoch_are_nobodys():
    model, optimizer, batches = parts()
    parallel = Parallel(model, optimizer, "ssgd")
    for batch in parallel.epoch(batches[:1]):
        model(batch).mean().backward()
    # What is sent with no samples must not be added to other learners' gradients.
    assert not parallel.learner.grad.any()


def test_clipping_is_torchs():
    model, optimizer, batches = parts()
    expected = trained(
        model, optimizer, batches, lambda n: (nn.utils.clip_grad_norm_(model.parameters(), 0.01), optimizer.step())
    )
    model, optimizer, batches = parts()
    parallel = Parallel(model, optimizer, "single", clip_norm=0.01)
    found = trained(model, optimizer, parallel.epoch(batches), lambda n: parallel.step())
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


class Sign(torch.optim.Optimizer):
    """Has a first moment, and counts nothing."""

    def __init__(self, parameters, lr):
        super().__init__(parameters, {"lr": lr})

    @torch.no_grad()
    def step(self):
        for p in self.param_groups[0]["params"]:
            p.sub_(p.grad.sign() * self.param_groups[0]["lr"])
            self.state[p]["exp_avg"] = p.grad.clone()


def blocks(make):
    model, _, batches = parts()
    optimizer = make(model.parameters(), lr=0.01)
    parallel = Parallel(model, optimizer, "bmuf", {"sync_steps": 2})
    return trained(model, optimizer, parallel.epoch(batches), parallel.step), optimizer


def test_steps_of_anybodys_adam_are_whole_after_a_block():
    (found, optimizer), (expected, _) = blocks(torch.optim.AdamW), blocks(AdamW)
    assert all(torch.allclose(a, b, rtol=1e-5, atol=1e-7) for a, b in zip(found, expected, strict=True))
    assert (optimizer.param_groups[0]["lr"], optimizer.param_groups[0]["weight_decay"]) == (0.01, 0.01)


def test_a_first_moment_of_an_optimizer_that_does_not_count_begins_anew():
    assert not any(state["exp_avg"].any() for state in blocks(Sign)[1].state.values())


def test_gradients_that_are_not_finite_are_left_out_and_counted():
    model, optimizer, batches = parts()
    before = [p.detach().clone() for p in model.parameters()]
    parallel = Parallel(model, optimizer, "single", max_nonfinite=2)
    with pytest.raises(TrainingError, match="2 gradients were not finite"):
        trained(model, optimizer, parallel.epoch([batches[0] * float("nan")] * 2), parallel.step)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), before, strict=True))


def test_consensus_lends_the_models_weights_and_buffers():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    parallel = Parallel(model, optimizer, "easgd", {"alpha": 0.3, "sync_steps": 1})
    own = trained(model, optimizer, parallel.epoch(list(torch.randn(4, 5, 3))), parallel.step)
    with parallel.consensus():
        centre = [p.detach().clone() for p in model.parameters()]
        model[1].running_mean.fill_(7.0)
    assert not any(torch.equal(a, b) for a, b in zip(own[:1], centre[:1], strict=True))
    assert all(torch.equal(a, b) for a, b in zip(own, model.parameters(), strict=True))
    assert model[1].running_mean.max() < 7.0
    parallel.close()
    assert all(torch.equal(a, b) for a, b in zip(centre, model.parameters(), strict=True))


def test_a_checkpoint_gives_back_what_was_saved_with_it(tmp_path):
    model, optimizer, batches = parts(momentum=0.9)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 1)
    parallel = Parallel(model, optimizer, "bmuf", {"sync_steps": 2})
    assert parallel.load(tmp_path / "new") is None
    trained(model, optimizer, parallel.epoch(batches), parallel.step)
    parallel.save(tmp_path / "new", schedule=schedule.state_dict(), note=["a", 1.5, None])
    other, optimizer, batches = parts(momentum=0.9)
    again = Parallel(other, optimizer, "bmuf", {"sync_steps": 2})
    more = again.load(tmp_path / "new")
    assert more["note"] == ["a", 1.5, None] and more["schedule"]["last_epoch"] == 0 and again.steps == 6
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters(), strict=True))
    (tmp_path / "new/step-00000006/rank-0.pt").write_bytes(b"x")
    with pytest.raises(TrainingError, match=r"rank-0.pt is damaged .*: remove its folder"):
        again.load(tmp_path / "new")
    with pytest.raises(ConfigError, match="keep is 0"):
        parallel.save(tmp_path / "new", keep=0)
    with pytest.raises(TrainingError, match=r"rank-0.pt is no folder of checkpoints"):
        again.load(tmp_path / "new/step-00000006/rank-0.pt")
    with pytest.raises(ConfigError, match=r"parallel.save: more.model is torch.nn.*state_dict"):
        parallel.save(tmp_path / "new", model=model)


def test_a_checkpoint_has_frozen_weights_and_fits_one_optimizer(tmp_path):
    def begun(make, frozen):
        model, _, batches = parts()
        model[0].weight.requires_grad_(False).fill_(frozen)
        optimizer = make([p for p in model.parameters() if p.requires_grad])
        return model, optimizer, batches, Parallel(model, optimizer, "ssgd")

    model, optimizer, batches, parallel = begun(torch.optim.SGD, 3.0)
    trained(model, optimizer, parallel.epoch(batches), parallel.step)
    parallel.save(tmp_path)
    model, _, _, parallel = begun(torch.optim.SGD, 4.0)
    parallel.load(tmp_path)
    assert (model[0].weight == 3.0).all()
    with pytest.raises(TrainingError, match="another optimizer"):
        begun(torch.optim.AdamW, 3.0)[3].load(tmp_path)


def wrap(model):
    class DataParallel(nn.Module):
        def __init__(self):
            super().__init__()
            self.module = model

    return DataParallel()


MADE_WRONG = {
    "is a torch.nn.Module, not": lambda m, o: Parallel(m.forward, o),
    "is wrapped in DataParallel": lambda m, o: Parallel(wrap(m), o),
    "is a torch.optim.Optimizer, not list": lambda m, o: Parallel(m, [o]),
    "LBFGS": lambda m, o: Parallel(m, torch.optim.LBFGS(m.parameters())),
    "not the model's": lambda m, o: Parallel(nn.Linear(1, 1), o),
    "no parameters that are trained": lambda m, o: Parallel(m.requires_grad_(False), o),
    "keep them in float32": lambda m, o: Parallel(m.bfloat16(), o),
    "one type and one device": lambda m, o: Parallel(nn.Sequential(m, nn.Linear(1, 1).double()), o),
    "clip_norm is -1.0": lambda m, o: Parallel(m, o, clip_norm=-1.0),
    "max_nonfinite is 0": lambda m, o: Parallel(m, o, max_nonfinite=0),
    "did you mean 'bmuf'": lambda m, o: Parallel(m, o, "bmfu"),
    "did you mean 'strategies.bmuf.sync_steps'": lambda m, o: Parallel(m, o, "bmuf", {"sync_step": 4}),
    "did you mean 'topk'": lambda m, o: Parallel(m, o, compression="topc"),
    "bucket_mb": lambda m, o: Parallel(m, o, "ssgd", {"bucket_mb": 1.0}),
}


@pytest.mark.parametrize("words", MADE_WRONG)
def test_what_cannot_be_trained_is_refused_in_a_line(words):
    model, optimizer, _ = parts()
    with pytest.raises(AsrparError) as caught:
        MADE_WRONG[words](model, optimizer)
    assert words in str(caught.value) and "\n" not in str(caught.value)


def moved(p, m, o, b):
    m.double()
    next(p.epoch(b))


def twice(p, m, o, b):
    for batch in p.epoch(b):
        m(batch).mean().backward()
        p.step()
        p.step()


def no_gradient(p, m, o, b):
    for _ in p.epoch(b):
        o.zero_grad()
        p.step()


def own_step(p, m, o, b):
    for batch in p.epoch(b):
        m(batch).mean().backward()
        o.step()


def bad_samples(p, m, o, b):
    for batch in p.epoch(b):
        m(batch).mean().backward()
        p.step(0)


def samples_in_a_tensor(p, m, o, b):
    for batch in p.epoch(b):
        m(batch).mean().backward()
        p.step(batch)


def two_epochs(p, m, o, b):
    for _ in p.epoch(b):
        for _ in p.epoch(b):
            pass


def closed(p, m, o, b):
    p.close()
    next(p.epoch(b))


def early_consensus(p, m, o, b):
    for _ in p.epoch(b):
        with p.consensus():
            pass


def thawed(p, m, o, b):
    m[0].bias.requires_grad_(False)
    p = Parallel(m, o, "ssgd")
    m[0].bias.requires_grad_(True)
    twice(p, m, o, b)


USED_WRONG = {
    "no longer where Parallel has put it": moved,
    "once for a batch": twice,
    "call loss.backward()": no_gradient,
    "call parallel.step(samples) in its place": own_step,
    "samples is a number above 0": bad_samples,
    "samples is one number above 0": samples_in_a_tensor,
    "an epoch is not over": two_epochs,
    "make another Parallel": closed,
    "behind parallel.step()": early_consensus,
    "was frozen": thawed,
}


@pytest.mark.parametrize("words", USED_WRONG)
def test_what_would_train_nonsense_is_refused_in_a_line(words):
    model, optimizer, batches = parts()
    with pytest.raises(TrainingError) as caught:
        USED_WRONG[words](Parallel(model, optimizer, "ssgd"), model, optimizer, batches)
    assert words in str(caught.value) and "\n" not in str(caught.value)
    assert where(caught.value.__traceback__).startswith(" (test_parallel.py, line ")


def test_a_script_that_forgets_to_close_is_told(capsys):
    model, optimizer, batches = parts()
    parallel = Parallel(model, optimizer, "ssgd")
    tell = partial(_tell_if_open, weakref.ref(parallel))
    tell()
    assert capsys.readouterr().err == ""
    trained(model, optimizer, parallel.epoch(batches), parallel.step)
    tell()
    assert "parallel.close() was never called" in capsys.readouterr().err
    parallel.close()
    tell()
    assert capsys.readouterr().err == ""


def test_learners_that_were_made_differently_are_refused():
    with pytest.raises(ConfigError, match=r"learner 1 has another settings than learner 0 \(b, not a\)"):
        check_alike(TwoOfMe({"settings": "b"}), {"settings": "a"})


def test_learners_with_the_same_weights_need_the_same_rates():
    model, optimizer, batches = parts()
    parallel = Parallel(model, optimizer, "ssgd")
    check_rates(TwoOfMe(), ["lr 0.1"])
    check_rates(None, ["lr 0.1"])
    parallel.strategy.alike = TwoOfMe(["lr 0.2", "weight_decay 0", "momentum 0"])
    with pytest.raises(TrainingError, match=r"learner 1 steps with lr 0.2, learner 0 with lr 0.1, .* equally often"):
        next(parallel.epoch(batches))


def test_learners_with_the_same_batches_are_refused():
    batch = {"ids": torch.arange(4), "text": ["a", "b"]}
    with pytest.raises(TrainingError, match="the same first batch"):
        check_shares(TwoOfMe(), batch, 2)
    check_shares(TwoOfMe(digest({"ids": torch.arange(4) + 1, "text": ["a", "b"]})), batch, 2)
    check_shares(TwoOfMe(), object(), 2)  # of which nothing is known
    check_shares(TwoOfMe(), batch, 1)


@pytest.mark.parametrize(
    "value", [torch.ones(2), torch.ones(2).numpy(), "a", 3, [torch.ones(2)], (1, {"x": torch.ones(1)})]
)
def test_digests_see_what_is_in_a_batch(value):
    assert digest(value) and digest(value) == digest(value) != digest([value, value])
