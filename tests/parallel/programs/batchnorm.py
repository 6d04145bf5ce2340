"""Run under mpirun: combined running statistics against one module that saw everything. Exits 1 on failure."""

import torch
from ranks import RANK, N, check, comm, require
from torch import nn

from asrpar.parallel.batchnorm import combine_batchnorm

ROWS, CHANNELS = 500, 3


def model(momentum: float | None = 1.0) -> nn.Module:
    module = nn.Sequential(nn.BatchNorm1d(CHANNELS, momentum=momentum), nn.Identity(), nn.BatchNorm1d(CHANNELS))
    return module.double().train()


def speech(rank: int, batch: int = 0) -> torch.Tensor:
    """(rows, channels) with a mean and a spread of its own on each rank."""
    g = torch.Generator().manual_seed(10 * rank + batch)
    return 3.0 * rank + (1 + rank) * torch.randn(ROWS, CHANNELS, generator=g, dtype=torch.float64)


# One batch each; one module that is given all of them at once. Bessel's correction differs: 1 / rows.
mine, everything = model(), model()
mine[0](speech(RANK))
everything[0](torch.cat([speech(r) for r in range(N)]))
naive = mine[0].running_var.clone()
comm.allreduce(naive)
naive /= N
combine_batchnorm(mine, comm)
check("mean", mine[0].running_mean, everything[0].running_mean)
check("variance", mine[0].running_var / everything[0].running_var, torch.ones(CHANNELS).double(), 2 / ROWS)
require(bool((naive < 0.8 * everything[0].running_var).all()), "averages of variances must be seen to be wrong")
require(bool((mine[2].running_var == 1).all()) and bool((mine[2].running_mean == 0).all()), "an unused layer changed")

# A second time changes nothing.
before = mine[0].running_var.clone()
combine_batchnorm(mine, comm)
check("twice is once", mine[0].running_var, before)

# Different numbers of batches, one learner without any: exact against the statistics of the mixture.
seen = list(range(N))
several = model(momentum=None)
for batch in range(seen[RANK]):
    several[0](speech(RANK, batch))
combine_batchnorm(several, comm)
batches = [speech(r, b) for r in range(N) for b in range(seen[r])]
mean = torch.stack([b.mean(0) for b in batches]).mean(0)
check("uneven: mean", several[0].running_mean, mean)
by_learner = [torch.stack([speech(r, b).mean(0) for b in range(seen[r])]).mean(0) for r in range(1, N)]
between = sum(k * (m - mean) ** 2 for k, m in zip(seen[1:], by_learner, strict=True)) / sum(seen)
check("uneven: variance", several[0].running_var, torch.stack([b.var(0) for b in batches]).mean(0) + between)
require(int(several[0].num_batches_tracked) == seen[RANK], "counts are the learners' own")
print(f"rank {RANK} passed", flush=True)
