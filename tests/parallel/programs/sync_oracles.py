"""Run under mpirun: equalities of synchronous strategies, in float64. Exits 1 on the first failure."""

from functools import reduce

import torch
from ranks import RANK, N, check, comm, end, gathered, make, require, run, share
from toy import ToyLearner, data, sgd, wire_of

from asrpar.parallel.gossip import graphs
from asrpar.parallel.strategies import make_strategy, settings_class

even = [2] * N
uneven = [1 + r for r in range(N)]
empty = [0] + [3] * (N - 1)
LR, TAU = 0.05, 3
START = ToyLearner(seed=0).weights.clone()
P = len(START)


def fresh(momentum: float = 0.0) -> ToyLearner:
    """A learner whose first weights differ from rank to rank: start() must make them rank 0's."""
    return ToyLearner(seed=RANK, momentum=momentum)


def gradients(points: torch.Tensor, batch: tuple, sizes: list[int]) -> torch.Tensor:
    """(N, P) mean gradient of each learner at its row of ``points``."""
    found = torch.zeros_like(points)
    for r in range(N):
        learner = ToyLearner()
        learner.weights.copy_(points[r])
        frames = learner.gradient(share(batch, sizes, r))
        if frames:
            found[r] = learner.grad / frames
    return found


def block_mean(batches: list, sizes: list[int], w: torch.Tensor, lr: float = LR) -> torch.Tensor:
    """(P,) frame-weighted mean of what learners reach that start from ``w``."""
    mean, total = torch.zeros_like(w), 0
    for r in range(N):
        local = ToyLearner(lr=lr)
        local.weights.copy_(w)
        mine = [share(b, sizes, r) for b in batches]
        n = sum(len(b[0]) for b in mine)
        if n:
            sgd(local, mine)
            mean += n * local.weights
            total += n
    return mean / total


def blocks(batches: list, sizes: list[int], outer: torch.optim.Optimizer, w: torch.Tensor) -> None:
    """Local SGD whose averaged displacement drives a torch optimizer."""
    for at in range(0, len(batches), TAU):
        outer.param_groups[0]["params"][0].grad = w.detach() - block_mean(batches[at : at + TAU], sizes, w)
        outer.step()


# Local SGD with τ = 1 is SSGD, which is SGD on the whole batch.
for sizes, what in ((even, "even"), (uneven, "uneven"), (empty, "one empty")):
    batches = data(steps=6, rows=sum(sizes))
    reference = ToyLearner()
    sgd(reference, batches)
    found = run("model_averaging", batches, sizes, fresh(), sync_steps=1)
    check(f"model_averaging(tau 1) = sgd, {what} shares", found.model(), reference.weights)

# The block algorithms against a torch optimizer on the averaged displacement; the last block is cut short.
batches = data(steps=8, rows=sum(uneven))
for name, settings, momentum, lr, nesterov in (
    ("model_averaging", {}, 0.0, 1.0, False),
    ("slowmo", {"slow_momentum": 0.6}, 0.6, 1.0, False),
    ("slowmo", {"slow_momentum": 0.6, "slow_lr": 0.7}, 0.6, 0.7, False),
    ("diloco", {}, 0.9, 0.7, True),
):
    w = torch.nn.Parameter(START.clone())
    blocks(batches, uneven, torch.optim.SGD([w], lr=lr, momentum=momentum, nesterov=nesterov), w.data)
    found = run(name, batches, uneven, fresh(), sync_steps=TAU, **settings)
    check(f"{name} = outer sgd, momentum {momentum}, rate {lr}", found.model(), w.data)

