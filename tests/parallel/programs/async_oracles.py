"""Run under mpirun: what must hold for asynchronous strategies, in float64. Exits 1 on the first failure."""

import random
import sys
from types import SimpleNamespace

import torch
from toy import ToyLearner, data, sgd, wire_of

from asrpar.parallel.comm import world
from asrpar.parallel.gossip import graphs
from asrpar.parallel.gossip.mixer import Mixer
from asrpar.parallel.strategies import adpsgd, make_strategy, settings_class

comm = world()
N, RANK = comm.size, comm.rank
rows = [4] * N


def check(name: str, actual: torch.Tensor, expected: torch.Tensor, tolerance: float = 1e-12) -> None:
    # Relative to what is large: many learners whose pushes count in full get far from where they began.
    error = ((actual - expected).abs().max() / expected.abs().max().clamp(min=1.0)).item()
    if not error <= tolerance:
        print(f"rank {RANK}: {name}: error {error:.3e} > {tolerance}", flush=True)
        sys.exit(1)
    if RANK == 0:
        print(f"ok {name} N={N} error {error:.1e}", flush=True)


def share(batch: tuple, rank: int = RANK, learners: int = N) -> tuple:
    each = len(batch[0]) // learners
    return tuple(x[rank * each : (rank + 1) * each] for x in batch)


class Recorder(ToyLearner):
    """Adds up its own updates, and dawdles by chance."""

    def __init__(self, jitter: float = 0.0, **settings: float) -> None:
        super().__init__(**settings)
        self.added = torch.zeros_like(self.weights)
        self.random, self.jitter = random.Random(RANK), jitter

    def gradient(self, batch: tuple | None) -> float:
        frames = super().gradient(batch)
        if self.jitter:
            comm.sleep(self.random.expovariate(1 / self.jitter))
        return frames

    def apply(self, frames: float) -> bool:
        before = self.weights.clone()
        done = super().apply(frames)
        self.added += self.weights - before
        return done


def make(name: str, learner: ToyLearner, wire: object = None, **settings: object) -> object:
    return make_strategy(name, settings_class(name)(**settings), learner, comm, wire)


def run(name: str, batches: list, learner: ToyLearner, epochs: int = 1, **settings: object) -> object:
    strategy = make(name, learner, **settings)
    learners = strategy.workers(strategy.settings, N)
    strategy.start()
    for _ in range(epochs):
        for batch in batches:
            mine = share(batch, RANK, learners) if learners > RANK else tuple(x[:0] for x in batch)
            assert strategy.step(mine)
            strategy.wire.advance(len(batch[0]))
        while strategy.step(None):
            pass
        strategy.finish()
    models = comm.allgather_object(strategy.model().tolist())
    assert all(m == models[0] for m in models), f"{name}: learners hold different models"
    return strategy


def total(x: torch.Tensor) -> torch.Tensor:
    x = x.clone()
    comm.allreduce(x)
    return x


start = ToyLearner(seed=0).weights.clone()
batches = data(steps=50, rows=sum(rows))

# Σ x_i = N x_0 + Σ of all updates, in three epochs, whatever interleaving the jitter brings.
for neighbours in ("fixed", "random"):
    learner = Recorder(jitter=0.0005, seed=RANK)
    run("adpsgd", batches, learner, epochs=3, neighbours=neighbours)
    expected = N * start + total(learner.added)
    check(f"adpsgd {neighbours} invariant", total(learner.weights), expected, 1e-9)
size = 2 if N % 2 == 0 else 1
learner = Recorder(jitter=0.0005, seed=RANK)
s = run("hadpsgd", batches, learner, epochs=2, super_learner_size=size)
check("hadpsgd invariant", total(learner.weights), N * start + total(learner.added), 1e-9)

# One super-learner is SSGD.
reference = ToyLearner(seed=0)
sgd(reference, batches)
one = run("hadpsgd", batches, ToyLearner(seed=RANK), super_learner_size=N)
check("hadpsgd of one super-learner = sgd", one.model(), reference.weights)

