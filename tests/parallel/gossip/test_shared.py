"""Learners that write to each other's memory: an exchange is their average, which no gradient sees before its end."""

import random

import pytest
import torch
from toy import ToyLearner, data, wire_of
from virtual import on_virtual

from asrpar.parallel.compress.wire import Wire
from asrpar.parallel.faults import SlowLinks
from asrpar.parallel.gossip.replica import Replica
from asrpar.parallel.gossip.shared import SharedReplica, average, make_replica
from asrpar.parallel.strategies import make_strategy, settings_class
from asrpar.parallel.strategies.hadpsgd import Settings as HadpsgdSettings


def replica(comm, wire=None, shared=True):
    return make_replica(ToyLearner(seed=comm.rank), comm.channel(), wire or Wire(), comm.lock(), 1, shared)


@pytest.mark.parametrize("seed", range(5))
def test_any_order_of_exchanges_and_steps(seed):
    size, met = 3, [0]

    def run(comm):
        chance, own = random.Random(seed), replica(comm)
        assert isinstance(own, SharedReplica)
        x = [ToyLearner(seed=rank).weights.clone() for rank in range(size)]
        for _ in range(100):
            # All know what all do; exchanges, steps and synchronised moments of one learner each.
            what, who = chance.randrange(3), chance.randrange(size)
            other = (who + 1 + chance.randrange(size - 1)) % size
            comm.barrier()
            if what == 0:
                before, place = own.learner.weights.clone(), own.learner.weights.data_ptr()
                if comm.rank == who:
                    own.ask(other)
                elif comm.rank == other:
                    own.answer(own.channel.receive(own.receive_buffer()))
                    met[0] += 1
                assert torch.equal(own.learner.weights, before)
                assert own.learner.weights.data_ptr() == place
                x[who] = x[other] = (x[who] + x[other]) / 2
            else:
                if comm.rank == who:
                    with own.lock:
                        own.apply_received()
                        assert torch.allclose(own.learner.weights, x[who], rtol=0, atol=1e-14)
                        own.learner.weights.add_(0.1)
                        # The module computes with these, and the optimizer writes there.
                        assert own.learner.module.weight.data_ptr() == own.learner.weights.data_ptr()
                        assert own.learner.optimizer.param_groups[0]["params"][0].data_ptr() == (
                            own.learner.weights.data_ptr()
                        )
                x[who] = x[who] + 0.1
        comm.barrier()
        own.apply_received()
        assert torch.allclose(own.learner.weights, x[comm.rank], rtol=0, atol=1e-14)

    on_virtual(size, run, shared_memory=True)
    assert met[0] > 20


def test_two_sides_hold_the_same_bits():
    torch.manual_seed(0)
    n = (1 << 18) + 3
    x, y, first, second = torch.randn(n), torch.randn(n), torch.empty(n), torch.empty(n)
    average(x, y, first, second)
    assert torch.equal(first, second)
    assert torch.allclose(first, (x + y) / 2, rtol=0, atol=1e-6)


def test_where_there_is_no_pool():
    half = wire_of("bf16", [torch.Size([6])], torch.zeros(6, dtype=torch.float64))

    def run(comm):
        assert isinstance(replica(comm), SharedReplica)
        assert isinstance(replica(comm, shared=False), Replica)
        # Both sides must add the same difference, rounded.
        assert isinstance(replica(comm, wire=half), Replica)
        assert isinstance(replica(SlowLinks(comm, 0.01, set(), [0, 1])), Replica)
        learner = ToyLearner()
        strategy = make_strategy("hadpsgd", HadpsgdSettings(super_learner_size=1), learner, comm)
        assert isinstance(strategy.outside.replica, Replica)

    on_virtual(2, run, shared_memory=True)

    def without(comm):
        assert isinstance(replica(comm), Replica)

    on_virtual(2, without)


@pytest.mark.parametrize("neighbours", ["fixed", "random"])
def test_nothing_is_lost_between_learners_of_unequal_speed(neighbours):
    size, weights, updates = 4, [], []

    class Counting(ToyLearner):
        """Adds up its updates."""

        def gradient(self, batch):
            comm, frames = self.comm, super().gradient(batch)
            comm.sleep(1.0 + comm.rank * 0.7)
            return frames

        def apply(self, frames):
            before = self.weights.clone()
            done = super().apply(frames)
            self.added += self.weights - before
            return done

    def run(comm):
        learner = Counting(seed=0, momentum=0.9)
        learner.comm, learner.added = comm, torch.zeros_like(learner.weights)
        strategy = make_strategy("adpsgd", settings_class("adpsgd")(neighbours=neighbours), learner, comm)
        assert isinstance(strategy.replica, SharedReplica)
        strategy.start()
        for _ in range(2):
            for batch in data(20, 4, seed=comm.rank):
                strategy.step(batch)
            strategy.finish()
        assert strategy.exchanges > 10
        weights.append(learner.weights.clone())
        updates.append(learner.added)

    on_virtual(size, run, shared_memory=True)
    expected = size * ToyLearner(seed=0).weights + sum(updates)
    assert torch.allclose(sum(weights), expected, rtol=1e-12)
    assert not torch.equal(weights[0], weights[1])
