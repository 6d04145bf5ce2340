"""Learners in lockstep lose one of them, at whatever moment of a sum each of those who are left notices it."""

from contextlib import suppress

import pytest
import torch
from toy import ToyLearner, data, wire_of
from virtual import on_virtual

from asrpar.errors import TrainingError
from asrpar.parallel.comm import LearnerLost
from asrpar.parallel.strategies import make_strategy, settings_class

LOST = 2
BLOCKS = [
    ("model_averaging", {}),
    ("bmuf", {}),
    ("bmuf", {"overlap_steps": 2}),
    ("slowmo", {}),
    ("diloco", {"overlap_steps": 1}),
    ("easgd", {}),
]
NAMES = [f"{name}{''.join(f'-{k}{v}' for k, v in settings.items())}" for name, settings in BLOCKS]


def make(name, comm, **settings):
    strategy = make_strategy(name, settings_class(name)(sync_steps=4, **settings), ToyLearner(momentum=0.5), comm)
    strategy.start()
    return strategy


def batches(comm, steps=12):
    """Of unequal sizes, by learner."""
    return data(steps=steps, rows=4 + comm.rank, seed=comm.rank)


def break_sum(comm, whole):
    """The next sum of a learner fails: it is done all the same where ``whole``, so that others have it."""
    before = comm.allreduce, comm.allreduce_begin

    def restore():
        comm.allreduce, comm.allreduce_begin = before

    class Broken:
        def __init__(self, x):
            if whole:
                before[0](x.clone())

        def wait(self):
            raise LearnerLost

    def begin(x):
        restore()
        return Broken(x)

    def allreduce(x):
        restore()
        if whole:
            before[0](x)
        x.fill_(torch.nan)  # nothing can be told of what is in it now
        raise LearnerLost

    comm.allreduce, comm.allreduce_begin = allreduce, begin


def lose(name, settings, steps, interrupted=(), whole=True, after=10):
    """Who is left, by rank: the strategy after `survive`, and weights then; ``steps`` are taken before by each.

    The sums of those that are ``interrupted`` fail from their step ``after`` on.
    """
    found = {}

    def run(comm):
        strategy = make(name, comm, **settings)
        with suppress(LearnerLost):
            for number, batch in enumerate(batches(comm)[: steps[comm.rank]], 1):
                if number == after and comm.rank in interrupted:
                    break_sum(comm, whole)
                strategy.step(batch)
        left = comm.split(None if comm.rank == LOST else 0)
        if left is None:
            return
        before = strategy.learner.weights.clone()
        if name != "easgd":
            assert strategy.learner.weights.isfinite().all()
        after_it = strategy.survive(left)
        weights, model = after_it.learner.weights.clone(), after_it.model().clone()
        # They go on together.
        for batch in data(steps=8, rows=3, seed=9):
            after_it.step(batch)
        after_it.finish()
        found[comm.rank] = before, weights, model, after_it.model()

    on_virtual(3, run)
    return found


@pytest.mark.parametrize(("name", "settings"), BLOCKS, ids=NAMES)
def test_who_did_not_get_a_sum_that_others_got_goes_on_as_if_it_had(name, settings):
    overlap = settings.get("overlap_steps", 0)
    # The second sum, of step 8, is broken for rank 1; others have it and go on.
    steps = [8 + overlap, 8 + overlap, 8 + overlap]
    fine = lose(name, settings, steps)
    broken = lose(name, settings, steps, interrupted=[1], after=8)
    for rank in (0, 1):
        for a, b in zip(fine[rank][1:], broken[rank][1:], strict=True):
            assert torch.allclose(a, b, rtol=0, atol=1e-14)
    assert torch.equal(broken[0][2], broken[1][2]) and torch.equal(broken[0][3], broken[1][3])


