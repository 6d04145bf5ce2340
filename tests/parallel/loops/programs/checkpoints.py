"""Checkpoints of a loop: whoever goes on from one comes to the same weights."""

import sys
from pathlib import Path

import torch
from ranks import RANK, N, check, comm, require
from torch import nn
from torch.nn import functional as F

from asrpar.errors import TrainingError
from asrpar.parallel.loops.parallel import Parallel


def parts():
    torch.manual_seed(5)
    inputs, labels = torch.randn(24, 8, 6), torch.randint(3, (24, 8))
    model = nn.Sequential(nn.Linear(6, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 3))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    torch.manual_seed(RANK)
    return model, optimizer, list(zip(inputs, labels, strict=True))[RANK::N]


def train(name, settings=None, compression="none", folder=None, stop_after=None):
    """Two epochs of 12 steps; with a folder, from its newest checkpoint, saving in each, and at its end."""
    model, optimizer, batches = parts()
    parallel = Parallel(model, optimizer, name, settings, compression=compression, comm=comm)
    place = (parallel.load(folder) if folder else None) or {"epoch": 0, "step": 0}
    for epoch in range(place["epoch"], 2):
        begin = place["step"] if epoch == place["epoch"] else 0
        for step, (x, y) in enumerate(parallel.epoch(batches[begin:]), begin + 1):
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            parallel.step()
            if folder and step == 5:
                parallel.save(folder, epoch=epoch, step=step)
            if (epoch, step) == stop_after:
                return None
        if folder:
            parallel.save(folder, epoch=epoch + 1, step=0)
    parallel.close()
    return torch.cat([p.detach().reshape(-1) for p in model.parameters()])


folder = Path(sys.argv[1])
for number, arguments in enumerate(
    [("ssgd", None, "topk"), ("bmuf", {"sync_steps": 4}), ("dpsgd",), ("easgd",), ("sgp",), ("delayed",)]
):
    whole, place = train(*arguments), folder / str(number)
    for stop_after in ((0, 5), (1, 7), (1, 12)):
        train(*arguments, folder=place, stop_after=stop_after)
    check(f"{arguments[0]} resumed", train(*arguments, folder=place), whole, tolerance=0.0)
    require(len(list(place.iterdir())) == 2, "older checkpoints stay")

for what, arguments in {"another strategy": ("ssgd",), "another settings": ("bmuf", {"sync_steps": 5})}.items():
    try:
        train(*arguments, folder=folder / "1")
    except TrainingError as e:
        require(what in str(e), f"{what}: {e}")
    else:
        require(False, f"a checkpoint with {what} was loaded")
