"""The virtual transport: the oracles of the algorithms hold on it, with the same classes; it is deterministic."""

from pathlib import Path

import greenlet
import pytest
import torch
from toy import ToyLearner, data
from virtual import on_virtual, run_program

from asrpar.errors import TrainingError
from asrpar.parallel.gossip import graphs
from asrpar.parallel.strategies import STRATEGIES, make_strategy, settings_class
from asrpar.parallel.virtual.cluster import Cluster, Link, Links
from asrpar.parallel.virtual.comm import VirtualComm

pytestmark = pytest.mark.slow

PROGRAMS = Path(__file__).parents[1] / "programs"


REGRESSION = [
    *("ssgd", "model_averaging:sync_steps=4", "bmuf:sync_steps=4", "slowmo:sync_steps=4", "diloco:sync_steps=10"),
    *("model_averaging:sync_steps=4,overlap_steps=4", "bmuf:sync_steps=4,overlap_steps=2"),
    *("easgd", "dpsgd", "dpsgd:topology=complete", "sgp", "adpsgd", "adpsgd:neighbours=random", "hadpsgd", "delayed"),
    *("asgd:push_scale=null", "easgd_async"),
]
# Sizes that MPI's ranks do not have in these tests, but for the last: rounds of pairs, and one over.
SIZES = {"oracles": 8, "sync_oracles": 5, "async_oracles": 5, "compress_oracles": 5, "buckets": 8}


@pytest.mark.parametrize(("program", "size"), [(p, n) for p, most in SIZES.items() for n in (2, most)])
def test_oracles(program, size, capsys):
    run_program(size, PROGRAMS / f"{program}.py")
    assert capsys.readouterr().out.count("passed") == size


@pytest.mark.parametrize("size", [4])
def test_noisy_regression(size, capsys, monkeypatch):
    at_once = ToyLearner.gradient

    def gradient(self: ToyLearner, batch: object) -> float:
        frames = at_once(self, batch)
        # Else all gradients of a learner would be over before its first message arrives.
        greenlet.getcurrent().scheduler.sleep(1e-3)
        return frames

    monkeypatch.setattr(ToyLearner, "gradient", gradient)
    run_program(size, PROGRAMS / "regression.py", *REGRESSION)
    assert capsys.readouterr().out.count("passed") == size


class Busy(ToyLearner):
    """A learner whose gradients take a time that differs from learner to learner and from step to step."""

    def __init__(self, comm: VirtualComm) -> None:
        super().__init__(seed=comm.rank)
        self.comm, self.steps = comm, 0

    def gradient(self, batch):
        frames = super().gradient(batch)
        if batch is not None:
            self.steps += 1
            self.comm.sleep(1.0 + 0.37 * ((self.comm.rank * 7 + self.steps * 5) % 11))
            self.comm.mark("gradient")
        return frames


def train(name: str, size: int, cluster: Cluster, steps: int = 30) -> tuple[list[torch.Tensor], int, float]:
    """Weights of all learners, the checksum of the run, and the time that it took."""
    models = [None] * size
    batches = data(steps=steps, rows=2 * size)

    def run(comm: VirtualComm) -> None:
        learner = Busy(comm)
        strategy = make_strategy(name, settings_class(name)(), learner, comm)
        strategy.start()
        for inputs, targets in batches:
            mine = slice(2 * comm.rank, 2 * comm.rank + 2)
            strategy.step((inputs[mine], targets[mine]))
        while strategy.step(None):
            pass
        strategy.finish()
        strategy.close()
        models[comm.rank] = learner.weights.clone()

    scheduler = on_virtual(size, run, cluster)
    return models, scheduler.checksum, scheduler.now


@pytest.mark.parametrize("name", sorted(set(STRATEGIES) - {"single"}))
def test_two_runs_are_one(name):
    cluster = Cluster(nodes=3, devices_per_node=2, links=Links(between=Link(1e-3, 1e3, shared=True)))
    (a, first, now), (b, second, then) = train(name, 6, cluster), train(name, 6, cluster)
    assert (first, now) == (second, then)
    assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))
    assert now > 30.0
    # A checksum that could not tell two runs apart would prove nothing.
    assert train(name, 6, Cluster(nodes=6, links=Links(between=Link(2e-3, 1e3))))[1] != first