local = run("model_averaging", batches, uneven, fresh(0.9), sync_steps=TAU).model()
same = {"sync_steps": TAU, "keep_local_momentum": True}
check(
    "bmuf(eta 0, zeta 1) = local sgd",
    run("bmuf", batches, uneven, fresh(0.9), block_momentum=0.0, **same).model(),
    local,
)
check(
    "slowmo(beta 0, alpha 1) = local sgd",
    run("slowmo", batches, uneven, fresh(0.9), slow_momentum=0.0, **same).model(),
    local,
)
cbm = run("bmuf", batches, uneven, fresh(), block_momentum=0.6, nesterov=False, sync_steps=TAU).model()
check(
    "slowmo(alpha 1) = bmuf, one rate",
    run("slowmo", batches, uneven, fresh(), slow_momentum=0.6, sync_steps=TAU).model(),
    cbm,
)

# Sums that hide behind the next block's steps, against the equations with every learner's x_i written out.
for name, settings, eta, look, overlap in (
    ("model_averaging", {}, 0.0, False, 1),
    ("model_averaging", {}, 0.0, False, TAU),
    ("bmuf", {"block_momentum": 0.6}, 0.6, True, 2),
    ("bmuf", {"block_momentum": 0.6, "nesterov": False}, 0.6, False, TAU),
):
    hidden = make(name, learner := fresh(), sync_steps=TAU, overlap_steps=overlap, **settings)
    hidden.start()
    x, w, w_g, delta = START.repeat(N, 1), START.clone(), START.clone(), torch.zeros_like(START)
    n = torch.tensor(uneven, dtype=torch.float64)[:, None]
    sums, y = None, None
    for step, batch in enumerate(batches, 1):
        x = x - LR * gradients(x, batch, uneven)
        if sums is not None and step % TAU == overlap % TAU:
            delta = eta * delta + sums
            w = w + delta
            w_g = w + eta * delta if look else w
            x, sums = x + w_g - y, None
        if step % TAU == 0:
            sums, y = (n * (x - w_g)).sum(0) / n.sum(), x
        hidden.step(share(batch, uneven))
        require(hidden.due == (sums is not None), f"{name}: a sum is due or not at step {step}")
    what = f"{name} behind {overlap} steps, momentum {eta}"
    check(f"{what}: W", hidden.model(), w)
    check(f"{what}: learners", gathered(learner.weights), x)
    require(bool((gathered(learner.weights) != learner.weights).any()) == (N > 1), "learners went their own ways")
    end(hidden)
    require(bool((gathered(learner.weights) == learner.weights).all()), f"{what}: one base when nothing is in flight")

# SlowMo when the rate changes between blocks: u is in units of a gradient.
slow = make("slowmo", learner := fresh(), sync_steps=TAU, slow_momentum=0.6)
slow.start()
x, u = START.clone(), torch.zeros(P, dtype=torch.float64)
for at in range(0, 6, TAU):
    gamma = LR / (1 + at)
    learner.lr = gamma
    for batch in batches[at : at + TAU]:
        slow.step(share(batch, uneven))
    u = 0.6 * u + (x - block_mean(batches[at : at + TAU], uneven, x, gamma)) / gamma
    x = x - gamma * u
check("slowmo, changing rate", slow.model(), x)

# BMUF after a warm-up: SGD for as many steps as it takes to see that many frames, then blocks.
reference = ToyLearner()
sgd(reference, batches[:2])
w = torch.nn.Parameter(reference.weights.clone())
blocks(batches[2:], uneven, torch.optim.SGD([w], lr=1.0, momentum=0.5), w.data)
warm = {"warmup_frames": 2 * sum(uneven) - 0.5, "block_momentum": 0.5, "nesterov": False}
check("bmuf with warm-up", run("bmuf", batches, uneven, fresh(), sync_steps=TAU, **warm).model(), w.data)

# EASGD against its equations, and Σ x_i + c moves by gradients alone.
for tau in (1, 2):
    found = make("easgd", learner := fresh(), sync_steps=tau)
    found.start()
    x, c, moved = START.repeat(N, 1), START.clone(), torch.zeros_like(START)
    for step, batch in enumerate(batches):
        g = gradients(x, batch, uneven)
        moved -= LR * g.sum(0)
        pull = (0.9 / N) * (x - c) if step % tau == tau - 1 else torch.zeros_like(x)
        x, c = x - LR * g - pull, c + pull.sum(0)
        found.step(share(batch, uneven))
    check(f"easgd(tau {tau}): centre", found.model(), c)
    check(f"easgd(tau {tau}): learners", gathered(learner.weights), x)
    end(found)
    check(f"easgd(tau {tau}) conserves", gathered(learner.weights).sum(0) + found.model(), (N + 1) * START + moved)

