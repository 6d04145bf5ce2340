"""For programs under mpirun: checks that end the job, shares of batches, whole runs of a strategy on toy learners."""

import sys

import torch
from toy import ToyLearner

from asrpar.parallel.comm import world
from asrpar.parallel.strategies import Strategy, make_strategy, settings_class

comm = world()
N, RANK = comm.size, comm.rank


def require(condition: bool, what: str) -> None:
    """Exit 1 unless ``condition`` holds."""
    if not condition:
        print(f"rank {RANK}: {what}", flush=True)
        sys.exit(1)


def check(name: str, actual: torch.Tensor, expected: torch.Tensor, tolerance: float = 1e-12) -> None:
    """Exit 1 unless two tensors agree."""
    error = (actual - expected).abs().max().item()
    require(error <= tolerance, f"{name}: error {error:.3e} > {tolerance}")
    if RANK == 0:
        print(f"ok {name} N={N} error {error:.1e}", flush=True)


def share(batch: tuple, sizes: list[int], rank: int = RANK) -> tuple:
    """The rows of a batch that are one learner's."""
    start = sum(sizes[:rank])
    return tuple(x[start : start + sizes[rank]] for x in batch)


def make(name: str, learner: ToyLearner, **settings: object) -> Strategy:
    """A strategy that has not begun."""
    return make_strategy(name, settings_class(name)(**settings), learner, comm)


def end(strategy: Strategy) -> int:
    """To the end of the epoch; returns how many steps it took."""
    steps = 1
    while strategy.step(None):
        steps += 1
        require(steps < 1000, "the end of the data was not found")
    strategy.finish()
    return steps


def run(name: str, batches: list[tuple], sizes: list[int], learner: ToyLearner, **settings: object) -> Strategy:
    """One epoch; all learners must end with one model."""
    strategy = make(name, learner, **settings)
    strategy.start()
    for batch in batches:
        require(strategy.step(share(batch, sizes)), f"{name} ended before its data")
    end(strategy)
    same = comm.allgather_object(strategy.model().tolist())
    require(all(m == same[0] for m in same), f"{name}: learners hold different models")
    return strategy


def gathered(x: torch.Tensor) -> torch.Tensor:
    """(N, P) a vector of each learner."""
    return torch.tensor(comm.allgather_object(x.tolist()), dtype=torch.float64)
