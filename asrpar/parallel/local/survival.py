"""After a loss in lockstep: a sum that was on its way may have come to some of those who are left, not to others."""

from asrpar.errors import TrainingError
from asrpar.parallel.comm import Comm
from asrpar.parallel.compress.wire import Wire


def newest(comm: Comm, done: int) -> tuple[int, int]:
    """The most synchronisations that any learner of ``comm`` has ``done``, and the first one that has. Collective.

    Nobody can be more than one behind: the next sum needs all of them.
    """
    everybody = comm.allgather_object(done)
    return max(everybody), everybody.index(max(everybody))


def check_wire(wire: Wire) -> None:
    """`TrainingError` where what compression keeps may differ between those who are left."""
    if wire.state_dict():
        raise TrainingError(
            f"a learner was lost, and compression '{wire.method}' keeps what all must have alike: run again to resume"
        )
