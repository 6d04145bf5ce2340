"""What becomes of messages, sums and waits when a learner of a virtual cluster dies, and of groups when it returns."""

import pytest
import torch
from virtual import on_virtual

from asrpar.errors import TrainingError
from asrpar.parallel.comm import Invitation, LearnerLost
from asrpar.parallel.virtual.cluster import Cluster
from asrpar.parallel.virtual.comm import virtual_newcomer
from asrpar.parallel.virtual.failures import Failure, Failures


def frail(*deaths: tuple[int, float], **more) -> Cluster:
    return Cluster(nodes=4, failures=Failures(at=[Failure(*death) for death in deaths], **more))


def one() -> torch.Tensor:
    return torch.ones(1)


def test_who_waits_for_the_dead_one_hears_of_it_and_all_go_on():
    heard, sums = {}, {}

    def run(comm):
        try:
            if comm.rank == 0:
                comm.receive(source=1)
            elif comm.rank == 1:
                comm.sleep(9.0)
                heard["the dead one goes on"] = True
            elif comm.rank == 2:
                comm.channel().allreduce(one())
            else:
                # For one that lives: until that goes on without this one.
                comm.receive(source=0)
        except LearnerLost:
            heard[comm.rank] = comm.clock()
        left = comm.survivors()
        x = one()
        left.allreduce(x)
        sums[comm.rank] = (left.rank, left.size, x.item())
        with pytest.raises(LearnerLost):
            comm.barrier()

    on_virtual(4, run, frail((1, 2.0), detect_seconds=0.5))
    assert heard == {0: 2.5, 2: 2.5, 3: 2.5}
    assert sums == {0: (0, 3, 3.0), 2: (1, 3, 3.0), 3: (2, 3, 3.0)}


def test_two_may_die_before_the_others_have_met():
    sizes = {}

    def run(comm):
        try:
            if comm.rank == 3:
                comm.sleep(4.0)
            comm.barrier()
        except LearnerLost:
            left = comm.survivors()
            left.barrier()
            sizes[comm.rank] = left.size

    on_virtual(4, run, frail((1, 2.0), (0, 3.0)))
    assert sizes == {2: 2, 3: 2}


def test_a_dead_one_is_passed_over_and_what_it_had_sent_arrives():
    got = []

    def run(comm):
        if comm.rank == 1:
            comm.sleep(1.0)
            comm.send(0, 7)
            comm.sleep(9.0)
        elif comm.rank == 2:
            comm.sleep(3.0)
            comm.send(0, 8)
            with pytest.raises(LearnerLost):
                comm.send(1, 8)
        else:
            got.append(comm.receive().kind)
            with pytest.raises(LearnerLost):
                comm.receive()
            assert comm.lost() == comm.pass_over() == [1]
            got.append(comm.receive().kind)
            with pytest.raises(LearnerLost):
                comm.receive(source=1)

    on_virtual(3, run, frail((1, 2.0)))
    assert got == [7, 8]


def test_one_comes_back_after_its_time_and_is_let_in_by_all():
    met = {}

    def meet(comm):
        x = one()
        comm.allreduce(x)
        met[comm.group.ranks[comm.rank]] = (comm.rank, comm.size, x.item(), comm.clock() >= 6.0)

    def run(comm):
        shared = comm.shared

        def start(seat, brief):
            newcomer = virtual_newcomer(shared, Invitation(seat, brief))
            assert newcomer.seat == 1 and newcomer.size == 1 and brief == "be quick"
            shared.scheduler.begin(lambda: meet(newcomer.grown()), seat, "learner")

        shared.crew.start = start
        try:
            comm.barrier() if comm.rank != 1 else comm.sleep(9.0)
        except LearnerLost:
            left = comm.survivors()
            if left.rank == 0:
                left.call_back([1], "be quick")
            assert left.grown() is left
            while not left.broadcast_object(left.newcomers()):
                left.sleep(1.0)
            meet(left.grown())

    on_virtual(3, run, frail((1, 2.0), restart_seconds=4.0))
    assert met == {0: (0, 3, 3.0, True), 2: (1, 3, 3.0, True), 1: (2, 3, 3.0, True)}


def test_when_all_are_lost_the_run_ends():
    with pytest.raises(TrainingError, match="all learners are lost at virtual second 3"):
        on_virtual(2, lambda comm: comm.sleep(9.0), frail((1, 2.0), (0, 3.0)))
