"""Going on without a learner that died, which asynchronous decentralised training makes possible (Cui et al. 2020)."""

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from asrpar.feats import Batch
from asrpar.log import get_logger
from asrpar.parallel.comm import Comm

if TYPE_CHECKING:
    from asrpar.train.trainer import Trainer

log = get_logger(__name__)


class Members:
    """Who takes part in an epoch, and where all stood at its last synchronised moment: what is needed when one is gone.

    Args:
        comm: all ranks.
        workers: those by whose ranks the epoch's batches are dealt, the first ones.
        step: where this learner begins. Collective.

    Attributes:
        lost: the ranks that are gone.
        steps: of each rank, at that moment.
    """

    def __init__(self, comm: Comm, workers: int, step: int) -> None:
        self.rank, self.size, self.workers = comm.rank, comm.size, workers
        self.lost: list[int] = []
        self.steps = comm.allgather_object(step)


def regroup(trainer: "Trainer", members: Members) -> Comm:
    """The learners that are left, after one was lost; the trainer's transport and strategy are replaced."""
    comm = trainer.comm.survivors()
    left = comm.allgather_object(members.rank)
    members.lost = [r for r in range(members.size) if r not in left]
    log.warning(
        "rank%s %s of %d lost; going on with %d learner(s), who share its batches of this epoch",
        "" if len(members.lost) == 1 else "s", ", ".join(map(str, members.lost)), members.size, comm.size,
    )  # fmt: skip
    comm.trace = trainer.trace
    trainer.rebuild(comm)
    return comm


def go_on(trainer: "Trainer", members: Members, batches: Iterator[Batch], batch: Batch | None) -> Iterator[Batch]:
    """Let a trainer go on among those who are left; returns what is left of the epoch for it.

    How far a lost learner got since the last synchronised moment nobody knows, so its batches since then are all dealt
    anew: every utterance of the epoch is used, some of them twice.

    Args:
        trainer: whose strategy has raised `LearnerLost`; its transport and strategy are replaced.
        members: of the epoch, as it began.
        batches: what this learner had not begun.
        batch: what it was working on.
    """
    comm = regroup(trainer, members)

    def rest() -> Iterator[Batch]:
        if batch is not None:
            yield batch
        yield from batches
        for rank in [r for r in members.lost if r < members.workers]:
            loader = trainer.parts.loader(members.workers, rank)
            share = loader.epoch(trainer.position.epoch, start_step=members.steps[rank])
            for number, inherited in enumerate(share):
                if number % comm.size == comm.rank:
                    # The global batches that we have taken our own parts of have these frames counted already.
                    yield replace(inherited, global_frames=0)

    return rest()