def test_the_mean_of_who_is_left_is_weighted_by_frames_wherever_they_noticed():
    # Nobody got the sum of step 8: W is that of step 4, and each has taken four steps since.
    found = lose("model_averaging", {}, [8, 8, 7], interrupted=[0, 1], whole=False, after=8)
    (x0, *_), (x1, *_) = found[0], found[1]
    mean = (4 * x0 + 5 * x1) / 9
    for rank in (0, 1):
        assert torch.allclose(found[rank][2], mean, rtol=0, atol=1e-14)
        assert torch.equal(found[rank][1], found[rank][2])


def test_bmuf_keeps_its_momentum_and_takes_that_of_as_many_as_are_left():
    found, kept = {}, {}

    def run(comm):
        bmuf = make("bmuf", comm, nesterov=False)
        for batch in batches(comm)[:4]:
            bmuf.step(batch)
        left = comm.split(None if comm.rank == LOST else 0)
        if left is not None:
            w, delta = bmuf.w.clone(), bmuf.delta.clone()
            for batch in batches(comm)[4 : 6 + comm.rank]:
                bmuf.step(batch)
            kept[comm.rank] = w, delta, bmuf.learner.weights.clone(), (4.0 + comm.rank) * (2 + comm.rank)
            other = bmuf.survive(left)
            found[comm.rank] = other.w.clone(), other.delta.clone()

    on_virtual(3, run)
    (w, delta, x0, n0), (_, _, x1, n1) = kept[0], kept[1]
    expected = (1 - 1 / 2) * delta + (n0 * x0 + n1 * x1) / (n0 + n1) - w
    for after in found.values():
        assert torch.allclose(after[1], expected, rtol=0, atol=1e-14)
        assert torch.allclose(after[0], w + expected, rtol=0, atol=1e-14)


def test_a_newcomer_takes_up_all_and_changes_nothing():
    found = []

    def run(comm):
        fresh = comm.rank == LOST
        bmuf = make_strategy("bmuf", settings_class("bmuf")(sync_steps=4), ToyLearner(seed=5 + comm.rank), comm)
        old = comm.split(None if fresh else 0)
        if not fresh:
            bmuf = make("bmuf", old)
            for batch in batches(comm)[:8]:
                bmuf.step(batch)
        w = comm.broadcast_object(bmuf.w_g.clone())
        other = bmuf.survive(comm)
        found.append((other.learner.weights.clone(), w))

    on_virtual(3, run)
    assert len(found) == 3
    for weights, w in found:
        assert torch.equal(weights, w)


def test_easgd_keeps_its_sum():
    found = {}

    def run(comm):
        easgd = make("easgd", comm)
        with suppress(LearnerLost):
            for number, batch in enumerate(batches(comm)[:8], 1):
                if number == 8 and comm.rank == 1:
                    break_sum(comm, whole=True)
                easgd.step(batch)
        left = comm.split(None if comm.rank == LOST else 0)
        pulled = easgd.alpha * easgd.pull
        if left is not None:
            # Before the exchange of step 8 x_i and c of all had this sum; gradients moved it, and what c got of the
            # lost one stays.
            found[comm.rank] = easgd.learner.weights.clone(), easgd.centre.clone(), pulled
            other = easgd.survive(left)
            found[comm.rank] += (other.learner.weights.clone(), other.centre.clone())
        else:
            found[comm.rank] = (pulled,)

    on_virtual(3, run)
    assert torch.equal(found[0][4], found[1][4])
    before_exchange = found[0][4] - found[0][2] - found[1][2] - found[2][0]
    assert torch.allclose(found[1][1], before_exchange, rtol=0, atol=1e-14)


def test_who_cannot_go_on_says_so():
    def warm(comm):
        strategy = make("bmuf", comm, warmup_frames=1e9)
        with pytest.raises(TrainingError, match="warmup_frames"):
            strategy.survive(comm)

    def compressed(comm):
        learner = ToyLearner()
        wire = wire_of("topk", learner.shapes, learner.weights)
        strategy = make_strategy("easgd", settings_class("easgd")(), learner, comm, wire)
        with pytest.raises(TrainingError, match="compression 'topk'"):
            strategy.survive(comm)

    on_virtual(2, warm)
    on_virtual(2, compressed)
