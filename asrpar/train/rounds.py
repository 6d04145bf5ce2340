"""Shares of an epoch for learners that step together and may be lost, or come back, within it.

Shares are dealt in rounds, one for each learner, in their order; who has none in the last round takes its step with
nothing in it, so that all count alike. While nobody is lost, rounds are the epoch's steps. After a loss that is done
which all had done when they last synchronised, and what those who are left have done since: only what the lost ones had
done since then is done again.
"""

from collections.abc import Collection, Iterator

from asrpar.feats import Batch, BatchLoader
from asrpar.parallel.comm import Comm
from asrpar.train.dealing import Account, OnDemand
from asrpar.train.epochs import Part, emptied
from asrpar.train.members import Members
from asrpar.train.position import Position


class Rounds(OnDemand):
    """Rounds of an epoch; all that is left of it is one part, until somebody is lost, or is to come in.

    Args:
        comm: the learners.
    """

    def __init__(self, comm: Comm) -> None:
        self.comm = comm
        self.account: Account | None = None
        self.part: Part | None = None
        self.order: list[int] = []

    def parts(self, comm: Comm, loader: BatchLoader, position: Position) -> Iterator[Part]:
        """See `OnDemand.parts`."""
        account = self.account = Account(loader, position)
        if position.step >= account.steps:
            return
        done, first = set(position.done), position.step * account.learners
        self.order = [i for i in range(first, len(account.frames)) if i not in done]
        part = self.part = Part(Members(self.comm, self.comm.size), self.batches(loader, account))
        # Else its rounds are no steps of the epoch.
        part.alike = self.comm.size == account.learners and not done
        part.members.synchronised(position.step)
        yield part
        outcome = part.outcome
        if outcome.joining or (outcome.stopped and not part.alike):
            every = self.comm.allgather_object(outcome.consumed)
            account.stand(account.begin, sorted(set(position.done).union(*every) - {-1}))
        elif not outcome.stopped and not part.alike:
            account.stand(account.steps, [])
        self.part = None

    def batches(self, loader: BatchLoader, account: Account) -> Iterator[Batch]:
        """This learner's of the rounds."""
        rank, size = self.comm.rank, self.comm.size
        rounds = [self.order[i : i + size] for i in range(0, len(self.order), size)]
        mine = [(r[rank] if rank < len(r) else r[0], sum(account.frames[i] for i in r)) for r in rounds]
        whole = sum(rank < len(r) for r in rounds)
        for number, batch in enumerate(loader.chosen(account.epoch, iter(mine))):
            yield batch if number < whole else emptied(batch)

    def place(self, position: Position, lost: Collection[int] = ()) -> tuple[int, set[int]]:
        """See `OnDemand.place`; of the lost ones, all that had been synchronised is done."""
        if self.part is None:
            return position.step, set(position.done)
        rounds = self.part.members.furthest - self.account.begin
        known = {*self.order[: rounds * self.part.members.size], *self.part.outcome.consumed, *position.done} - {-1}
        return self.account.begin, known

    def abandon(self) -> None:
        """Nobody waits for anything of the part that was being taken."""
        if self.part is not None:
            self.part.batches.close()
