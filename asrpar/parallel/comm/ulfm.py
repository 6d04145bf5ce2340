"""MPI that outlives its ranks: user-level failure mitigation (ULFM), under Open MPI's ``mpirun --with-ft mpi``."""

import time
from collections.abc import Callable
from functools import wraps
from typing import Any

from mpi4py import MPI

from asrpar.parallel.comm.base import LearnerLost
from asrpar.parallel.comm.mpi import MpiComm
from asrpar.parallel.trace import Trace

# The last one: of several requests one has failed, which here has no other cause.
_LOST = (MPI.ERR_PROC_FAILED, MPI.ERR_PROC_FAILED_PENDING, MPI.ERR_REVOKED, MPI.ERR_IN_STATUS)
# How long after an error of no kind it may take until MPI tells of the death behind it.
_NEWS_SECONDS = 2.0


class SurvivingComm(MpiComm):
    """`MpiComm` whose calls raise `LearnerLost` when a rank has died, and which can be made anew without it.

    Sums go through MPI: nobody can wait for the memory of a rank that is gone.
    """

    def __init__(
        self,
        comm: MPI.Comm | None = None,
        trace: Trace | None = None,
        *,
        polling: bool = False,
        family: list["SurvivingComm"] | None = None,
    ) -> None:
        super().__init__(comm, trace, polling=polling)
        self._share_memory = False
        # All communicators of this learner: who waits on any of them must hear of a loss.
        self.family = [] if family is None else family
        self.family.append(self)

    def channel(self) -> "SurvivingComm":
        """A duplicate of the communicator, whose waits leave the core to others."""
        return SurvivingComm(self.mpi, self.trace, polling=True, family=self.family)

    def split(self, color: int | None, name: str = "") -> "SurvivingComm | None":
        """A communicator for each color."""
        part = self.mpi.Split(MPI.UNDEFINED if color is None else color, self.rank)
        return None if part == MPI.COMM_NULL else SurvivingComm(part, self.trace, family=self.family)

    def survivors(self) -> "SurvivingComm":
        """The learners that are left, by their order here. Collective among them."""
        for comm in self.family:
            for mpi in (comm.mpi, comm._board, comm._background):
                if mpi is not None and not mpi.Is_revoked():
                    mpi.Revoke()
        part = self.mpi.Shrink()
        return SurvivingComm(part, self.trace)


def _somebody_failed(mpi: MPI.Comm) -> bool:
    """Whether MPI knows, or soon gets to know, of a loss in ``mpi``: by itself, or from a rank that has revoked it."""
    until = time.monotonic() + _NEWS_SECONDS
    while not (mpi.Is_revoked() or mpi.Get_failed().Get_size()):
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True


def _guarded(method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def call(comm: SurvivingComm, *args: Any, **options: Any) -> Any:
        try:
            return method(comm, *args, **options)
        except MPI.Exception as e:
            kind = e.Get_error_class()
            # Open MPI 5.0.11's barrier says ERR_OTHER where a rank has died, or another has revoked, meanwhile.
            if kind in _LOST or (kind == MPI.ERR_OTHER and _somebody_failed(comm.mpi)):
                raise LearnerLost(str(e)) from e
            raise

    return call


for _name in (
    "_add_up", "allreduce", "broadcast", "exchange", "alltoall", "allgather", "allgather_object", "barrier", "send",
    "send_all", "_wait_all", "receive", "drafts", "channel", "split", "node", "post", "posted",
):  # fmt: skip
    setattr(SurvivingComm, _name, _guarded(getattr(SurvivingComm, _name)))
