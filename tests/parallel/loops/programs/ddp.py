"""ssgd in a loop, against torch's DistributedDataParallel on the same data; and checkpoints of a loop."""

import sys
from pathlib import Path

import torch
import torch.distributed as dist
from ranks import RANK, N, check, comm, require
from torch import nn
from torch.nn import functional as F

from asrpar.errors import TrainingError
from asrpar.parallel.loops.parallel import Parallel


def parts():
    torch.manual_seed(5)
    inputs, labels = torch.randn(24, 8, 6), torch.randint(3, (24, 8))
    model = nn.Sequential(nn.Linear(6, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 3))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    torch.manual_seed(RANK)
    return model, optimizer, list(zip(inputs, labels, strict=True))[RANK::N]


def with_ddp(steps):
    store = dist.TCPStore("127.0.0.1", 0, N, True) if RANK == 0 else None
    port = comm.broadcast_object(store.port if store else None)
    store = store or dist.TCPStore("127.0.0.1", port, N, False)
    dist.init_process_group("gloo", store=store, rank=RANK, world_size=N)
    model, optimizer, batches = parts()
    ddp, losses = nn.parallel.DistributedDataParallel(model, broadcast_buffers=False), []
    for x, y in (batches * 2)[:steps]:
        optimizer.zero_grad()
        loss = F.cross_entropy(ddp(x), y)
        loss.backward()
        nn.utils.clip_grad_norm_(ddp.parameters(), 0.5)
        optimizer.step()
        losses.append(loss.item())
    dist.destroy_process_group()
    return losses, model


def with_parallel(name, folder=None, stop_after=None, settings=None, compression="none"):
    """Two epochs of 12 steps; with a folder, from its newest checkpoint, saving in each, and at its end."""
    model, optimizer, batches = parts()
    parallel = Parallel(model, optimizer, name, settings, clip_norm=0.5, compression=compression, comm=comm)
    place = (parallel.load(folder) if folder else None) or {"epoch": 0, "step": 0}
    losses = []
    for epoch in range(place["epoch"], 2):
        begin = place["step"] if epoch == place["epoch"] else 0
        for step, (x, y) in enumerate(parallel.epoch(batches[begin:]), begin + 1):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            parallel.step()
            losses.append(loss.item())
            if folder and step == 5 and parallel.strategy.lockstep:
                parallel.save(folder, epoch=epoch, step=step)
            if (epoch, step) == stop_after:
                return losses, model
        if folder:
            parallel.save(folder, epoch=epoch + 1, step=0)
    parallel.close()
    return losses, model


def vector(model):
    return torch.cat([p.detach().reshape(-1) for p in model.parameters()])


folder = Path(sys.argv[1])
theirs, ours = with_ddp(24), with_parallel("ssgd")
require(theirs[0] == ours[0], f"losses differ: {theirs[0][:3]}... {ours[0][:3]}...")
check("weights of ssgd and DDP", vector(ours[1]), vector(theirs[1]), tolerance=0.0)

for number, (name, settings, compression) in enumerate(
    [("ssgd", None, "topk"), ("bmuf", {"sync_steps": 4}, "none"), ("dpsgd", None, "none"), ("easgd", None, "none")]
):
    whole = with_parallel(name, settings=settings, compression=compression)
    place = folder / str(number)
    for stop_after in ((0, 5), (1, 7), (1, 12)):
        with_parallel(name, place, stop_after, settings, compression)
    again = with_parallel(name, place, None, settings, compression)
    check(f"{name} resumed", vector(again[1]), vector(whole[1]), tolerance=0.0)
    require(len(list(place.iterdir())) == 2, "older checkpoints stay")

wrong = {"another strategy": ("ssgd", None), "another settings": ("bmuf", {"sync_steps": 5})}
for what, (name, settings) in wrong.items():
    try:
        with_parallel(name, folder / "1", settings=settings)
    except TrainingError as e:
        require(what in str(e), f"{what}: {e}")
    else:
        require(False, f"a checkpoint with {what} was loaded")
