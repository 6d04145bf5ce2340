"""Payloads that are read where they were written."""

from pathlib import Path

import pytest
import torch

from asrpar.parallel.comm import LocalComm

PROGRAM = Path(__file__).parents[1] / "programs" / "lending.py"


@pytest.mark.mpi
@pytest.mark.parametrize("ranks", [2, 4])
def test_ranks_of_a_node_lend(mpirun, ranks):
    assert mpirun(ranks, PROGRAM, "lent").stdout.count("passed") == ranks


@pytest.mark.mpi
def test_ranks_without_shared_memory_copy(mpirun):
    assert mpirun(2, PROGRAM, "copied", env={"ASRPAR_SHARED_MEMORY": "0"}).stdout.count("passed") == 2


def test_a_transport_that_cannot_lend_has_one_draft():
    comm, like = LocalComm(), torch.zeros(5)
    drafts = comm.drafts(like, 3)
    first = drafts.next().fill_(1.0)
    comm.send(0, 1, payload=first)
    assert drafts.next() is first
    first.fill_(2.0)
    message = comm.receive(torch.empty(5))
    message.release()
    assert message.payload.tolist() == [1.0] * 5
