"""Gradients summed while backward goes on."""

from pathlib import Path

import pytest
import torch
from toy import ToyLearner, data, wire_of

from asrpar.errors import ConfigError
from asrpar.parallel.comm import LocalComm
from asrpar.parallel.local.buckets import Buckets
from asrpar.parallel.strategies import make_strategy, settings_class

PROGRAM = Path(__file__).parents[1] / "programs" / "buckets.py"


@pytest.mark.mpi
@pytest.mark.parametrize("ranks", [2, 3])
def test_buckets_change_nothing(mpirun, repo, ranks):
    done = mpirun(ranks, PROGRAM, env={"PYTHONPATH": f"{repo}:{repo / 'tests/support'}"})
    assert done.stdout.count("passed") == ranks


class Recorder(LocalComm):
    """Notes the slices whose sums begin, and whether backward was still going on."""

    def __init__(self, learner):
        super().__init__()
        self.learner, self.begun = learner, []

    def allreduce_begin(self, x):
        at = (x.data_ptr() - self.learner.message.data_ptr()) // x.itemsize
        self.begun.append((at, at + len(x), self.learner.busy))
        return super().allreduce_begin(x)


class Busy(ToyLearner):
    """Knows when it computes."""

    def gradient(self, batch):
        self.busy = True
        frames = super().gradient(batch)
        self.busy = False
        return frames


def test_sums_begin_during_backward_in_one_order():
    learner = Busy()
    comm = Recorder(learner)
    buckets = Buckets(learner, comm, nbytes=1)
    assert buckets.bounds == [(5, 6), (0, 5)]
    buckets.sum_gradient(data(1, 4)[0])
    assert comm.begun == [(5, 6, True), (0, 5, True), (6, 7, False)]
    assert learner.message[-1] == 4
    # Without data backward does not run: the same sums begin, in the same order.
    comm.begun.clear()
    buckets.sum_gradient(None)
    assert comm.begun == [(5, 6, False), (0, 5, False), (6, 7, False)]
    assert torch.count_nonzero(learner.message) == 0


def test_refuses_what_cannot_be():
    make = settings_class("ssgd")
    with pytest.raises(ConfigError, match="bucket_mb"):
        make_strategy("ssgd", make(bucket_mb=-1.0), ToyLearner(), LocalComm())
    learner = ToyLearner()
    wire = wire_of("onebit", learner.shapes, learner.weights)
    with pytest.raises(ConfigError, match=r"onebit.*bucket_mb"):
        make_strategy("ssgd", make(bucket_mb=1.0), learner, LocalComm(), wire)
