"""How the batches of an epoch come to the learners: in equal shares, or to whoever is ready for the next one.

With equal shares the slowest learner decides when an epoch ends, also where nobody waits for it within. Learners that
go at their own pace are therefore dealt the shares on demand, as the workers of Dean et al. 2012 are: one that is three
times slower than the others takes a third of what they take.
"""

import itertools
from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING

from asrpar.errors import ConfigError
from asrpar.feats import Batch, BatchLoader
from asrpar.parallel.comm import Comm, LearnerLost
from asrpar.parallel.contract import Strategy
from asrpar.train.build import without_speech
from asrpar.train.survive import Members, go_on, regroup

if TYPE_CHECKING:
    from asrpar.train.trainer import Trainer

ASK, LEAVE, SHARE, LOST = 1, 2, 3, 4
# A share's number and the frames that have been dealt when it has been, over all learners.
Dealt = tuple[int, int]
END: Dealt = (-1, 0)


class Dealer:
    """One learner's view of the dealer, an activity of rank 0.

    A learner asks for its next share when it begins to compute with the one before, so that the answer and the loading
    cost no time; when the shares come to an end, a slow learner is at most two of them behind the others.

    Args:
        comm: all ranks. Collective.

    Attributes:
        abandoned: the job failed or lost a learner: nobody is there to take leave of.
    """

    def __init__(self, comm: Comm) -> None:
        # The dealer and its own rank's learner receive at the same time.
        self.comm, self.requests, self.replies = comm, comm.channel(), comm.channel()
        self.activity = None
        self.asked = self.answered = 0
        self.abandoned = False

    def open(self, shares: list[Dealt], clients: int) -> None:
        """Let rank 0 begin to deal ``shares``, in their order, to the ranks below ``clients``."""
        if self.comm.rank == 0:
            self.activity = self.comm.spawn(lambda: self.deal(shares, clients), "dealer")

    def deal(self, shares: list[Dealt], clients: int) -> None:
        """Answer each request until everybody has left."""
        left = iter(shares)
        try:
            while clients:
                message = self.requests.receive()
                self.replies.send(message.source, SHARE, next(left, END) if message.kind == ASK else END)
                clients -= message.kind == LEAVE
        except LearnerLost:
            # The others may be waiting for an answer, and would not hear of it.
            for rank in range(self.comm.size):
                try:
                    self.replies.send(rank, LOST)
                except LearnerLost:
                    continue

    def request(self, kind: int) -> None:
        """Send a request."""
        self.asked += 1
        self.requests.send(0, kind)

    def answer(self) -> Dealt:
        """The answer to the oldest request without one."""
        message = self.replies.receive(source=0)
        if message.kind == LOST:
            raise LearnerLost("the dealer lost a learner")
        self.answered += 1
        number, frames = map(int, message.numbers[:2])
        return number, frames

    def answers(self) -> Iterator[Dealt]:
        """Shares, with the frames that have been dealt since this learner's share before."""
        seen = 0
        while (dealt := self.answer()) != END:
            yield dealt[0], dealt[1] - seen
            seen = dealt[1]

    def batches(self, load: Callable[[Iterator[Dealt]], Generator[Batch, None, None]]) -> Generator[Batch, None, None]:
        """The batches of this learner; ``load`` makes them from shares, one ahead of the caller."""
        self.request(ASK)
        loaded = load(self.answers())
        try:
            for batch in loaded:
                self.request(ASK)
                yield batch
        finally:
            if not self.abandoned:
                # Also ends the wait of whoever loads ahead.
                self.request(LEAVE)
            loaded.close()

    def close(self) -> None:
        """Once the batches are closed: take in what is still on its way; on rank 0, return once all have left."""
        while self.answered < self.asked:
            # A share among them is not lost: another learner, or a later run, will be dealt it.
            self.answer()
        if self.activity is not None:
            self.activity.join()


class EqualShares:
    """A share of each global batch to each learner.

    Attributes:
        alike: all learners have taken the same number of steps.
    """

    alike = True
    members: Members | None = None

    def run(self, trainer: "Trainer") -> int:
        """Train on what is left of the epoch; returns the signal that stopped it, else 0."""
        p = trainer.position
        batches = trainer.loader.epoch(p.epoch, start_step=p.step)
        batches = without_speech(batches) if trainer.serves else batches
        self.members = Members(trainer.comm, trainer.loader.num_learners, p.step)
        while True:
            try:
                return trainer.consume(batches)
            except LearnerLost:
                batches = go_on(trainer, self.members, batches, trainer.batch)

    def synchronised(self, step: int) -> None:
        """All learners have taken ``step`` steps of this epoch, and what these have brought is with all."""
        self.members.steps = [step] * self.members.size


