"""Wrappers forward all that a transport, or a learner, can do."""

import inspect

import pytest
import torch
from toy import ToyLearner, data

from asrpar.parallel.comm import Comm, LocalComm
from asrpar.parallel.comm.forwarding import ForwardingComm
from asrpar.parallel.contract import Learner
from asrpar.parallel.learner import ForwardingLearner
from asrpar.parallel.trace import Trace


class Counting(ForwardingComm):
    """Counts what goes through it."""

    def __init__(self, inner):
        super().__init__(inner)
        self.depth = self.passed = 0

    def wrap(self, inner):
        return Counting(inner)

    def around(self):
        return self

    def __enter__(self):
        self.depth += 1
        self.passed += 1

    def __exit__(self, *_):
        self.depth -= 1


def public(kind: type) -> set[str]:
    return {name for name, value in vars(kind).items() if inspect.isfunction(value) and not name.startswith("_")}


def test_all_of_a_transport_is_forwarded():
    assert public(Comm) <= public(ForwardingComm)


def test_all_of_a_learner_is_forwarded():
    assert public(Learner) <= public(ForwardingLearner)
    assert set(Learner.__annotations__) <= set(vars(ForwardingLearner))


def test_messages_go_through_and_come_back():
    comm = Counting(LocalComm())
    x = torch.ones(3)
    comm.allreduce(x)
    pending = comm.allreduce_begin(x)
    pending.wait()
    comm.send(0, 7, (1.5,), torch.arange(3.0))
    message = comm.receive(torch.empty(3))
    assert (message.kind, message.numbers[0], message.payload.tolist()) == (7, 1.5, [0.0, 1.0, 2.0])
    assert comm.allgather_object("all") == ["all"]
    assert (comm.rank, comm.size, comm.depth, comm.passed) == (0, 1, 0, 6)


def test_channels_and_parts_are_wrapped_alike():
    comm = Counting(LocalComm())
    assert isinstance(comm.channel(), Counting) and isinstance(comm.split(0), Counting)
    assert comm.split(None) is None


def test_the_trace_is_that_of_the_inner_one():
    comm = Counting(LocalComm())
    comm.trace = trace = Trace()
    assert comm.inner.trace is trace and comm.trace is trace


def test_errors_pass_through_what_is_around():
    class Told(Counting):
        def __exit__(self, kind, *_):
            if kind is ValueError:
                raise RuntimeError("told")

    comm = Told(LocalComm())
    comm.send(0, 1, payload=torch.zeros(2))
    with pytest.raises(RuntimeError, match="told"):
        comm.receive(torch.zeros(1))


def test_a_learner_trains_through_its_wrapper():
    own, inner = ToyLearner(momentum=0.9), ToyLearner(momentum=0.9)
    wrapped = ForwardingLearner(inner)
    own.lr = wrapped.lr = 0.01
    for batch in data(4, 3):
        wrapped.move(wrapped.weights.clone())
        for one in (own, wrapped):
            assert one.apply(one.gradient(batch))
    wrapped.reset_optimizer()
    wrapped.count_nonfinite()
    assert torch.equal(own.weights, wrapped.weights)
    assert (inner.lr, inner.nonfinite, wrapped.shapes) == (0.01, 1, inner.shapes)
    assert wrapped.message[:-1].data_ptr() == wrapped.grad.data_ptr() == inner.grad.data_ptr()
