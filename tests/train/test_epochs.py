"""Parts of an epoch: who takes them tells how they went, and the next ones follow from that."""

import itertools

import pytest
import torch

from asrpar.errors import TrainingError
from asrpar.feats import Batch
from asrpar.parallel.comm import LocalComm
from asrpar.train.dealing import OnDemand
from asrpar.train.epochs import Due, EqualShares, Intervals, Outcome
from asrpar.train.members import Members
from asrpar.train.position import Position
from asrpar.train.rounds import Rounds


def batch(share, frames=10):
    return Batch(torch.zeros(1, frames, 3), torch.tensor([frames]), ["x"], ["u"], frames, 2 * frames, 0, 0, share)


class Loader:
    """Shares of ten frames; this rank's are those of ``rank``."""

    num_learners = 1

    def __init__(self, steps, learners=1, rank=0):
        self.steps, self.num_learners, self.rank = steps, learners, rank

    def epoch(self, epoch, start_step=0):
        return (batch(step * self.num_learners + self.rank) for step in range(start_step, self.steps))

    def share_frames(self, epoch):
        return [10] * (self.steps * self.num_learners)

    def chosen(self, epoch, shares):
        return (batch(share, frames) for share, frames in shares)


class Survivor(LocalComm):
    """The learner that is left of three, rank 1 of them; the first time they are still together."""

    def __init__(self):
        super().__init__()
        self.rank, self.size, self.alone = 1, 3, LocalComm()

    def allgather_object(self, value):
        return [value] * self.size

    def survivors(self):
        return self.alone


def test_who_is_left_goes_on_with_what_it_had_and_with_what_the_lost_ones_had_not_synchronised():
    comm = Survivor()
    shares = EqualShares(lambda workers, rank: Loader(4, workers, rank))
    taken = []
    for number, part in enumerate(shares.parts(comm, Loader(4, 3, 1), Position())):
        outcome = Outcome()
        with part as batches:
            if number == 0:
                first = next(batches)
                outcome.consumed.append(first.share)
                part.members.synchronised(1)
                outcome.unfinished = next(batches)
                outcome.survivors = part.members.survivors(comm)
            else:
                taken = [(b.share, b.global_frames) for b in batches]
        part.outcome = outcome
    own = [(share, 20) for share in (4, 7, 10)]
    inherited = [(share, 0) for share in (3, 6, 9, 5, 8, 11)]
    assert first.share == 1 and taken == own + inherited


class Pair(LocalComm):
    """Of two learners the second."""

    def __init__(self):
        super().__init__()
        self.rank, self.size = 1, 2

    def allgather_object(self, value):
        return [value] * 2


def test_after_a_loss_learners_in_lockstep_are_dealt_what_is_left_in_equal_rounds():
    position = Position(epoch=3, step=1, steps=31, frames=330)
    comm = Survivor()
    shares = Rounds(comm)
    part = next(shares.parts(comm, Loader(4, 3, 1), position))
    with part as batches:
        # All have synchronised after the second step; this one has taken the third, too.
        for batch in itertools.islice(batches, 2):
            part.outcome.consumed.append(batch.share)
            position.advance(30)
    part.members.synchronised(2)
    assert part.alike and shares.place(position) == (1, {3, 4, 5, 7})
    # The other one that is left has not taken it.
    shares.stand(position, 1, {3, 4, 5, 7})
    assert (position.step, position.done, position.steps, position.frames) == (1, [3, 4, 5, 7], 32, 370)
    for part in Rounds(Pair()).parts(Pair(), Loader(4, 3, 1), position):
        with part as batches:
            taken = [(b.share, b.global_frames // 2, b.num_frames) for b in batches]
        assert not part.alike
    # Of the rounds (6, 8), (9, 10), (11): nothing is left for this one in the last.
    assert taken == [(8, 20, 20), (10, 20, 20), (-1, 10, 0)]
    assert (position.step, position.done, position.steps, position.frames) == (4, [], 34, 420)


def test_rounds_end_early_for_newcomers_and_go_on_with_them():
    position = Position()
    part = next(parts := Rounds(Pair()).parts(Pair(), Loader(3, 2, 1), position))
    with part as batches:
        part.outcome.consumed.append(next(batches).share)
        position.advance(20)
    part.outcome.joining = True
    assert next(parts, None) is None
    # Here all have told the same.
    assert (position.step, position.done, position.frames) == (0, [1], 10)


def test_too_few_learners_stop(monkeypatch):
    monkeypatch.setenv("ASRPAR_QUORUM", "2")
    comm = Survivor()
    with pytest.raises(TrainingError, match="1 of 3 learners are left, fewer than --quorum 2: start as many as before"):
        Members(comm, 3).survivors(comm)


def test_an_epoch_on_demand_ends_its_parts_where_something_is_due_and_counts_what_all_consumed():
    comm, position = LocalComm(), Position(epoch=1, steps=4, frames=40)
    shares, due, sizes = OnDemand(comm, 1, Intervals(dev=3, save=5)), [], []
    for part in shares.parts(comm, Loader(4), position):
        due.append(part.due)
        with part as batches:
            for b in batches:
                part.outcome.consumed.append(b.share)
                position.advance(b.global_frames)
        sizes.append(len(part.outcome.consumed))
    # Steps 5 and 6 of the run are the first and the second of this epoch.
    assert sizes == [1, 1, 2] and due == [Due(), Due(save=True), Due(dev=True)]
    assert (position.step, position.steps, position.frames, position.done) == (4, 8, 80, [])


def test_a_part_that_is_stopped_leaves_the_rest_for_later():
    comm, position = LocalComm(), Position()
    for _ in range(2):
        for part in OnDemand(comm, 1, Intervals()).parts(comm, Loader(4), position):
            with part as batches:
                part.outcome.consumed.append(next(batches).share)
                part.outcome.stopped = 15
    assert (position.step, position.done, position.steps, position.frames) == (0, [0, 1], 2, 20)
    assert position.within_epoch
