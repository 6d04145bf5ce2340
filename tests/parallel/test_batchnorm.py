"""Running statistics of all learners together."""

from pathlib import Path

import pytest
import torch
from torch import nn

from asrpar.parallel.batchnorm import combine_batchnorm
from asrpar.parallel.comm import LocalComm

PROGRAM = Path(__file__).parent / "programs" / "batchnorm.py"


@pytest.mark.mpi
@pytest.mark.parametrize("ranks", [2, 3])
def test_combined_statistics_are_those_of_one_module_that_saw_everything(mpirun, repo, ranks):
    done = mpirun(ranks, PROGRAM, timeout=240, env={"PYTHONPATH": f"{repo}:{repo / 'tests/support'}"})
    assert done.stdout.count("passed") == ranks


def test_a_learner_that_is_alone_keeps_its_statistics():
    module = nn.BatchNorm1d(2).train()
    module(torch.randn(5, 2))
    before = module.running_var.clone()
    combine_batchnorm(module, LocalComm())
    assert torch.equal(module.running_var, before)


def test_layers_without_running_statistics_are_left_alone():
    combine_batchnorm(nn.Sequential(nn.BatchNorm1d(2, track_running_stats=False), nn.Linear(2, 2)), LocalComm())