# Delay-by-one is D-PSGD on the complete graph: x ← mean(x) − γ g(x_i).
x = [start.clone() for _ in range(N)]
one_learner = ToyLearner(seed=0)
for batch in batches:
    mean = sum(x) / N
    after = []
    for r in range(N):
        one_learner.weights.copy_(x[r])
        one_learner.grad.div_(one_learner.gradient(share(batch, r)))
        after.append(mean - 0.05 * one_learner.grad)
    x = after
check("delayed = averaging of stale models", run("delayed", batches, ToyLearner(seed=RANK)).model(), sum(x) / N)

# SSP with bound 0 and pushes of 1/N = SSGD; one shard or several, with a server of its own or without.
for server in ("sharded", "dedicated") if N > 1 else ("sharded",):
    learners = N - 1 if server == "dedicated" else N
    some = data(steps=50, rows=4 * learners)
    reference = ToyLearner(seed=0)
    sgd(reference, some)
    s = run("asgd", some, ToyLearner(seed=RANK), server=server, staleness_bound=0, push_scale=None)
    check(f"asgd with SSP(0), {server} = ssgd", s.model(), reference.weights)

# ASGD's server holds its first value and all pushes, whatever their order.
learner = Recorder(jitter=0.0005, seed=RANK)
s = run("asgd", batches, learner, epochs=2, sync_steps=3)
check("asgd invariant", s.model(), start + total(learner.added), 1e-9)

# EASGD: Σ x_i + c changes by the learners' updates alone.
learner = Recorder(jitter=0.0005, seed=RANK)
s = run("easgd_async", batches, learner, epochs=2, sync_steps=2, alpha=0.3)
check("easgd invariant", total(learner.weights) + s.model(), (N + 1) * start + total(learner.added), 1e-9)
# The same compressed: what a reply lacks stays with the centre, and what a push of ASGD lacks, with the learner. Pushes
# of 16 bits have no residual.
METHODS = {"bf16": {}, "topk": {"density": 0.3}}
if N == 3:
    METHODS |= {"fp16": {}, "onebit": {"block": 8}, "threshold": {"threshold": 0.01}}
for method, values in METHODS.items():
    for server in ("sharded", "dedicated") if N == 3 and method in ("bf16", "topk") else ("sharded",):
        options = {"server": server, "epochs": 2}
        serving = server == "dedicated" and RANK == N - 1
        learners = N - (server == "dedicated")
        learner = Recorder(jitter=0.0005, seed=RANK)
        wire = wire_of(method, learner.shapes, learner.weights, warmup_frames=100.0, **values)
        s = run("easgd_async", batches, learner, sync_steps=2, alpha=0.3, wire=wire, **options)
        mine = torch.zeros_like(start) if serving else learner.weights
        after = (learners + 1) * start + total(learner.added)
        check(f"easgd {method} {server} invariant", total(mine) + s.model(), after, 1e-9)
        learner = Recorder(jitter=0.0005, seed=RANK)
        wire = wire_of(method, learner.shapes, learner.weights, warmup_frames=100.0, **values)
        s = run("asgd", batches, learner, push_scale=None, wire=wire, **options)
        held = torch.zeros_like(start) if wire.residual is None else wire.residual
        after = start + (total(learner.added) - total(held)) / learners
        check(f"asgd {method} {server} invariant", s.model(), after, 2**-8 if wire.residual is None else 1e-9)
# 16 bits on the wire: both sides of an exchange add the same difference, so nothing is lost to rounding.
learner = Recorder(jitter=0.0005, seed=RANK)
half = wire_of("bf16", learner.shapes, learner.weights)
run("adpsgd", batches, learner, wire=half)
check("adpsgd bf16 invariant", total(learner.weights), N * start + total(learner.added), 1e-9)


