"""The processes of all learners: who stands still can be ended, so that the others go on without."""

import os
import signal
from contextlib import suppress

from asrpar.launch.guard import gone, identity
from asrpar.parallel.comm import Comm


class Neighbours:
    """The learners' processes, of which this one can end those of its own host.

    Attributes:
        processes: by rank, as `identity` says.
    """

    def __init__(self) -> None:
        self.processes: dict[int, str] = {}

    def meet(self, comm: Comm, rank: int) -> list[int]:
        """Learn of all processes of ``comm``; returns the numbers that they go by, as this one by ``rank``. Collective.

        These may be those of a larger world that was before.
        """
        self.processes = dict(comm.allgather_object((rank, identity(os.getpid()))))
        return list(self.processes)

    def end(self, rank: int) -> bool:
        """End a learner's process by SIGKILL, which also a stopped one cannot escape; whether it is gone, or will be.

        Not on another host, which one of its own there has to do.
        """
        process = self.processes.get(rank, "")
        here, there = identity(os.getpid()).split()[:2], process.split()[:2]
        if here != there:
            return False
        number = int(process.split()[2])
        with suppress(OSError):
            handle = os.pidfd_open(number)
            try:
                # Looked at once more when no other can take its number.
                if not gone(process):
                    signal.pidfd_send_signal(handle, signal.SIGKILL)
            finally:
                os.close(handle)
        return True
