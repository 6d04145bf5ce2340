"""Transports: the only code that knows how messages travel."""

from asrpar.parallel.comm.base import Comm, Invitation, LearnerLost, Message
from asrpar.parallel.comm.local import LocalComm

__all__ = ["Comm", "Invitation", "LearnerLost", "LocalComm", "Message", "world"]


def world() -> Comm:
    """The transport of this process: MPI when it was started as a rank of an MPI job, else alone.

    MPI is not even imported for a process that runs alone, so that it works on machines without MPI.
    """
    import os

    from asrpar.errors import LaunchError
    from asrpar.launch.guard import leave_with_parent
    from asrpar.launch.rank import SEAT, SURVIVE, check_world

    # Set by Open MPI, MPICH and other PMI launchers, and srun, in that order.
    started_by_mpi = any(v in os.environ for v in ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "PMIX_RANK", "PMI_RANK"))
    if started_by_mpi or "ASRPAR_WORLD_SIZE" in os.environ:
        leave_with_parent()
        if os.environ.get(SEAT):
            from asrpar.parallel.comm.newcomer import Newcomer

            return Newcomer()
        if os.environ.get(SURVIVE):
            from asrpar.parallel.comm.ulfm import SurvivingComm as Transport
        else:
            from asrpar.parallel.comm.mpi import MpiComm as Transport

        comm: Comm = Transport()
    else:
        comm = LocalComm()
    check_world(comm.size)
    # A launcher that does not belong to the MPI library starts N processes that each believe to be alone.
    asked = next((int(os.environ[v]) for v in ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE") if v in os.environ), comm.size)
    if not started_by_mpi and comm.size == 1:
        asked = int(os.environ.get("SLURM_STEP_NUM_TASKS", "1"))
    if asked != comm.size:
        raise LaunchError(
            f"{asked} processes were started, but MPI sees a world of {comm.size}: the launcher and the MPI library of "
            "mpi4py do not belong together; use asrpar launch, or srun with the right --mpi"
        )
    return comm