@pytest.mark.parametrize("name", ["dpsgd", "sgp"])
def test_who_hears_from_neighbours_waits_for_neighbours_alone(name):
    taken = [0] * 8

    def run(comm):
        strategy = make_strategy(name, settings_class(name)(topology="ring"), ToyLearner(), comm)
        strategy.start()
        for batch in data(steps=9, rows=4):
            comm.sleep(100.0 if comm.rank == 0 and not taken[0] else 1.0)
            strategy.step(batch)
            taken[comm.rank] += comm.clock() < 100
        strategy.close()

    on_virtual(8, run)
    # Rank 0 stands still: its neighbours cannot take a step, but those who are far away can.
    assert [taken[r] for r in (0, 1, 7)] == [0, 0, 0] and taken[4] > 0


def test_waiting_for_ever_is_told():
    def run(comm: VirtualComm) -> None:
        if comm.rank:
            comm.receive(source=0)
        else:
            comm.barrier()

    with pytest.raises(TrainingError, match=r"rank 0 \(learner\) for the other learners, rank 1 \(learner\) for a"):
        on_virtual(2, run)


def test_a_failure_ends_the_run():
    def run(comm: VirtualComm) -> None:
        comm.sleep(1.0)
        if comm.rank == 1:
            raise ValueError("broken")
        comm.barrier()

    with pytest.raises(ValueError, match="broken"):
        on_virtual(3, run)


def test_messages_take_their_time_and_share_the_link():
    link = Link(latency=0.5, bandwidth=8.0, shared=True)
    arrivals = {}

    def run(comm: VirtualComm) -> None:
        buffer = torch.zeros(4, dtype=torch.float64)
        if comm.rank < 2:
            comm.send(2 + comm.rank, 1, payload=buffer)
            arrivals[comm.rank] = comm.clock()
        else:
            comm.receive(buffer)
            arrivals[comm.rank] = comm.clock()

    # 32 bytes and a header of 64 take 12 s; the two senders share the link out of their node.
    on_virtual(4, run, Cluster(nodes=2, devices_per_node=2, links=Links(between=link)))
    assert arrivals == {0: 12.0, 2: 12.5, 1: 24.0, 3: 24.5}


def test_a_lock_is_held_over_waits():
    seen = []

    def run(comm: VirtualComm) -> None:
        lock = comm.lock()

        def hold(name: str) -> None:
            with lock:
                seen.append(f"{name} in")
                comm.sleep(1.0)
                seen.append(f"{name} out")

        for activity in [comm.spawn(lambda n=n: hold(n), n) for n in "abc"]:
            activity.join()

    assert on_virtual(1, run).now == 3.0
    assert seen == ["a in", "a out", "b in", "b out", "c in", "c out"]


@pytest.mark.parametrize("size", [8, 16, 32])
def test_contraction_follows_the_spectral_gap(size):
    # Without gradients the distance to the mean shrinks by |λ₂| a step, once the slowest mode is all that is left.
    begin, end = {8: (20, 60), 16: (60, 200), 32: (150, 300)}[size]
    distances = []

    def run(comm: VirtualComm) -> None:
        learner = ToyLearner(seed=comm.rank)
        strategy = make_strategy("dpsgd", settings_class("dpsgd")(), learner, comm)
        nothing = (torch.zeros(0, 5, dtype=torch.float64), torch.zeros(0, dtype=torch.float64))
        for step in range(end):
            strategy.step(nothing)
            if step not in (begin, end - 1):
                continue
            mean = learner.weights.clone()
            comm.allreduce(mean)
            apart = (learner.weights - mean / comm.size).square().sum().reshape(1)
            comm.allreduce(apart)
            if comm.rank == 0:
                distances.append(apart.item() ** 0.5)
        strategy.close()

    on_virtual(size, run)
    rate = (distances[1] / distances[0]) ** (1 / (end - 1 - begin))
    gap = graphs.spectral_gap(graphs.ring(size))
    assert {8: 0.1953, 16: 0.0507, 32: 0.0128}[size] == pytest.approx(gap, abs=5e-5)
    assert 1 - rate == pytest.approx(gap, rel=0.01)
