"""Sums through the memory of a node."""

from pathlib import Path

import pytest

PROGRAM = Path(__file__).parents[1] / "programs" / "shared.py"


@pytest.mark.mpi
@pytest.mark.parametrize("ranks", [2, 3, 4])
def test_sums_are_exact_and_the_same_on_all_ranks(mpirun, ranks):
    assert mpirun(ranks, PROGRAM).stdout.count("passed") == ranks


@pytest.mark.mpi
def test_sums_without_shared_memory(mpirun):
    assert mpirun(2, PROGRAM, env={"ASRPAR_SHARED_MEMORY": "0"}).stdout.count("passed") == 2


@pytest.mark.mpi
def test_a_rank_that_fails_between_sums_ends_the_job(mpirun):
    program = """
import torch
from asrpar.parallel.comm.mpi import MpiComm
comm = MpiComm()
x = comm.zeros(100_000, torch.zeros(1))
comm.allreduce(x)
if comm.rank == 1:
    raise RuntimeError("on purpose")
comm.allreduce(x)
"""
    done = mpirun(2, program, timeout=30, check=False)
    assert done.returncode != 0
    assert "on purpose" in done.stderr
