"""Run under mpirun: equalities between parallel algorithms and plain SGD, in float64. Exits 1 on the first failure."""

import sys

import torch
from toy import ToyLearner, data, sgd

from asrpar.parallel.comm import world
from asrpar.parallel.strategies import make_strategy, settings_class

comm = world()
N, RANK = comm.size, comm.rank


def check(name: str, actual: torch.Tensor, expected: torch.Tensor, tolerance: float = 1e-12) -> None:
    error = (actual - expected).abs().max().item()
    if not error <= tolerance:
        print(f"rank {RANK}: {name}: error {error:.3e} > {tolerance}", flush=True)
        sys.exit(1)
    if RANK == 0:
        print(f"ok {name} N={N} error {error:.1e}", flush=True)


def share(batch: tuple, sizes: list[int]) -> tuple:
    start = sum(sizes[:RANK])
    return tuple(x[start : start + sizes[RANK]] for x in batch)


def run(name: str, batches: list, sizes: list[int], momentum: float = 0.0, **settings: object) -> object:
    # Different first weights on each rank: start() must make them rank 0's.
    learner = ToyLearner(seed=RANK, momentum=momentum)
    strategy = make_strategy(name, settings_class(name)(**settings), learner, comm)
    strategy.start()
    for batch in batches:
        assert strategy.step(share(batch, sizes))
    idle = 0
    while strategy.step(None):
        idle += 1
        assert idle < 1000, "the end of the data was not found"
    strategy.finish()
    same = comm.allgather_object(strategy.model().tolist())
    assert all(m == same[0] for m in same), f"{name}: learners hold different models"
    return strategy


even = [4] * N
uneven = [1 + r for r in range(N)]
empty = [0] + [3] * (N - 1) if N > 1 else [3]

# SSGD(N, b) = SGD(N b), also with uneven and with empty shares, with and without momentum.
for sizes, what in ((even, "even"), (uneven, "uneven"), (empty, "one empty")):
    for momentum in (0.0, 0.9):
        batches = data(steps=20, rows=sum(sizes))
        reference = ToyLearner(seed=0, momentum=momentum)
        sgd(reference, batches)
        check(
            f"ssgd = sgd, {what} shares, momentum {momentum}",
            run("ssgd", batches, sizes, momentum).model(),
            reference.weights,
        )

# BMUF with τ = 1, η = 0, ζ = 1 and no local momentum = SSGD, frame-weighted.
batches = data(steps=20, rows=sum(uneven))
reference = ToyLearner(seed=0)
sgd(reference, batches)
check(
    "bmuf(tau 1, eta 0) = ssgd",
    run("bmuf", batches, uneven, sync_steps=1, block_momentum=0.0).model(),
    reference.weights,
)


def blocks(batches: list, sizes: list[int], tau: int, outer: torch.optim.Optimizer, w: torch.Tensor) -> None:
    """Local SGD blocks whose averaged displacement drives a torch optimizer: what BMUF must be equal to."""
    for at in range(0, len(batches), tau):
        mean = torch.zeros_like(w)
        total = 0
        for r in range(N):
            start = sum(sizes[:r])
            local = ToyLearner(seed=0)
            local.weights.copy_(w)
            mine = [tuple(x[start : start + sizes[r]] for x in b) for b in batches[at : at + tau]]
            sgd(local, mine)
            n = sum(len(b[0]) for b in mine)
            mean += n * local.weights
            total += n
        outer.param_groups[0]["params"][0].grad = w.detach() - mean / total
        outer.step()


batches = data(steps=24, rows=sum(uneven))
for nesterov in (False, True):
    for eta, zeta in ((0.0, 1.0), (0.5, 1.0), (0.875, 0.7)):
        w = torch.nn.Parameter(ToyLearner(seed=0).weights.clone())
        # torch multiplies by the rate outside the momentum: the same path as with ζ inside Δ.
        outer = torch.optim.SGD([w], lr=zeta, momentum=eta, nesterov=nesterov and eta > 0)
        blocks(batches, uneven, 4, outer, w.data)
        s = run("bmuf", batches, uneven, sync_steps=4, block_momentum=eta, block_lr=zeta, nesterov=nesterov)
        kind = "nesterov" if nesterov else "momentum"
        # The outer optimizer's parameter is W_g: the base of the next block.
        check(f"bmuf W_g = outer sgd ({kind}), eta {eta}, zeta {zeta}", s.w_g, w.data)

# A block that the end of data cuts short still counts.
batches = data(steps=6, rows=sum(even))
w = torch.nn.Parameter(ToyLearner(seed=0).weights.clone())
blocks(batches, even, 4, torch.optim.SGD([w], lr=1.0, momentum=0.5), w.data)
s = run("bmuf", batches, even, sync_steps=4, block_momentum=0.5, nesterov=False)
check("bmuf with a short last block", s.model(), w.data)

# Exact restart within a block.
batches = data(steps=10, rows=sum(even))
whole = run("bmuf", batches, even, sync_steps=4, momentum=0.9)
learner = ToyLearner(seed=RANK, momentum=0.9)
first = make_strategy("bmuf", settings_class("bmuf")(sync_steps=4), learner, comm)
first.start()
for batch in batches[:6]:
    first.step(share(batch, even))
saved = {k: v.clone() if isinstance(v, torch.Tensor) else v for k, v in first.state_dict().items()}
weights, momentum = learner.weights.clone(), learner.optimizer.state_dict()
second_learner = ToyLearner(seed=99, momentum=0.9)
second = make_strategy("bmuf", settings_class("bmuf")(sync_steps=4), second_learner, comm)
second_learner.weights.copy_(weights)
second_learner.optimizer.load_state_dict(momentum)
second.load_state_dict(saved)
for batch in batches[6:]:
    second.step(share(batch, even))
while second.step(None):
    pass
second.finish()
check("bmuf restart within a block", second.model(), whole.model(), 0.0)
print(f"rank {RANK} passed", flush=True)
