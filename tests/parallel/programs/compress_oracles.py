"""Run under mpirun: what compressed sums must be equal to, in float64. Exits 1 on the first failure."""

import sys

import torch
from torch import Size, Tensor
from toy import ToyLearner, data, sgd, wire_of

from asrpar.parallel.comm import world
from asrpar.parallel.compress import half
from asrpar.parallel.compress.wire import Wire
from asrpar.parallel.strategies import make_strategy, settings_class
from asrpar.parallel.trace import RecordingTrace

comm = world()
N, RANK = comm.size, comm.rank
half.PIECE = 1000  # so that two learners swap several

# A matrix that PowerSGD factors, one of which factors would not be smaller, a tensor of three dimensions, a vector.
SHAPES = [Size([12, 10]), Size([2, 3]), Size([8, 3, 3]), Size([7])]
P = sum(s.numel() for s in SHAPES)
FEEDBACK = {
    "onebit": {"block": 16},
    "threshold": {"threshold": 0.5},
    "topk": {"density": 0.1},
    "powersgd": {"rank": 2},
}
ALL = {"bf16": {}, "fp16": {}, **FEEDBACK}


def fail(message: str) -> None:
    print(f"rank {RANK}: {message}", flush=True)
    sys.exit(1)


def check(name: str, actual: Tensor, expected: Tensor, tolerance: float | Tensor = 1e-12) -> None:
    error = (actual - expected).abs()
    if not bool((error <= tolerance).all()):
        fail(f"{name}: error {error.max().item():.3e}")
    if RANK == 0:
        print(f"ok {name} N={N} error {error.max().item():.1e}", flush=True)


def alike(name: str, x: Tensor) -> None:
    """The same bits on all ranks."""
    rows = torch.empty(N, *x.shape, dtype=x.dtype)
    comm.allgather(x, rows)
    if not torch.equal(rows.nan_to_num(12345.0), rows[:1].nan_to_num(12345.0).expand_as(rows)):
        fail(f"{name}: learners hold different sums")


def wire(method: str, size: int = P, shapes: list[Size] | None = None, **settings: object) -> Wire:
    like = torch.empty(size, dtype=torch.float64)
    return wire_of(method, shapes or SHAPES, like, **settings)


def vectors(rank: int, step: int, size: int = P) -> Tensor:
    """A gradient, summed over so many frames as the last but one element says, and a count; other ones each time."""
    g = torch.Generator().manual_seed(1000 * rank + step)
    x = torch.randn(size + 2, generator=g, dtype=torch.float64)
    x[-2] = 10.0 if step % 3 else 0.3
    x[:-2] *= x[-2]
    return x


def total(step: int, size: int = P) -> Tensor:
    return sum(vectors(r, step, size) for r in range(N))


def held_back(w: Wire) -> Tensor:
    """Σ over learners of all that they have not sent."""
    held = w.residual.clone()
    owned = getattr(w, "owned", None)
    if owned is not None:
        begin = RANK * owned.numel()
        held[begin : begin + owned.numel()] += owned[: max(0, len(held) - begin)]
    comm.allreduce(held)
    return held


# 16 bits: bounded error in each element, the same bits everywhere. Some lengths leave shards short or empty.
for method, u in (("bf16", 2.0**-8), ("fp16", 2.0**-11)):
    for size, scale in ((1, 1.0), (5, 1e-9), (P, 1e9), (4099, 1.0)):
        w = wire(method, size)
        x = vectors(RANK, 0, size)
        x[:size] *= scale
        w.allreduce(comm, x, exact=2)
        alike(f"{method}, {size} elements", x)
        parts = [vectors(r, 0, size)[:size] * scale for r in range(N)]
        exact = sum(parts)
        # One rounding of what is sent, and one of the sum.
        bound = u * (sum(p.abs() for p in parts) + 1.1 * exact.abs()) + 2.0**-36 * scale
        check(f"{method}, {size} elements, scale {scale:g}", x[:size], exact, bound)
        check(f"{method} exact part", x[size:], total(0, size)[size:], 1e-14)
        if size == 4099 and N > 1 and torch.equal(x[:size], exact):
            fail(f"{method} did not round: nothing was compressed")
    # float32, as in a training.
    w = wire_of(method, SHAPES, torch.empty(P))
    x = vectors(RANK, 1).float()
    w.allreduce(comm, x, exact=2)
    alike(f"{method} of float32", x)
    parts = [vectors(r, 1) for r in range(N)]
    check(f"{method} of float32", x.double(), total(1), 2.1 * u * sum(p.abs() for p in parts) + 1e-6)

