"""MPI that outlives its ranks: user-level failure mitigation (ULFM), under Open MPI's ``mpirun --with-ft mpi``."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mpi4py import MPI

from asrpar.parallel.comm.base import Comm, LearnerLost
from asrpar.parallel.comm.calls import Calls, called_back
from asrpar.parallel.comm.door import let_in
from asrpar.parallel.comm.forwarding import ForwardingComm
from asrpar.parallel.comm.mpi import MpiComm
from asrpar.parallel.trace import Trace

# The last one: of several requests one has failed, which here has no other cause.
_LOST = (MPI.ERR_PROC_FAILED, MPI.ERR_PROC_FAILED_PENDING, MPI.ERR_REVOKED, MPI.ERR_IN_STATUS)
# The calls of this process, whatever group it is in.
_CALLS = Calls()
# How long after an error of no kind it may take until MPI tells of the death behind it.
_NEWS_SECONDS = 2.0
# How long it may take until all that are left know their new group.
_SHRINKING = 1.0


class SurvivingComm(ForwardingComm):
    """`MpiComm` whose calls raise `LearnerLost` when a rank has died, and which can be made anew without it.

    Sums go through MPI: nobody can wait for the memory of a rank that is gone.
    """

    inner: MpiComm

    def __init__(self, inner: MpiComm | None = None, family: list["SurvivingComm"] | None = None) -> None:
        super().__init__(inner or MpiComm(share_memory=False))
        # All communicators of this learner: who waits on any of them must hear of a loss.
        self.family = [] if family is None else family
        self.family.append(self)

    def wrap(self, inner: MpiComm) -> "SurvivingComm":
        return SurvivingComm(inner, self.family)

    @contextmanager
    def around(self) -> Iterator[None]:
        """Tell the loss of a rank from other errors of MPI."""
        try:
            yield
        except MPI.Exception as e:
            kind = e.Get_error_class()
            # Open MPI 5.0.11's barrier says ERR_OTHER where a rank has died, or another has revoked, meanwhile.
            if kind in _LOST or (kind == MPI.ERR_OTHER and _somebody_failed(self.inner.mpi)):
                raise LearnerLost(str(e)) from e
            raise

    def survivors(self) -> "SurvivingComm":
        """The learners that are left, by their order here. Collective among them."""
        for comm in self.family:
            comm.inner.revoke()
        group, made = self.inner.mpi, None
        while made is None:
            # The loss that all have come for may be unknown to it yet, or another one may follow.
            group = group.Shrink()
            made = settled(group, self.trace)
        return SurvivingComm(made)

    @property
    def recalls(self) -> bool:
        """As the launcher was asked."""
        return called_back()

    def call_back(self, seats: list[int], brief: Any) -> None:
        if self.recalls:
            _CALLS.begin(seats, brief)

    def newcomers(self) -> list[int]:
        return _CALLS.ready() if self.rank == 0 else []

    def grown(self) -> Comm:
        """Newcomers are let in one after the other: each is started by itself, and all have to do with each."""
        mpi, first = self.inner.mpi, self.rank == 0
        coming = _CALLS.come() if first else []
        with self.around():
            count = mpi.bcast(len(coming), 0)
        if not count:
            return self
        grown = None
        try:
            world = mpi
            for number in range(count):
                port = MPI.Open_port() if first else ""
                if first:
                    coming[number].tell((port, count - 1 - number))
                world = let_in(world, port)
                if first:
                    MPI.Close_port(port)
            grown = MpiComm(world, self.trace, share_memory=False)
        except MPI.Exception:
            pass  # of which all are told now
        well = agreed(mpi, grown is not None)
        if first:
            _CALLS.came(well)
        if not well:
            raise LearnerLost("a learner was lost while others came in")
        return SurvivingComm(grown)

    def close(self) -> None:
        _CALLS.close()
        self.inner.close()


def settled(group: MPI.Intracomm, trace: Trace) -> MpiComm | None:
    """What its ranks speak by; None, on all of them, if one was lost before that was made. Collective."""
    made = None
    try:
        made = MpiComm(group, trace, share_memory=False)
    except MPI.Exception:
        # The others may wait for this one. Open MPI 5.0.11 falls over a revocation that meets a rank in Shrink.
        time.sleep(_SHRINKING)
        if not group.Is_revoked():
            group.Revoke()
    return made if agreed(group, made is not None) else None


def agreed(group: MPI.Intracomm, well: bool) -> bool:
    """Whether all are well, and are there still: the same answer on all, whoever dies meanwhile. Collective."""
    try:
        return bool(group.Agree(int(well)))
    except MPI.Exception:
        return False


def _somebody_failed(mpi: MPI.Comm) -> bool:
    """Whether MPI knows, or soon gets to know, of a loss in ``mpi``: by itself, or from a rank that has revoked it."""
    until = time.monotonic() + _NEWS_SECONDS
    while not (mpi.Is_revoked() or mpi.Get_failed().Get_size()):
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True
