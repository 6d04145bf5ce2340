"""`asrpar.parallel` for training loops that know nothing of this toolkit: what can be imported from it."""

from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import asrpar.parallel
from asrpar.parallel import FlatLearner, Parallel, make_strategy, world


def test_the_parts_train_without_a_loop_of_their_own():
    torch.manual_seed(0)
    inputs = torch.randn(1024, 20)
    labels = (inputs @ torch.randn(20, 5)).argmax(1)
    model = nn.Linear(20, 5)

    def loss(model, batch):
        return F.cross_entropy(model(inputs[batch]), labels[batch], reduction="sum"), len(batch)

    comm = world()
    learner = FlatLearner(model, partial(torch.optim.SGD, lr=0.1, momentum=0.9), loss, zeros=comm.zeros)
    strategy = make_strategy("bmuf", {"sync_steps": 8}, learner, comm)
    strategy.start()
    for _ in range(4):
        strategy.epoch(torch.arange(1024).split(32)[comm.rank :: comm.size])
    learner.weights.copy_(strategy.model())
    strategy.close()
    assert F.cross_entropy(model(inputs), labels) < 0.5


def test_what_the_door_does_not_have():
    assert Parallel.__name__ == "Parallel"
    with pytest.raises(AttributeError, match="no attribute 'make_coffee'"):
        asrpar.parallel.make_coffee  # noqa: B018