# D-PSGD against X T − γ G, on every graph.
lazy = (torch.eye(N, dtype=torch.float64) + graphs.ring(N)) / 2
matrices_of = {
    "ring": [graphs.ring(N)],
    "directed_ring": [graphs.directed_ring(N)],
    "complete": [graphs.complete(N)],
    "exponential": graphs.exponential(N),
    "static_exponential": [graphs.static_exponential(N)],
    "tournament": [graphs.averaging(m, N) for m in graphs.tournament(N)],
    "matrix": [lazy],
}
for graph, matrices in matrices_of.items():
    settings = {"matrix": lazy.tolist()} if graph == "matrix" else {}
    found = make("dpsgd", learner := fresh(), topology=graph, **settings)
    found.start()
    x = START.repeat(N, 1)
    for step, batch in enumerate(batches[:6]):
        x = matrices[step % len(matrices)] @ x - LR * gradients(x, batch, empty)
        found.step(share(batch, empty))
    check(f"dpsgd({graph}) = X T - lr G", gathered(learner.weights), x)
    require(end(found) == 1, "dpsgd needs one step to find the end")
    check(f"dpsgd({graph}): model", found.model(), x.mean(0))
    found.close()

# Without gradients the ring's second eigenvector shrinks by the factor 1 − gap in each step.
nothing = tuple(x[:0] for x in batches[0])
ring = make("dpsgd", learner := fresh(), topology="ring")
ring.start()
wave = torch.cos(torch.tensor(2 * torch.pi * RANK / N, dtype=torch.float64))
learner.weights.add_(wave)
for step in range(1, 4):
    require(ring.step(nothing), "an empty batch is not the end")
    factor = (1 + 2 * torch.cos(torch.tensor(2 * torch.pi / N, dtype=torch.float64))) / 3
    check(f"ring contracts, step {step}", learner.weights, START + factor**step * wave)
gap = graphs.spectral_gap(graphs.ring(N))
require(abs(abs(factor.item()) - (1 - gap)) < 1e-9, "the factor is the spectral gap's")
ring.close()

# SGP on a graph whose rows do not add up to 1, and where some edges have one direction only.
push = torch.rand(N, N, generator=torch.Generator().manual_seed(4), dtype=torch.float64) + torch.eye(N)
if N > 2:
    push[0, N - 1] = 0.0
push /= push.sum(0)
for settings, matrices in (
    ({"topology": "matrix", "matrix": push.tolist()}, [push]),
    ({}, graphs.exponential(N)),
    ({"topology": "ring"}, [graphs.ring(N)]),
):
    found = make("sgp", learner := fresh(), **settings)
    found.start()
    x, omega, moved = START.repeat(N, 1), torch.ones(N, dtype=torch.float64), torch.zeros_like(START)
    for step, batch in enumerate(batches):
        g = gradients(x / omega[:, None], batch, uneven)
        moved -= LR * g.sum(0)
        mix = matrices[step % len(matrices)]
        x, omega = mix @ (x - LR * g), mix @ omega
        found.step(share(batch, uneven))
    what = f"sgp({found.settings.topology})"
    check(f"{what}: z", gathered(learner.weights), x / omega[:, None])
    check(f"{what}: omega adds up to N", found.omega.sum(), torch.tensor(float(N)))
    check(f"{what} conserves", gathered(found.x).sum(0), N * START + moved)
    require(end(found) == 1, "sgp needs one step to find the end")
    check(f"{what}: model", found.model(), x.mean(0))
    # Without gradients all learners come to the mean, although mixing x alone would favour some.
    for _ in range(30):
        found.step(nothing)
    left = (1 - graphs.spectral_gap(reduce(torch.matmul, matrices))) ** (30 / len(matrices))
    check(f"{what}: consensus", learner.weights, x.mean(0), 1e-9 + 10 * left)
