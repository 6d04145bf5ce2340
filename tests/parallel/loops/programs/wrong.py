"""Both learners are given the same batches."""

import torch
from torch import nn

from asrpar.parallel import Parallel

model = nn.Linear(2, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
parallel = Parallel(model, optimizer, "ssgd")
torch.manual_seed(0)
batches = list(torch.randn(4, 8, 2))
for batch in parallel.epoch(batches):
    model(batch).mean().backward()
    parallel.step()
