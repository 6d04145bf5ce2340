"""Run under mpirun with names of strategies: noisy linear regression must come down to its noise floor.

    python regression.py NAME[:KEY=VALUE,...] ...

A learner never sees one of the coordinates, a different one on each rank: alone it cannot get near the floor, which is
what the control, learners that do not communicate, must show. Exits 1 if a strategy fails or the control does not.
"""

import sys

import torch
from ranks import RANK, N, comm, end, make, require
from torch import Tensor
from toy import ToyLearner

from asrpar.config import load_config
from asrpar.parallel.strategies import settings_class

DIM, NOISE, ROWS, STEPS = 8, 0.1, 8, 300
TRUTH = torch.arange(1, DIM + 1, dtype=torch.float64) / DIM
FLOOR = NOISE**2


class Learner(ToyLearner):
    """The toy, as the regression needs it."""

    def __init__(self, momentum: float = 0.0) -> None:
        super().__init__(seed=RANK, dim=DIM, momentum=momentum)


def risk(weights: Tensor) -> float:
    """Expected squared error of a model on fresh data; `FLOOR` at best."""
    coefficients, bias = weights[:DIM], weights[DIM]
    return FLOOR + ((coefficients - TRUTH) ** 2).sum().item() + bias.item() ** 2


def batches(learners: int) -> list[tuple[Tensor, Tensor]]:
    """This rank's share, each step fresh; nothing for ranks that serve."""
    g = torch.Generator().manual_seed(100 + RANK)
    x = torch.randn(STEPS, ROWS if learners > RANK else 0, DIM, generator=g, dtype=torch.float64)
    x[:, :, RANK % DIM] = 0.0
    y = x @ TRUTH + NOISE * torch.randn(x.shape[:2], generator=g, dtype=torch.float64)
    return list(zip(x, y, strict=True))


def rate(step: int) -> float:
    """Constant, then down to a hundredth."""
    return 0.1 * min(1.0, 0.01 ** (2 * step / STEPS - 1))


def reaches_floor(name: str, within: float = 1.2, **settings: object) -> tuple[bool, float]:
    """Train with a strategy; whether its model's risk is at most ``within`` times the floor, and the risk."""
    learner = Learner()
    strategy = make(name, learner, **settings)
    strategy.start()
    for step, batch in enumerate(batches(strategy.workers(strategy.settings, N))):
        learner.lr = rate(step)
        strategy.step(batch)
    end(strategy)
    found = risk(strategy.model())
    strategy.close()
    return found <= within * FLOOR, found


def alone() -> float:
    """The lowest risk of learners that do not communicate, or of the mean of what they have learnt."""
    learner = Learner()
    for step, batch in enumerate(batches(N)):
        learner.lr = rate(step)
        learner.apply(learner.gradient(batch))
    mean = learner.weights / N
    comm.allreduce(mean)
    return min(*comm.allgather_object(risk(learner.weights)), risk(mean))


if __name__ == "__main__":
    control = alone()
    require(control > 2 * FLOOR, f"the control reached {control / FLOOR:.2f} times the floor without communication")
    if RANK == 0:
        print(f"control: {control / FLOOR:.1f} times the floor", flush=True)
    for argument in sys.argv[1:]:
        name, _, block = argument.partition(":")
        settings = load_config(settings_class(name), None, [s for s in block.split(",") if s])
        ok, found = reaches_floor(name, **vars(settings))
        require(ok, f"{argument} reached {found / FLOOR:.3f} times the floor")
        if RANK == 0:
            print(f"ok {argument}: {found / FLOOR:.3f} times the floor", flush=True)
    print(f"rank {RANK} passed", flush=True)