weights = torch.linalg.matrix_power(push, 80) @ torch.ones(N, dtype=torch.float64)
require((weights - 1).abs().max().item() > 0.05, "the graph is not regular, so that push weights matter")

# A wire that rounds moves learners a little, but not their mean.
for name in ("dpsgd", "sgp"):
    learner = fresh()
    wire = wire_of("bf16", learner.shapes, learner.weights)
    found = make_strategy(name, settings_class(name)(topology="ring"), learner, comm, wire)
    found.start()
    before = START + (RANK + 1) / 3
    (found.x if name == "sgp" else learner.weights).copy_(before)
    start = gathered(before)
    for _ in range(3):
        found.step(nothing)
    check(f"{name} on a 16-bit wire conserves", gathered(learner.weights).sum(0), start.sum(0))
    exact = torch.linalg.matrix_power(graphs.ring(N), 3) @ start
    apart = (gathered(learner.weights) - exact).abs().max().item()
    require(1e-6 < apart < 0.1, f"{name}: {apart:.2e} from what exact messages give")
    found.close()

CASES = {
    "model_averaging": {"sync_steps": TAU},
    "bmuf": {"sync_steps": TAU, "warmup_frames": 2.5 * N},
    "bmuf overlapping": {"sync_steps": TAU, "overlap_steps": 2},
    "slowmo overlapping": {"sync_steps": TAU, "overlap_steps": TAU},
    "slowmo": {"sync_steps": TAU},
    "diloco": {"sync_steps": TAU},
    "easgd": {"sync_steps": TAU},
    "dpsgd": {"topology": "exponential"},
    "dpsgd complete": {"topology": "complete"},
    "sgp": {"topology": "matrix", "matrix": push.tolist()},
}
for case, settings in CASES.items():
    name = case.split()[0]

    # Learners with different numbers of batches, one of them with none: all find the end in the same step, twice. Who
    # hears from neighbours alone is given empty batches until then, as the loader does.
    neighbours = name in ("dpsgd", "sgp")
    strategy = make(name, learner := fresh(0.9), **settings)
    strategy.start()
    for _ in range(2):
        steps = 0
        mine = [share(batch, uneven) for batch in batches[: 2 * RANK]]
        mine += [nothing] * (len(batches[: 2 * (N - 1)]) - len(mine) if neighbours else 0)
        for batch in mine:
            require(strategy.step(batch), f"{case} ended before its data")
            steps += 1
        steps += end(strategy)
        require(len(set(comm.allgather_object(steps))) == 1, f"{case}: learners ended in different steps")
    model = gathered(strategy.model())
    require(bool((model == model[0]).all()) and bool(torch.isfinite(model).all()), f"{case}: no common model")
    comm.barrier()
    strategy.close()

    # Exact restart within a block.
    whole = run(name, batches, even, fresh(0.9), **settings)
    first = make(name, learner := fresh(0.9), **settings)
    first.start()
    for batch in batches[:5]:
        first.step(share(batch, even))
    saved = {k: v.clone() if isinstance(v, torch.Tensor) else v for k, v in first.state_dict().items()}
    again = ToyLearner(seed=99, momentum=0.9)
    again.weights.copy_(learner.weights)
    again.optimizer.load_state_dict(learner.optimizer.state_dict())
    second = make(name, again, **settings)
    second.load_state_dict(saved)
    for batch in batches[5:]:
        second.step(share(batch, even))
    end(second)
    check(f"{case}: restart", second.model(), whole.model(), 0.0)
    check(f"{case}: restart, learner", again.weights, whole.learner.weights, 0.0)
    for strategy in (whole, first, second):
        strategy.close()
print(f"rank {RANK} passed", flush=True)