# ADPSGD, if it is made to go in lockstep, is D-PSGD: while a gradient is computed at x(t), pairs exchange s = x(t);
# the step then adds half their differences and updates, x(t + 1) = x(t) T(t) − γ g(x(t)).
def lockstep(strategy: object, before: object, after: object) -> list[torch.Tensor]:
    """Weights of this learner after each step."""
    strategy.start()
    seen = []
    for turn, batch in enumerate(batches[:12]):
        before(turn)
        strategy.step(share(batch))
        seen.append(strategy.learner.weights.clone())
        after(turn)
    return seen


def nothing(turn: int) -> None:
    comm.barrier()


def dpsgd(matchings: list) -> list[torch.Tensor]:
    """D-PSGD with the averaging matrices of ``matchings`` in turn; the reference."""
    strategy = make("dpsgd", ToyLearner(seed=RANK, momentum=0.9))
    matrices = [graphs.averaging(m, N) for m in matchings]
    strategy.mixer = Mixer(matrices, RANK, strategy.wire, strategy.learner.weights)
    seen = lockstep(strategy, nothing, nothing)
    strategy.close()
    return seen


class Paired(adpsgd.Algorithm):
    """Exchanges with whom a matching says, before the gradient that D-PSGD mixes beside."""

    def run(self) -> None:
        peer = next((i + j - RANK for i, j in self.matching if RANK in (i, j)), None)
        if peer is None:
            return
        if peer < RANK:
            self.replica.ask(peer)
        else:
            self.replica.answer(self.channel.receive(self.replica.receive_buffer(), source=peer))


def compare(name: str, actual: list[torch.Tensor], expected: list[torch.Tensor]) -> None:
    check(name, torch.stack(actual), torch.stack(expected))
    if N > 1:
        both = comm.allgather_object(expected[-1].tolist())
        check("learners differ, or nothing is compared", torch.tensor(float(both[0] == both[1])), torch.tensor(0.0))


if N > 1:
    rounds = graphs.tournament(N)
    forced = Paired(settings_class("adpsgd")(), ToyLearner(seed=RANK, momentum=0.9), comm)

    def choose(turn: int) -> None:
        forced.matching = rounds[turn % len(rounds)]

    compare("adpsgd in rounds of a tournament = dpsgd", lockstep(forced, choose, nothing), dpsgd(rounds))

    # The real activities, which nobody tells whom to meet. Odd ranks ask the neighbours on a ring in turn, the next one
    # first, after each step: so the exchange after step t belongs to step t + 1. In step 0 there is none; but all
    # learners begin alike, x(0) T = x(0), so D-PSGD may have any matrix there. It starts with the other matching.
    there = [(i, i + 1) for i in range(0, N - 1, 2)]
    back = [(i, i + 1) for i in range(1, N - 1, 2)] + ([(0, N - 1)] if N % 2 == 0 and N > 2 else [])
    ring = [there, back][: 1 if N == 2 else 2]
    for name, settings in (("adpsgd", {}), ("hadpsgd", {"super_learner_size": 1})):
        strategy = make(name, ToyLearner(seed=RANK, momentum=0.9), **settings)
        pairs = getattr(strategy, "outside", strategy)
        stepped = pairs.stepped
        pairs.stepped = SimpleNamespace(set=lambda: None, wait=stepped.wait, clear=stepped.clear)
        met = 0

        def exchange(turn: int, pairs: object = pairs, stepped: object = stepped) -> None:
            global met
            met += any(RANK in pair for pair in ring[(turn + 1) % len(ring)])
            comm.barrier()
            stepped.set()
            while pairs.exchanges < met:
                comm.sleep(0.0005)
            comm.barrier()

        compare(f"{name} on a ring in lockstep = dpsgd", lockstep(strategy, nothing, exchange), dpsgd(ring))
        pairs.stepped = stepped
        strategy.finish()
print(f"rank {RANK} passed", flush=True)
