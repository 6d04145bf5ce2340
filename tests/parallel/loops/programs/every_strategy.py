"""Two learners in a loop: each strategy, with shares that are not equally long, and loops that are left."""

import torch
from ranks import RANK, comm, require
from torch import nn

from asrpar.parallel.loops.parallel import Parallel
from asrpar.parallel.strategies import STRATEGIES

SETTINGS = {"bmuf": {"sync_steps": 3, "block_momentum": 0.3}, "asgd": {"push_scale": None}, "slowmo": {"sync_steps": 3}}
STRAGGLING = {"model_averaging": {"sync_steps": 3}, "diloco": {"sync_steps": 3}}


def problem(batches=12):
    torch.manual_seed(3)
    truth = torch.tensor([[1.0, -2.0, 0.5, 3.0]])
    inputs = torch.randn(batches, 16, 4)
    model = nn.Linear(4, 1)
    return model, [(x, x @ truth.T) for x in inputs]


def loss_of(model, batches):
    with torch.no_grad():
        return sum(((model(x) - y) ** 2).mean().item() for x, y in batches) / len(batches)


def train(name, settings, epochs=6, leave=None, accumulate=1):
    model, batches = problem()
    before = loss_of(model, batches)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.5)
    parallel = Parallel(model, optimizer, name, settings, comm=comm)
    own = batches[:7] if RANK == 0 else batches[7:]
    for epoch in range(epochs):
        for number, (x, y) in enumerate(parallel.epoch(own), 1):
            ((model(x) - y) ** 2).mean().backward()
            if number % accumulate == 0:
                parallel.step(len(x))
                optimizer.zero_grad()
            if number == leave:
                break
        if epoch == 2:
            with parallel.consensus():
                middle = parallel.total(loss_of(model, batches))[0] / comm.size
            require(middle < before, f"{name}: {middle} after {epoch} epochs, {before} before")
    parallel.close()
    after = loss_of(model, batches)
    require(after < before / 3, f"{name}: loss {before} before, {after} after")
    weights = comm.allgather_object(torch.cat([p.detach().reshape(-1) for p in model.parameters()]).tolist())
    require(weights[0] == weights[1], f"{name}: learners hold different models")
    return parallel.steps


for name in STRATEGIES:
    if name == "single":
        continue
    settings = SETTINGS.get(name) or STRAGGLING.get(name) or {}
    steps = train(name, settings)
    require(steps == 6 * (7 if RANK == 0 else 5), f"{name}: {steps} steps")
    train(name, settings, epochs=10, leave=3)
    steps = train(name, settings, epochs=12, accumulate=2)
    # What is left over at an epoch's end is a step without samples.
    require(steps == 12 * (4 if RANK == 0 else 3), f"{name}: {steps} steps of two batches")
    if RANK == 0:
        print(f"ok {name}", flush=True)
