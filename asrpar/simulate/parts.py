"""The parts of a simulated trainer."""

import time
from contextlib import nullcontext
from functools import partial
from typing import Any

from asrpar.feats import BatchLoader
from asrpar.parallel.comm import Comm
from asrpar.parallel.contract import Strategy
from asrpar.parallel.record import Entry, Replay, witnessed
from asrpar.parallel.virtual.cluster import Cluster, ComputeTime
from asrpar.parallel.virtual.comm import VirtualComm
from asrpar.simulate.learner import SharedModule, VirtualLearner
from asrpar.train.build import Parts, make_learner, pick_device
from asrpar.train.config import TrainConfig
from asrpar.train.identity import Identity
from asrpar.train.signals import StopRequest
from asrpar.train.timing import Timing


class NoCheckpoints:
    """A simulated run that is interrupted begins anew."""

    def regroup(self, comm: Comm) -> None:
        """Nobody keeps anything."""

    def save(self, *_: Any) -> None:
        """Nothing is saved."""

    def load(self, *_: Any) -> None:
        """Nothing was saved."""


class NoWatchdog:
    """The clock itself finds out that nobody can go on."""

    def regroup(self, comm: Comm) -> None:
        """Nobody is watched."""

    def beat(self, steps: int = 0) -> None:
        """Nobody listens."""

    def saved(self) -> None:
        """Nothing is."""

    def waiting(self) -> nullcontext:
        """Nobody grows impatient."""
        return nullcontext()

    def __enter__(self) -> "NoWatchdog":
        return self

    def __exit__(self, *_: object) -> None:
        pass


class VirtualParts(Parts):
    """What all learners of one simulation share, and the parts that each of them has.

    Args:
        config: of the training.
        cluster: on which it is to run.
        recorded: events of each rank that are to happen again in their order.
    """

    def __init__(self, config: TrainConfig, cluster: Cluster, recorded: list[list[Entry]] | None = None) -> None:
        super().__init__(config)
        self.recorded = recorded
        self.replays: dict[int, Replay] = {}
        self.cluster, self.module = cluster, SharedModule()
        self._loader: BatchLoader | None = None
        self._identity: Identity | None = None
        self.comm: VirtualComm | None = None
        self.seconds: dict[int, ComputeTime] = {}
        self.begin = time.perf_counter()

    def loader(self, workers: int, rank: int) -> BatchLoader:
        """Each has its share, all read the same files."""
        if self._loader is None:
            self._loader = super().loader(workers, 0)
        return self._loader.share(workers, min(rank, workers - 1))

    def take_over(self) -> None:
        """Whoever simulates holds it."""

    def reshared(self, loader: BatchLoader, workers: int, rank: int) -> BatchLoader:
        return self.loader(workers, rank)

    def examine(self, loader: BatchLoader, comm: VirtualComm) -> Identity:
        if self._identity is None:
            self._identity = super().examine(loader, comm)
        return self._identity

    def learner(self, num_features: int, comm: VirtualComm) -> VirtualLearner:
        self.comm = comm
        # Whoever comes in a lost learner's place computes on the same device.
        seconds = self.seconds.setdefault(comm.seat, ComputeTime(self.cluster.compute, comm.seat, self.config.seed))
        kind = partial(VirtualLearner, shared=self.module, comm=comm, seconds=seconds)
        # All are on the first device, for they share one module.
        device = pick_device(self.config.device, 0)
        return make_learner(self.config, self.objective, num_features, comm, device, kind)

    def checkpoints(self, comm: Comm) -> NoCheckpoints:
        return NoCheckpoints()

    def stop(self, comm: Comm) -> StopRequest:
        """Learners ask each other, as real ones do; but a simulated run ends when it is done or interrupted."""
        return StopRequest(comm, 0.0, signals=())

    def watchdog(self, comm: Comm, timing: Timing, strategy: Strategy) -> NoWatchdog:
        return NoWatchdog()

    def witness(self, learner: Any, comm: VirtualComm) -> tuple[Any, Any]:
        """With somebody who lets happen what was recorded."""
        if self.recorded is None:
            return learner, comm
        self.replays[comm.rank] = Replay(self.recorded[comm.rank], comm.rank, comm.event)
        return witnessed(learner, comm, self.replays[comm.rank])

    def close(self, rank: int) -> None:
        """All that was recorded must have happened."""
        if self.recorded is not None:
            self.replays[rank].close()

    def facts(self) -> dict[str, Any]:
        failures = {"failures": self.comm.shared.crew.summary()} if self.cluster.failures else {}
        return {
            "virtual": True,
            "cluster": self.cluster.name,
            "virtual_seconds": self.comm.clock(),
            "trace_checksum": self.comm.scheduler.checksum,
            "wall_seconds": round(time.perf_counter() - self.begin, 3),
            **failures,
        }
