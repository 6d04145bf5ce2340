"""Pushes and replies of a parameter server in bfloat16."""

import pytest
import torch

from asrpar.parallel.carrier import Carrier, Rounded

P, CLIENTS = 50, 2


@pytest.fixture
def start():
    return torch.randn(P, dtype=torch.float64)


def pair(start, *, vectors):
    """A server with one shard, and a learner."""
    server = Rounded(start, start.clone(), CLIENTS, vectors=vectors)
    learner = Rounded(start, start[:0], CLIENTS, vectors=vectors)
    for one in (server, learner):
        one.begin(start)
    return server, learner


def travel(x):
    assert x.dtype == torch.bfloat16
    return x.clone()


def test_a_vector_that_is_replied_arrives_but_for_the_last_difference(start):
    server, learner = pair(start, vectors=False)
    s, pulled = server.shard, start.clone()
    for size in (1.0, 0.1, 0.01, 0.0):
        step = size * torch.randn_like(s)
        s.add_(step)
        missing = (s - pulled).abs()
        learner.take(travel(server.reply(s, 1)), pulled)
        assert torch.equal(pulled, server.known[1])
        assert bool(((s - pulled).abs() <= missing * 2**-8).all())
    # Another learner's is another one.
    assert torch.equal(server.known[0], start)


def test_a_displacement_that_is_pushed_is_rounded(start):
    server, learner = pair(start, vectors=False)
    d = torch.randn_like(start)
    found = server.pushed(travel(learner.push(d)), 0)
    assert found.dtype == d.dtype
    assert (found - d).abs().max() > 0
    assert bool(((found - d).abs() <= d.abs() * 2**-8).all())


def test_a_vector_that_is_pushed_arrives_but_for_the_last_difference(start):
    server, learner = pair(start, vectors=True)
    x = start.clone()
    for size in (1.0, 0.1, 0.01):
        x.add_(size * torch.randn_like(x))
        missing = (x - server.known[0]).abs()
        found = server.pushed(travel(learner.push(x)), 0)
        assert torch.equal(learner.mine, server.known[0])
        assert bool(((found - x).abs() <= missing * 2**-8).all())
        found.zero_()  # the server may overwrite it
        assert torch.equal(learner.mine, server.known[0])


def test_what_is_rounded_off_a_displacement_stays_with_the_shard(start):
    server, learner = pair(start, vectors=True)
    x, e = start.clone(), torch.randn_like(start)
    before = x + server.shard
    server.shard.add_(e)
    got = torch.empty_like(e)
    learner.take(travel(server.reply(e, 0)), got)
    x.sub_(got)
    assert not torch.equal(got, e)
    assert torch.allclose(x + server.shard, before, rtol=0, atol=1e-14)


def test_without_compression_nothing_is_copied(start):
    carrier = Carrier(start, start)
    assert carrier.push(start) is start
    assert carrier.reply_room(start) is start
    assert carrier.pushed(start, 0) is start
    assert carrier.reply(start, 0) is start