# Error feedback: what was sent and what is held back, per frame, add up to what came in; the exact part is exact.
for method, settings in FEEDBACK.items():
    w = wire(method, **settings)
    sent, came = torch.zeros(P, dtype=torch.float64), torch.zeros(P, dtype=torch.float64)
    for step in range(6):
        x = vectors(RANK, step)
        w.allreduce(comm, x, exact=2, over_frames=True)
        alike(method, x)
        check(f"{method} exact part", x[P:], total(step)[P:], 1e-14)
        sent += x[:P] / x[P]
        came += total(step)[:P] / x[P]
    check(f"{method}: sent + held back = came in", sent + held_back(w), came)
    if N > 1 and torch.allclose(sent, came):
        fail(f"{method} held nothing back: nothing was compressed")
    # What is held back must not pile up.
    if held_back(w).norm() > 6 * came.norm():
        fail(f"{method} holds back {held_back(w).norm():.1f} of {came.norm():.1f}")

# Top-k of all elements and PowerSGD at full rank = allreduce; so is PowerSGD where the sum has rank r.
for name, w in (("topk at 100 %", wire("topk", density=1.0)), ("powersgd at full rank", wire("powersgd", rank=12))):
    for step in range(3):
        x = vectors(RANK, step)
        w.allreduce(comm, x, exact=2)
        check(f"{name} = allreduce", x, total(step))
w = wire("powersgd", rank=2)
if not (N == 1 or len(w.matrices) == 2):
    fail("powersgd does not factor the matrices that this test is about")
for step in range(3):
    g = torch.Generator().manual_seed(77 + step)
    left = torch.randn(12, 2, generator=g, dtype=torch.float64)
    thin = torch.randn(8, 2, generator=g, dtype=torch.float64)
    x = vectors(RANK, step)
    # All learners share the columns, so their sum has rank 2 as well.
    x[:120] = (left @ x[:20].view(2, 10)).view(-1)
    x[126:198] = (thin @ x[126:144].view(2, 9)).view(-1)
    expected = x.clone()
    comm.allreduce(expected)
    w.allreduce(comm, x, exact=2)
    check("powersgd of a sum of rank r = allreduce", x, expected, 1e-11)

# Momentum correction: during the warm-up what travels is SGD with momentum.
w = wire("topk", density=0.1, momentum=0.9, warmup_frames=100.0)
velocity = torch.zeros(P, dtype=torch.float64)
for step in range(4):
    x = vectors(RANK, step)
    w.allreduce(comm, x, exact=2, over_frames=True)
    velocity = 0.9 * velocity + total(step)[:P] / x[P]
    check("topk with momentum, warm-up = momentum SGD", x[:P] / x[P], velocity)

# No compression during the warm-up, which counts frames; compression after it.
for method, settings in ALL.items():
    w = wire(method, warmup_frames=10.0, **settings)
    for frames, lossless in ((6.0, True), (6.0, True), (6.0, N == 1)):
        x = vectors(RANK, 3)
        w.allreduce(comm, x, exact=2)
        w.advance(frames)
        if torch.allclose(x, total(3), rtol=0, atol=1e-12) != lossless:
            fail(f"{method}: warm-up of 10 frames in steps of 6")

# NaN and inf on one learner: all see it, and it leaves no trace. Zeros everywhere are no reason to send anything.
for method, settings in ALL.items():
    for bad in (torch.nan, -torch.inf):
        a, b = wire(method, **settings), wire(method, **settings)
        for step in range(3):
            x, y = vectors(RANK, step), vectors(RANK, step)
            a.allreduce(comm, x, exact=2)
            b.allreduce(comm, y, exact=2)
            check(f"{method} after {bad}", y, x, 0.0)
            if step == 1:
                y = vectors(RANK, step)
                if RANK == N - 1:
                    y[5] = bad
                b.allreduce(comm, y, exact=2)
                if torch.isfinite(y[5]) or not torch.isfinite(y[P:]).all():
                    fail(f"{method}: {bad} on one learner was lost")
                alike(f"{method} with {bad}", torch.isfinite(y).to(torch.int64))
                y = torch.zeros(P + 2, dtype=torch.float64)
                b.allreduce(comm, y, exact=2)
                check(f"{method} of zeros", y, torch.zeros(P + 2, dtype=torch.float64), 0.0)

