"""Shares of an epoch's batches for whoever is ready for the next one, as the workers of Dean et al. 2012 get them.

A learner that is three times slower than the others takes a third of what they take.
"""

import itertools
from collections import deque
from collections.abc import Callable, Collection, Generator, Iterator
from types import TracebackType

from asrpar.feats import Batch, BatchLoader
from asrpar.parallel.comm import Comm, LearnerLost
from asrpar.parallel.comm.base import MAX_NUMBERS
from asrpar.train.epochs import Due, Intervals, Part
from asrpar.train.members import Members
from asrpar.train.position import Position

ASK, LEAVE, SHARE, LOST = 1, 2, 3, 4
# A share's number and the frames that have been dealt when it has been, over all learners.
Dealt = tuple[int, int]
END: Dealt = (-1, 0)
# With each answer the dealing rank tells of so many of its own latest steps. Who hears of none does them again.
_TOLD = MAX_NUMBERS - 2
# Makes a learner's batches of the shares that it is dealt.
Load = Callable[[Iterator[Dealt]], Generator[Batch, None, None]]


class Dealer:
    """One learner's view of the dealer, an activity of rank 0.

    A learner asks for its next share when it begins to compute with the one before, so that the answer and the loading
    cost no time; when the shares come to an end, a slow learner is at most two of them behind the others.

    Args:
        comm: all ranks. Collective.
        clients: who is dealt shares, the first ranks.

    Attributes:
        abandoned: the job failed or lost a learner: nobody is there to take leave of.
    """

    def __init__(self, comm: Comm, clients: int) -> None:
        self.comm, self.clients = comm, clients
        # By rank, the shares of the present part that it was dealt, as long as this rank deals.
        self.dealt: dict[int, list[int]] = {}
        # On the other ranks, shares whose steps the dealing rank has taken, of which nobody else could tell.
        self.told: set[int] = set()
        # The dealer and its own rank's learner receive at the same time.
        self.requests, self.replies = comm.channel(), comm.channel()
        self.activity = None
        self.asked = self.answered = 0
        self.abandoned = False

    def open(self, shares: list[Dealt]) -> None:
        """Let rank 0 begin to deal ``shares``, in their order."""
        if self.comm.rank == 0:
            self.activity = self.comm.spawn(lambda: self.deal(shares), "dealer")

    def deal(self, shares: list[Dealt]) -> None:
        """Answer each request until everybody has left, or is gone."""
        left, again, total = iter(shares), deque[int](), 0
        clients = set(range(self.clients))
        try:
            while clients:
                try:
                    message = self.requests.receive()
                    share = END
                    if message.kind == ASK:
                        share = (again.popleft(), total) if again else next(left, END)
                        total = max(total, share[1])
                    self.dealt.setdefault(message.source, []).append(share[0])
                    own = self.dealt.get(0, [])[-2 - _TOLD : -2]
                    self.replies.send(message.source, SHARE, (*share, *(done + 1 for done in own if done >= 0)))
                    if message.kind == LEAVE:
                        clients.discard(message.source)
                except LearnerLost:
                    for rank in sorted(clients.intersection(self.requests.pass_over())):
                        clients.discard(rank)
                        again.extend(share for share in self.dealt.get(rank, [])[-2:] if share >= 0)
        except LearnerLost:
            # The others may be waiting for an answer, and would not hear of it.
            for rank in range(self.comm.size):
                try:
                    self.replies.send(rank, LOST)
                except LearnerLost:
                    continue

    def done_by(self, ranks: Collection[int]) -> set[int]:
        """Shares whose steps some ``ranks`` have taken for certain, as far as this rank knows.

        Who asks for a share begins with the one before, and has taken the step of that before it.
        """
        found = {share for rank in ranks for share in self.dealt.get(rank, [])[:-2] if share >= 0}
        return found | self.told if 0 in ranks else found

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
        number, frames, *own = map(int, message.numbers)
        self.told.update(done - 1 for done in own if done)
        return number, frames

    def answers(self) -> Iterator[Dealt]:
        """Shares, with the frames that have been dealt since this learner's share before."""
        seen = 0
        while (dealt := self.answer()) != END:
            yield dealt[0], dealt[1] - seen
            seen = dealt[1]

    def batches(self, load: Load) -> Generator[Batch, None, None]:
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


class DealtPart(Part):
    """A part whose shares are dealt on demand. Nobody inherits of it: what was not consumed is dealt anew.

    Args:
        dealer: who deals. Making a part is collective.
        shares: that are dealt.
        load: this learner's batches, of the shares that it gets.
        due: what is to be done before it begins.
    """

    alike = False

    def __init__(self, dealer: Dealer, shares: list[Dealt], load: Load, due: Due) -> None:
        members = Members(dealer.comm, dealer.clients)
        super().__init__(members, nothing() if members.serves else dealer.batches(load))
        self.dealer, self.shares, self.due = dealer, shares, due
        # Numbers of shares mean other utterances in each epoch.
        dealer.dealt, dealer.told = {}, set()

    def __enter__(self) -> Iterator[Batch]:
        self.dealer.open(self.shares)
        return self.batches

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            if error is None:
                self.leave()
        except BaseException as e:
            error = e
            raise
        finally:
            # Who closes the batches of a run that failed may be nobody who can send.
            self.dealer.abandoned = error is not None

    def leave(self) -> None:
        """This learner takes no more of it; returns once that is settled with the dealer."""
        self.batches.close()
        if not self.members.serves:
            self.dealer.close()


