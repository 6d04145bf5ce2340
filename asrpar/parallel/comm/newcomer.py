"""A learner that MPI has started in a lost one's place, until it is among the others; see `door`."""

import os
import threading
import time
from typing import Any

from mpi4py import MPI

from asrpar.launch.rank import tell_back, vanish
from asrpar.parallel.comm.base import Comm
from asrpar.parallel.comm.door import COME, GO, HERE, READY, let_in
from asrpar.parallel.comm.local import LocalComm
from asrpar.parallel.comm.mpi import MpiComm
from asrpar.parallel.comm.ulfm import SurvivingComm

# Seconds between two looks at the bridge.
_PAUSE = 0.005
# Seconds to end MPI.
_ENDING = 5.0


class Newcomer(LocalComm):
    """One learner, alone until it has `grown`. Nobody waits for it, and nobody misses it if it ends before."""

    def __init__(self) -> None:
        super().__init__()
        try:
            self.bridge = MPI.Comm.Get_parent().Merge(high=True)
        except MPI.Exception:  # who has started it has died
            self.leave()
        self.bridge.Set_errhandler(MPI.ERRORS_RETURN)
        self.invitation = self.hear()

    def grown(self) -> Comm:
        """The others and this one. Ends the process in good order where it is not needed any more."""
        self.bridge.send(READY, 0)
        while self.hear() == COME:
            self.bridge.send(HERE, 0)
            port, others = self.hear()
            try:
                world = MPI.COMM_SELF.Connect(port).Merge(high=True)
                for _ in range(others):
                    world = let_in(world)
                mine = MpiComm(world, self.trace, share_memory=False)
            except MPI.Exception:
                break
            if self.hear() == GO:
                tell_back()
                return SurvivingComm(mine)
            break
        self.leave()

    def hear(self) -> Any:
        """The next word of who has started this process; ends it, if that one has gone or sends it away."""
        try:
            while not self.bridge.Iprobe(0):
                if self.bridge.Get_failed().Get_size():
                    self.leave()
                time.sleep(_PAUSE)
            word = self.bridge.recv(source=0)
        except MPI.Exception:
            self.leave()
        if word is None:
            self.leave()
        return word

    def leave(self) -> None:
        """Nobody needs this process."""
        # It may wait for one that has gone.
        ending = threading.Timer(_ENDING, vanish)
        ending.daemon = True
        ending.start()
        MPI.Finalize()
        os._exit(0)
