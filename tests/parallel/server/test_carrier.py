"""Pushes and replies of a parameter server, compressed."""

import pytest
import torch
from toy import wire_of

from asrpar.errors import ConfigError
from asrpar.parallel.comm import LocalComm
from asrpar.parallel.compress.wire import Wire
from asrpar.parallel.server.carrier import Carrier, Compressed, make_carrier

P, CLIENTS = 50, 2
ALL = slice(0, P)
METHODS = {
    "bf16": {},
    "fp16": {},
    "onebit": {"block": 8},
    "threshold": {"threshold": 0.05},
    "topk": {"density": 0.2},
}


@pytest.fixture
def start():
    return torch.randn(P, dtype=torch.float64)


def wire(method, warmup_frames=0.0, **settings):
    settings = METHODS.get(method, {}) | settings
    if method != "none":
        settings["warmup_frames"] = warmup_frames
    return wire_of(method, [torch.Size([P])], torch.empty(P, dtype=torch.float64), **settings)


def pair(start, method, *, vectors, **settings):
    """A server with one shard, and a learner."""
    server, learner = (
        Compressed(start, shard, [ALL], CLIENTS, wire(method, **settings), LocalComm(), vectors=vectors)
        for shard in (start.clone(), start[:0])
    )
    for one in (server, learner):
        one.begin(start)
    return server, learner


def travel(message):
    """None if it is empty, as with `Comm.receive`."""
    assert message.dtype == torch.uint8
    return message.clone() if message.numel() else None


def push(learner, server, x, source=0):
    message, plainly = learner.push(x, ALL)
    return server.pushed(travel(message), source, plainly)


@pytest.mark.parametrize("method", METHODS)
def test_a_vector_that_is_replied_arrives_in_the_end(start, method):
    server, learner = pair(start, method, vectors=False)
    s, pulled = server.shard, start.clone()
    s.add_(torch.randn_like(s))
    begin = (s - pulled).abs().max()
    for _ in range(100):
        push(learner, server, torch.zeros_like(s), 1)
        learner.take(travel(server.reply(s, 1)), pulled, ALL)
        assert torch.equal(pulled, server.known[1])
    # What is below the threshold stays at home.
    bound = METHODS["threshold"]["threshold"] if method == "threshold" else 1e-3 * begin
    assert (s - pulled).abs().max() <= bound
    # Another learner's is another one.
    assert torch.equal(server.known[0], start)


def test_of_a_vector_that_is_rounded_the_last_difference_is_missing(start):
    server, learner = pair(start, "bf16", vectors=False)
    s, pulled = server.shard, start.clone()
    for size in (1.0, 0.1, 0.01, 0.0):
        s.add_(size * torch.randn_like(s))
        missing = (s - pulled).abs()
        push(learner, server, torch.zeros_like(s), 1)
        learner.take(travel(server.reply(s, 1)), pulled, ALL)
        assert bool(((s - pulled).abs() <= missing * 2**-8).all())


@pytest.mark.parametrize(("method", "bound"), [("bf16", 2**-8), ("fp16", 2**-11)])
def test_a_displacement_that_is_pushed_is_rounded(start, method, bound):
    server, learner = pair(start, method, vectors=False)
    # Too small for float16 as they are.
    d = 1e-9 * torch.randn_like(start)
    found = push(learner, server, d)
    assert found.dtype == d.dtype
    assert (found - d).abs().max() > 0
    assert bool(((found - d).abs() <= d.abs() * bound + d.abs().max() * 2**-24).all())


@pytest.mark.parametrize("method", ["onebit", "threshold", "topk"])
def test_what_a_push_lacks_is_added_to_the_next(start, method):
    server, learner = pair(start, method, vectors=False)
    given, arrived = torch.zeros_like(start), torch.zeros_like(start)
    for _ in range(5):
        d = torch.randn_like(start)
        given += d
        arrived += push(learner, server, d)
        assert (arrived - given).abs().max() > 1e-3
        assert torch.allclose(arrived + learner.wire.residual, given, rtol=0, atol=1e-12)


@pytest.mark.parametrize("method", METHODS)
def test_a_vector_that_is_pushed_arrives_in_the_end(start, method):
    server, learner = pair(start, method, vectors=True)
    x = start + torch.randn_like(start)
    for _ in range(100):
        found = push(learner, server, x)
        assert torch.equal(learner.mine, server.known[0])
        assert torch.equal(found, server.known[0])
        found.zero_()  # the server may overwrite it
    bound = METHODS["threshold"]["threshold"] if method == "threshold" else 1e-3
    assert (server.known[0] - x).abs().max() <= bound


@pytest.mark.parametrize("method", METHODS)
def test_what_a_displacement_lacks_stays_with_the_shard(start, method):
    server, learner = pair(start, method, vectors=True)
    x, e = start.clone(), torch.randn_like(start)
    before = x + server.shard
    push(learner, server, x)
    server.shard.add_(e)
    got = torch.empty_like(e)
    learner.take(travel(server.reply(e.clone(), 0)), got, ALL)
    x.sub_(got)
    assert not torch.equal(got, e)
    assert torch.allclose(x + server.shard, before, rtol=0, atol=1e-14)


@pytest.mark.parametrize("vectors", [True, False])
@pytest.mark.parametrize("method", ["bf16", "onebit"])
def test_until_the_warm_up_is_over_all_arrives(start, method, vectors):
    server, learner = pair(start, method, vectors=vectors, warmup_frames=10.0)
    for frames in (9.0, 1.0):
        x = torch.randn_like(start)
        found = push(learner, server, x).clone()
        assert torch.allclose(found, x, rtol=0, atol=1e-14) == learner.wire.warming
        answer, got = torch.randn_like(start), server.known[0].clone()
        learner.take(travel(server.reply(answer.clone(), 0)), got, ALL)
        assert torch.allclose(got, answer, rtol=0, atol=1e-14) == learner.wire.warming
        learner.wire.advance(frames)


def test_a_server_without_elements(start):
    learner = pair(start, "topk", vectors=False)[1]
    nothing = slice(P, P)
    message, plainly = learner.push(start, nothing)
    assert not message.numel()
    learner.take(None, start, nothing)
    small = Compressed(start, start[:0], [nothing], CLIENTS, wire("onebit"), LocalComm(), vectors=False)
    assert not small.pushed(None, 0, plainly).numel()
    assert not small.reply(small.shard, 0).numel()


def test_without_compression_nothing_is_copied(start):
    carrier = make_carrier(Wire(), start, start, [ALL], 1, LocalComm(), vectors=False)
    assert type(carrier) is Carrier
    assert carrier.push(start, ALL)[0].data_ptr() == start.data_ptr()
    assert carrier.reply_buffer(start, ALL).data_ptr() == start.data_ptr()
    assert carrier.pushed(start, 0, True) is start
    assert carrier.reply(start, 0) is start


def test_a_learner_that_is_alone_compresses_nothing(start):
    assert type(make_carrier(wire("onebit"), start, start, [ALL], 1, LocalComm(), vectors=False)) is Carrier


@pytest.mark.parametrize(
    ("method", "settings", "message"),
    [
        ("powersgd", {}, "powersgd.*from one to another.*onebit"),
        ("topk", {"momentum": 0.9}, r"compressions\.topk\.momentum.*set it to 0"),
    ],
)
def test_what_only_sums_have_is_refused(start, method, settings, message):
    with pytest.raises(ConfigError, match=message):
        make_carrier(wire(method, **settings), start, start, [ALL], 1, LocalComm(), vectors=False)
