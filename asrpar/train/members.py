"""Going on without a learner that died, which asynchronous decentralised training makes possible (Cui et al. 2020)."""

from collections.abc import Callable, Iterator
from dataclasses import replace

from asrpar.errors import TrainingError
from asrpar.feats import Batch, BatchLoader
from asrpar.launch.rank import quorum
from asrpar.log import get_logger
from asrpar.parallel.comm import Comm

log = get_logger(__name__)


def need_quorum(left: int, size: int) -> None:
    """`TrainingError` unless so many of ``size`` learners may go on."""
    if left < quorum():
        raise TrainingError(
            f"{left} of {size} learners are left, fewer than --quorum {quorum()}: start as many as before to go on "
            "from the last checkpoint"
        )


class Members:
    """Who takes part in an epoch, and where all stood at its last synchronised moment: what is needed when one is gone.

    Args:
        comm: all ranks. Collective.
        workers: those by whose ranks the epoch's batches are dealt, the first ones.
        step: where this learner begins.

    Attributes:
        lost: the ranks that are gone.
        steps: of each rank, at that moment.
        furthest: the most of them.
    """

    def __init__(self, comm: Comm, workers: int, step: int = 0) -> None:
        self.rank, self.size, self.workers = comm.rank, comm.size, workers
        self.lost: list[int] = []
        self.steps = comm.allgather_object(step)
        self.furthest = max(self.steps)

    @property
    def serves(self) -> bool:
        """Whether this rank is dealt no batches."""
        return self.rank >= self.workers

    def synchronised(self, step: int) -> None:
        """All have taken ``step`` steps of the epoch, and what these have brought is with all."""
        self.steps, self.furthest = [step] * self.size, step

    def survivors(self, comm: Comm) -> Comm:
        """Those of ``comm`` who are left after one was lost, and who know from now on who that was. Collective.

        Raises:
            TrainingError: they are too few to go on.
        """
        left = comm.survivors()
        ranks = left.allgather_object(self.rank)
        self.lost = [r for r in range(self.size) if r not in ranks]
        need_quorum(left.size, self.size)
        log.warning(
            "rank%s %s of %d lost; going on with %d learner(s), who share its batches of this epoch",
            "" if len(self.lost) == 1 else "s", ", ".join(map(str, self.lost)), self.size, left.size,
        )  # fmt: skip
        return left

    def inherited(self, comm: Comm, load: Callable[[int, int], BatchLoader], epoch: int) -> Iterator[Batch]:
        """What this learner, one of ``comm``, takes over of the lost ones' batches.

        How far a lost learner got since the last synchronised moment nobody knows, so its batches since then are all
        dealt anew: every utterance of the epoch is used, some of them twice.

        Args:
            comm: those who are left.
            load: the batches of a rank, for so many workers.
            epoch: which.
        """
        for rank in [r for r in self.lost if r < self.workers]:
            batches = load(self.workers, rank).epoch(epoch, start_step=self.steps[rank])
            for number, batch in enumerate(batches):
                if number % comm.size == comm.rank:
                    # The global batches that we have taken our own parts of have these frames counted already.
                    yield replace(batch, global_frames=0)
