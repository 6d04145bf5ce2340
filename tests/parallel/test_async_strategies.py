"""Asynchronous strategies: equalities and invariants on real MPI ranks."""

from pathlib import Path

import pytest

PROGRAMS = Path(__file__).parent / "programs"


@pytest.mark.mpi
@pytest.mark.parametrize("ranks", [1, 2, 3, 4])
def test_oracles_under_mpi(mpirun, repo, ranks):
    path = {"PYTHONPATH": f"{repo}:{repo / 'tests/support'}"}
    done = mpirun(ranks, PROGRAMS / "async_oracles.py", env=path, timeout=180)
    assert done.stdout.count("passed") == ranks


@pytest.mark.mpi
@pytest.mark.parametrize("seed", [1, 2])
def test_nothing_is_lost_in_many_exchanges(mpirun, repo, seed):
    # Longer runs: 10000 exchanges, or 60 seconds, with other seeds.
    program = PROGRAMS / "gossip_soak.py"
    done = mpirun(4, program, 400, 0, seed, env={"PYTHONPATH": f"{repo}:{repo / 'tests/support'}"}, timeout=180)
    assert done.stdout.count("passed") == 4
