"""A learner's weights under exchanges: whatever the order of events, x_i is what the equations say."""

import random

import pytest
import torch
from toy import wire_of

from asrpar.parallel.comm import LocalComm, Message
from asrpar.parallel.compress.wire import Wire
from asrpar.parallel.gossip.replica import Replica

P = 17


def replica(wire):
    comm = LocalComm()
    weights = torch.randn(P, dtype=torch.float64)
    return Replica(weights, comm, wire, comm.lock(), lent=1)


def half():
    like = torch.zeros(P, dtype=torch.float64)
    return wire_of("bf16", [like.shape], like)


@pytest.mark.parametrize("make", [Wire, half])
@pytest.mark.parametrize("seed", range(20))
def test_any_order_of_exchanges_and_steps(make, seed):
    wire, others = make(), make()
    torch.manual_seed(seed)
    own, chance = replica(wire), random.Random(seed)
    x = own.weights.clone()
    sent, released, lent = None, 0, 0
    for _ in range(200):
        if chance.random() < 0.5:  # a step
            update = torch.randn(P, dtype=torch.float64)
            with own.lock:
                own.apply_received()
                assert torch.allclose(own.weights, x, rtol=0, atol=1e-12)
                own.weights.add_(update)
            x += update
        elif sent is None:
            packed = own.snapshot()
            sent = wire.unpack(packed).clone()
            assert torch.allclose(sent, x, rtol=0, atol=1e-12 if packed.dtype == x.dtype else 2.0**-7 * x.abs().max())
        else:
            payload = own.receive_buffer().copy_(others.pack(torch.randn(P, dtype=torch.float64)))
            theirs = others.unpack(payload).clone()

            def release():
                nonlocal released
                released += 1

            lent += 1
            own.mix(Message(1, 1, (), payload, release))
            x += (theirs - sent) / 2
            sent = None
    with own.lock:
        own.apply_received()
    assert torch.allclose(own.weights, x, rtol=0, atol=1e-12)
    assert lent > 20 and released == lent


def test_two_sides_hold_their_average():
    torch.manual_seed(0)
    a, b = replica(Wire()), replica(Wire())
    mean = (a.weights + b.weights) / 2
    from_a, from_b = a.snapshot(), b.snapshot()
    a.mix(Message(1, 1, (), from_b))
    b.mix(Message(0, 1, (), from_a))
    # Nobody's weights change while a gradient is computed.
    assert not torch.allclose(a.weights, mean)
    for side in (a, b):
        with side.lock:
            side.apply_received()
        assert torch.allclose(side.weights, mean, rtol=0, atol=1e-15)


def test_weights_that_change_between_two_folds():
    # As a super-learner does, whose members must first agree on the weights.
    torch.manual_seed(0)
    own = replica(Wire())
    theirs, x = torch.randn(P, dtype=torch.float64), own.weights.clone()
    own.snapshot()
    own.mix(Message(1, 1, (), theirs))
    with own.lock:
        own.settle()
        own.weights.add_(1.0)
    with own.lock:
        own.apply_received()
    assert torch.allclose(own.weights, (x + theirs) / 2 + 1.0, rtol=0, atol=1e-15)


def test_the_next_message_does_not_overwrite_one_that_is_kept():
    own = replica(Wire())
    own.snapshot()
    own.mix(Message(1, 1, (), own.receive_buffer()))
    kept = own.partner.payload
    # A message without a payload asks for a buffer, too.
    assert own.receive_buffer() is not kept
    assert own.receive_buffer() is not kept
