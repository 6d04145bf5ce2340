"""Run under mpirun: synchronous SGD with buckets is synchronous SGD. Exits 1 on the first failure."""

import torch
from ranks import RANK, N, check, comm, require, share
from torch import nn
from toy import ToyLearner, data

from asrpar.parallel.flat import FlatParameters
from asrpar.parallel.strategies import make_strategy, settings_class


class Deep(ToyLearner):
    """Parameters of unlike sizes, some large enough for shared memory; ``spare`` takes no part in the loss."""

    def __init__(self) -> None:
        super().__init__(momentum=0.9)
        self.module = nn.Sequential(
            nn.Linear(5, 3001), nn.Tanh(), nn.Linear(3001, 7), nn.Tanh(), nn.Linear(7, 1)
        ).double()
        self.module.register_parameter("spare", nn.Parameter(torch.ones(3, dtype=torch.float64)))
        self.flat = FlatParameters(self.module, comm.zeros)
        self.weights, self.grad, self.message = self.flat.weights, self.flat.grad, self.flat.message
        self.shapes = self.flat.shapes
        parameter = nn.Parameter(self.weights)
        parameter.grad = self.grad
        self.optimizer = torch.optim.SGD([parameter], lr=self.lr, momentum=0.9)


def train(bucket_mb: float, sizes: list[int]) -> torch.Tensor:
    learner = Deep()
    strategy = make_strategy("ssgd", settings_class("ssgd")(bucket_mb=bucket_mb), learner, comm)
    strategy.start()
    for batch in data(steps=6, rows=sum(sizes)):
        require(strategy.step(share(batch, sizes)), "a step with data is no end")
        # A backward that is not the strategy's, such as that of somebody's check, must not disturb it.
        learner.module(torch.ones(1, 5, dtype=torch.float64)).sum().backward()
    require(not strategy.step(None), "the end of the data")
    weights = comm.allgather_object(learner.weights.tolist())
    require(all(w == weights[0] for w in weights), "learners hold different weights")
    return learner.weights


for sizes in ([2] * N, [0] + [3] * (N - 1)):
    plain = train(0.0, sizes)
    require(not torch.equal(plain, Deep().weights), "nothing was learnt")
    for bucket_mb in (1e-6, 0.01, 0.15, 100.0):
        check(f"buckets of {bucket_mb} MB, shares {sizes}", train(bucket_mb, sizes), plain)
print(f"rank {RANK} passed", flush=True)