class Account:
    """How much of an epoch that is dealt on demand has been consumed.

    Args:
        loader: of the whole epoch, also when learners are lost.
        position: where the run is. Learners count on it while they are at work; `settle` says what all of them did.
    """

    def __init__(self, loader: BatchLoader, position: Position) -> None:
        self.position, self.learners, self.epoch = position, loader.num_learners, position.epoch
        self.frames = loader.share_frames(position.epoch)
        self.steps = len(self.frames) // self.learners
        # Steps between which the current part lies.
        self.begin = self.end = position.step
        # Of the run before this epoch.
        self.steps_before = position.steps - self.steps_consumed()
        self.frames_before = position.frames - self.frames_consumed()

    def steps_consumed(self) -> int:
        """Of this epoch."""
        return self.position.step + len(self.position.done) // self.learners

    def frames_consumed(self) -> int:
        """Of this epoch, over all learners."""
        p = self.position
        return sum(self.frames[: p.step * self.learners]) + sum(self.frames[i] for i in p.done)

    def next_part(self, intervals: Intervals) -> list[Dealt]:
        """What is left of the shares of the steps until something is due."""
        first, self.begin = self.steps_before, self.position.step
        self.end = intervals.next_stop(first + self.begin, first + self.steps) - first
        shares, done = range(self.begin * self.learners, self.end * self.learners), set(self.position.done)
        left = [i for i in shares if self.frames[i] and i not in done]
        return list(zip(left, itertools.accumulate(self.frames[i] for i in left), strict=True))

    def settle(self, consumed: set[int], *, whole: bool) -> None:
        """After a part: all of it was consumed if it was taken ``whole``, else the shares ``consumed`` were."""
        p = self.position
        self.stand(*reached(set(p.done), consumed, self.begin, self.end, self.learners, whole=whole))

    def stand(self, step: int, done: list[int]) -> None:
        """All steps before ``step`` have been taken, and those of the later shares that are ``done``."""
        p = self.position
        p.step, p.done = step, done
        p.steps = self.steps_before + self.steps_consumed()
        p.frames = self.frames_before + self.frames_consumed()
        # While learners were at work, this one may have counted shares that were handed back.
        p.ema_frames = min(p.ema_frames, p.frames)


class OnDemand:
    """The next share to whoever is ready. An epoch has parts, which end where checkpoints or dev losses are due.

    Args:
        comm: all ranks. Collective.
        workers: those that learn, the first ones.
        intervals: between checkpoints, and between dev losses.
    """

    deals_anew = True

    def __init__(self, comm: Comm, workers: int, intervals: Intervals) -> None:
        self.comm, self.dealer, self.intervals = comm, Dealer(comm, workers), intervals
        # Of the epoch that has begun; the part of it that is being taken.
        self.account: Account | None = None
        self.part: DealtPart | None = None

    def parts(self, comm: Comm, loader: BatchLoader, position: Position) -> Iterator[Part]:
        """See `EqualShares.parts`; they end where somebody is to come in, too, or a learner is lost.

        Then others, of another `OnDemand`, take up what is left.
        """
        account = self.account = Account(loader, position)
        due, stopped = Due(), False
        while not stopped and position.step < account.steps:
            shares, epoch = account.next_part(self.intervals), position.epoch
            part = DealtPart(self.dealer, shares, lambda dealt, epoch=epoch: loader.chosen(epoch, dealt), due)
            self.part = part
            yield part
            outcome = part.outcome
            stopped = bool(outcome.stopped or outcome.joining)
            every = self.comm.allgather_object(outcome.consumed) if stopped else []
            account.settle(set().union(*every), whole=not stopped)
            self.part = None
            due = Due() if stopped else self.intervals.due(account.steps_before + position.step)

    def place(self, position: Position, lost: Collection[int] = ()) -> tuple[int, set[int]]:
        """How far this epoch has come, as this learner knows: see `Account.stand`.

        Args:
            position: where this learner is.
            lost: ranks that are gone.
        """
        step, done = position.step, set(position.done)
        if self.part is not None:
            # While learners were at work, they counted on the position, each for itself.
            step = self.account.begin
            done |= {*self.part.outcome.consumed, *self.dealer.done_by(lost)}
        return step, done

    def stand(self, position: Position, step: int, done: set[int]) -> None:
        """That is how far all have come in the epoch at ``position``."""
        if self.account is not None and self.account.epoch == position.epoch:
            first = step * self.account.learners
            self.account.stand(step, sorted(share for share in done if share >= first))

    def abandon(self) -> None:
        """A learner was lost: of the part that was being taken, nobody waits for anything any more."""
        if self.part is not None:
            self.part.dealer.abandoned = True
            self.part.batches.close()


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