# Bytes: far fewer than without compression.
shapes = [Size([128, 128])]
trace = comm.trace
for method, settings, most in (
    ("bf16", {}, 0.51),
    ("fp16", {}, 0.51),
    ("onebit", {"block": 256}, 0.06),
    ("threshold", {"threshold": 3.0}, 0.1),
    ("topk", {"density": 0.01}, 0.1),
    ("powersgd", {"rank": 2}, 0.1),
):
    w = wire_of(method, shapes, torch.empty(128 * 128), **settings)
    x = vectors(RANK, 0, 128 * 128).float()
    comm.trace = RecordingTrace()
    w.allreduce(comm, x, exact=2)
    sent = sum(t[2] for t in comm.trace.totals().values())
    comm.trace = RecordingTrace()
    comm.allreduce(x)
    plain = sum(t[2] for t in comm.trace.totals().values())
    if sent > most * plain:
        fail(f"{method} sent {sent} bytes, {plain} without compression")
comm.trace = trace

# Synchronous SGD on a regression (P = 16) reaches the least-squares solution, and a restart is exact.
STEPS, STOP = 40, 36
SHARE = 48 // N
TOY = {
    "none": {},
    "bf16": {},
    "fp16": {},
    "onebit": {"block": 8},
    # A step moves an element by lr τ / frames at most: too small a τ is too slow.
    "threshold": {"threshold": SHARE / 2},
    "topk": {"density": 0.25},
    "powersgd": {"rank": 1},
}
inputs, targets = data(1, SHARE * N, seed=5, dim=15)[0]
targets = targets / 15
mine = inputs[RANK * SHARE : (RANK + 1) * SHARE], targets[RANK * SHARE : (RANK + 1) * SHARE]


def loss(learner: ToyLearner) -> float:
    with torch.no_grad():
        return (0.5 * (learner.module(inputs).squeeze(1) - targets) ** 2).mean().item()


def start(method: str, seed: int) -> tuple[ToyLearner, object]:
    learner = ToyLearner(seed=seed, dim=15, lr=0.2)
    # For PowerSGD a matrix of 4 x 4, whatever the layer is.
    w = wire_of(method, [Size([4, 4])], learner.weights, **TOY[method])
    return learner, make_strategy("ssgd", settings_class("ssgd")(), learner, comm, w)


first = loss(ToyLearner(seed=0, dim=15))
reference = ToyLearner(seed=0, dim=15, lr=0.2)
sgd(reference, [(inputs, targets)] * STEPS)
for method in TOY:
    learner, strategy = start(method, RANK)
    strategy.start()
    for step in range(STEPS):
        if step == STOP:
            saved = {k: v.clone() if isinstance(v, Tensor) else v for k, v in strategy.wire.state_dict().items()}
            weights = learner.weights.clone()
        strategy.step(mine)
    if strategy.step(None):
        fail(f"{method}: the end of the data was not found")
    alike(f"ssgd with {method}", learner.weights)
    if RANK == 0:
        print(f"ssgd with {method}: loss {loss(learner):.5f}, without {loss(reference):.5f}, at first {first:.5f}")
    if not loss(learner) < max(1.5 * loss(reference), 0.01 * first):
        fail(f"ssgd with {method}: loss {loss(learner):.5f}, without {loss(reference):.5f}, at first {first:.5f}")
    again, strategy = start(method, 99)
    again.weights.copy_(weights)
    strategy.wire.load_state_dict(saved)
    for _ in range(STOP, STEPS):
        strategy.step(mine)
    check(f"ssgd with {method}, restarted", again.weights, learner.weights, 0.0)

# Residuals of other learners are no use: a state from elsewhere is not added to what this learner sends.
for method, settings in FEEDBACK.items():
    fresh, moved = wire(method, **settings), wire(method, **settings)
    moved.load_state_dict(fresh.state_dict() | {"residual": torch.ones(P, dtype=torch.float64), "place": [RANK, N + 1]})
    x, y = vectors(RANK, 0), vectors(RANK, 0)
    fresh.allreduce(comm, x, exact=2)
    moved.allreduce(comm, y, exact=2)
    check(f"{method} after a change of learners", y, x, 0.0)
print(f"rank {RANK} passed", flush=True)