class OnDemand:
    """The next share to whoever is ready. An epoch has parts, which end where checkpoints or dev losses are due.

    Args:
        comm: all ranks. Collective.
        workers: those that learn, the first ones.
    """

    alike = False

    def __init__(self, comm: Comm, workers: int) -> None:
        self.dealer, self.workers = Dealer(comm), workers

    def run(self, trainer: "Trainer") -> int:
        """See `EqualShares.run`."""
        p, config = trainer.position, trainer.config
        loader = trainer.loader  # of the whole epoch, also when learners are lost
        frames, learners = loader.share_frames(p.epoch), loader.num_learners
        steps = len(frames) // learners
        steps_before = p.steps - p.step - len(p.done) // learners
        frames_before = p.frames - sum(frames[: p.step * learners]) - sum(frames[i] for i in p.done)
        intervals = [config.dev_every_steps, config.checkpoint.every_steps]
        number = 0
        while not number and p.step < steps:
            begin = p.step
            end = next_stop(steps_before + begin, steps_before + steps, intervals) - steps_before
            done = set(p.done)
            todo = [i for i in range(begin * learners, end * learners) if frames[i] and i not in done]
            number, lost = self.part(trainer, loader, [(i, frames[i]) for i in todo])
            whole = not (number or lost)
            consumed = set() if whole else set().union(*trainer.comm.allgather_object(trainer.consumed))
            p.step, p.done = reached(done, consumed, begin, end, learners, whole=whole)
            trainer.consumed = []
            p.steps = steps_before + p.step + len(p.done) // learners
            p.frames = frames_before + sum(frames[: p.step * learners]) + sum(frames[i] for i in p.done)
            # While learners were at work, this one may have counted shares that were handed back.
            p.ema_frames = min(p.ema_frames, p.frames)
            if whole and p.step < steps:
                trainer.pause(*(due(steps_before + p.step, every) for every in intervals))
        return number

    def synchronised(self, step: int) -> None:
        """A part has ended; nobody inherits of it."""

    def part(self, trainer: "Trainer", loader: BatchLoader, todo: list[Dealt]) -> tuple[int, bool]:
        """Train on the shares ``todo``, given with their frames; returns the signal and whether a learner was lost."""
        epoch, members = trainer.position.epoch, Members(trainer.comm, self.workers, 0)
        dealt = itertools.accumulate(frames for _, frames in todo)
        self.dealer.open([(i, total) for (i, _), total in zip(todo, dealt, strict=True)], self.workers)
        asking = not trainer.serves
        batches = self.dealer.batches(lambda shares: loader.chosen(epoch, shares)) if asking else nothing()
        try:
            number = trainer.consume(batches)
            batches.close()
            if asking:
                self.dealer.close()
        except LearnerLost:
            comm = regroup(trainer, members)
            # Only now does nobody wait any more for messages of the old group.
            self.dealer.abandoned = True
            batches.close()
            self.dealer, self.workers = Dealer(comm), comm.size
            return 0, True
        except BaseException:
            # Who closes the batches of a run that failed may be nobody who can send.
            self.dealer.abandoned = True
            raise
        return number, False


def make_shares(deal: str, strategy: Strategy, comm: Comm, workers: int) -> EqualShares | OnDemand:
    """What ``batch.deal`` says; `ConfigError` if the strategy cannot do with it. Collective."""
    if deal == "on_demand" and not strategy.own_pace:
        raise ConfigError(
            "batch.deal is on_demand, but with this strategy learners take their steps together: set it to equal"
        )
    if workers == 1 or deal == "equal" or not strategy.own_pace:
        return EqualShares()
    return OnDemand(comm, workers)


def nothing() -> Generator[Batch, None, None]:
    """No batches, for a rank that serves."""
    yield from ()


def reached(
    done: set[int], consumed: set[int], begin: int, end: int, learners: int, *, whole: bool
) -> tuple[int, list[int]]:
    """How far an epoch has come: the step before which all shares are done, and the shares of later steps that are.

    Args:
        done: shares from step ``begin`` on that were done before the part; a run whose parts were longer may have left
            some that lie behind ``end``.
        consumed: shares of an unfinished part that were consumed.
        begin, end: steps between which the part lies.
        learners: shares of a step.
        whole: whether the part was finished.
    """
    if whole:
        return end, sorted(i for i in done if i >= end * learners)
    return begin, sorted(done | consumed)


def due(steps: int, every: int) -> bool:
    """Whether something that is done ``every`` so many steps, 0 for never, is done now."""
    return bool(every) and steps % every == 0


def next_stop(begin: int, end: int, intervals: list[int]) -> int:
    """The first step after ``begin`` at which something is due, at most ``end``."""
    return min([end, *(begin + every - begin % every for every in intervals if every)])
