"""How the batches of an epoch come to the learners: in equal shares, or to whoever is ready for the next one.

With equal shares the slowest learner decides when an epoch ends, also where nobody waits for it within. Learners that
go at their own pace are therefore dealt the shares on demand (`asrpar.train.dealing`).

An epoch comes in *parts*, which the trainer takes one after the other, and it is told how each of them went:

    for part in shares.parts(comm, loader, position):
        ...                         # what is due before it, see `Part.due`
        part.outcome = take(part)   # with part as batches: ...
"""

import itertools
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import NamedTuple

from asrpar.feats import Batch, BatchLoader
from asrpar.parallel.comm import Comm
from asrpar.train.config import TrainConfig
from asrpar.train.members import Members
from asrpar.train.position import Position


class Due(NamedTuple):
    """What is due at a step: the loss of the dev set, a checkpoint."""

    dev: bool = False
    save: bool = False


class Intervals(NamedTuple):
    """Steps from one dev loss, and from one checkpoint, to the next; 0 for never."""

    dev: int = 0
    save: int = 0

    @classmethod
    def of(cls, config: TrainConfig) -> "Intervals":
        """Those of the settings."""
        return cls(config.dev_every_steps, config.checkpoint.every_steps)

    def due(self, steps: int) -> Due:
        """After so many steps of a run."""
        return Due(*(bool(every) and steps % every == 0 for every in self))

    def next_stop(self, begin: int, end: int) -> int:
        """The first step after ``begin`` at which something is due, at most ``end``."""
        return min([end, *(begin + every - begin % every for every in self if every)])


@dataclass
class Outcome:
    """How a part went, for this learner.

    Attributes:
        stopped: the signal that ended it early, else 0.
        consumed: shares whose steps have been taken.
        joining: whether it ended early for others to come in.
        unfinished: the batch in whose step a learner was lost.
        survivors: those who are left, if a learner was lost.
    """

    stopped: int = 0
    joining: bool = False
    consumed: list[int] = field(default_factory=list)
    unfinished: Batch | None = None
    survivors: Comm | None = None


class Part:
    """Batches that are taken without a pause; a context, in which they are.

    Args:
        members: who takes part in the epoch.
        batches: this learner's.

    Attributes:
        alike: in it all learners take equally many steps, so that what is due after so many is due for all at once.
        due: what is to be done before it begins.
        outcome: how it went, once it has been taken.
    """

    alike = True
    due = Due()

    def __init__(self, members: Members, batches: Iterator[Batch]) -> None:
        self.members, self.batches, self.outcome = members, batches, Outcome()

    def __enter__(self) -> Iterator[Batch]:
        return self.batches

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        pass

    def left(self) -> Iterator[Batch]:
        """What this learner had not finished, or not begun."""
        if self.outcome.unfinished is not None:
            yield self.outcome.unfinished
        yield from self.batches


class EqualShares:
    """A share of each global batch to each learner; an epoch is one part, and another after each loss of a learner.

    Args:
        load: the batches of a rank, for so many workers.

    Attributes:
        deals_anew: whether what is left of an epoch is dealt among whoever is there, when learners are lost or come.
    """

    deals_anew = False

    def __init__(self, load: Callable[[int, int], BatchLoader]) -> None:
        self.load = load

    def parts(self, comm: Comm, loader: BatchLoader, position: Position) -> Iterator[Part]:
        """What is left of the epoch at ``position``. Collective.

        Args:
            comm: all ranks.
            loader: this rank's batches.
            position: where this learner is, counted on by whoever takes the parts.
        """
        members = Members(comm, loader.num_learners, position.step)
        batches = loader.epoch(position.epoch, start_step=position.step)
        part = Part(members, without_speech(batches) if members.serves else batches)
        yield part
        while (left := part.outcome.survivors) is not None:
            part = Part(members, itertools.chain(part.left(), members.inherited(left, self.load, position.epoch)))
            yield part

    def place(self, position: Position, lost: Collection[int] = ()) -> tuple[int, set[int]]:
        """See `OnDemand.place`; asked for at an epoch's end only."""
        return position.step, set(position.done)

    def stand(self, position: Position, step: int, done: set[int]) -> None:
        """All are at the same step there."""

    def abandon(self) -> None:
        """Nobody waits for anything there."""


def without_speech(batches: Iterator[Batch]) -> Iterator[Batch]:
    """The same steps for a rank that serves instead of computing."""
    return map(emptied, batches)


def emptied(batch: Batch) -> Batch:
    """A step with nothing in it, nobody's share."""
    batch.features, batch.feature_lens = batch.features[:0], batch.feature_lens[:0]
    batch.targets, batch.ids, batch.num_frames, batch.share = [], [], 0, -1
    return batch
