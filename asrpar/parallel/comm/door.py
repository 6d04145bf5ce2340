"""How a newcomer comes among learners of MPI.

It and the first rank, which has started it, talk over a communicator of these two, the bridge: what it is to know, that
it is ready, that it may come. Then the others let it in at a port of theirs. (A group made over the bridge alone, by
``Create_intercomm``, hangs in Open MPI 5.0.11.)
"""

from mpi4py import MPI

# What is said over the bridge.
READY, COME, HERE, GO = "ready", "come", "here", "go"


def let_in(world: MPI.Intracomm, port: str = "") -> MPI.Intracomm:
    """``world`` and one newcomer, its last rank. Collective; rank 0 has the ``port`` that the newcomer knows."""
    together = world.Accept(port, root=0).Merge(high=False)
    together.Set_errhandler(MPI.ERRORS_RETURN)
    return together
