"""ssgd in a loop, against torch's DistributedDataParallel on the same data."""

import ctypes

import torch
import torch.distributed as dist
from ranks import RANK, N, check, comm, require
from torch import nn
from torch.nn import functional as F

from asrpar.parallel.loops.parallel import Parallel


def parts():
    torch.manual_seed(5)
    inputs, labels = torch.randn(48, 8, 6), torch.randint(3, (48, 8))
    model = nn.Sequential(nn.Linear(6, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 3))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-3)
    torch.manual_seed(RANK)
    return model, optimizer, list(zip(inputs, labels, strict=True))[RANK::N]


def with_ddp():
    store = dist.TCPStore("127.0.0.1", 0, N, True, wait_for_workers=False) if RANK == 0 else None
    port = comm.broadcast_object(store.port if store else None)
    store = store or dist.TCPStore("127.0.0.1", port, N, False, wait_for_workers=False)
    dist.init_process_group("gloo", store=store, rank=RANK, world_size=N)
    model, optimizer, batches = parts()
    ddp, losses = nn.parallel.DistributedDataParallel(model), []
    for x, y in batches:
        optimizer.zero_grad()
        loss = F.cross_entropy(ddp(x), y)
        loss.backward()
        nn.utils.clip_grad_norm_(ddp.parameters(), 0.5)
        optimizer.step()
        losses.append(loss.item())
    dist.destroy_process_group()
    # Its destructor holds Python's lock while it waits for Gloo's thread, which may want that lock to let go of its
    # last sum: now and then both wait for ever. So it is never called.
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(ddp.reducer))
    return losses, model


def with_parallel():
    model, optimizer, batches = parts()
    parallel, losses = Parallel(model, optimizer, "ssgd", clip_norm=0.5, comm=comm), []
    for x, y in parallel.epoch(batches):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        parallel.step()
        losses.append(loss.item())
    parallel.close()
    return losses, model


theirs, ours = with_ddp(), with_parallel()
require(len(theirs[0]) == 24 and theirs[0] == ours[0], f"losses differ: {theirs[0][:3]}... {ours[0][:3]}...")
for mine, other in zip(ours[1].parameters(), theirs[1].parameters(), strict=True):
    check("weights", mine.detach(), other.detach(), tolerance=0.0)
