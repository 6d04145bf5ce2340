"""The parts of a simulated trainer: learners that share one module and compute in virtual time."""

import time
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from asrpar.feats import Batch, BatchLoader
from asrpar.parallel.comm import Comm
from asrpar.parallel.contract import Strategy
from asrpar.parallel.record import Entry, Replay, witnessed
from asrpar.parallel.virtual.cluster import Cluster, ComputeTime
from asrpar.parallel.virtual.comm import VirtualComm
from asrpar.train.build import Parts, make_learner, pick_device
from asrpar.train.config import TrainConfig
from asrpar.train.identity import Identity
from asrpar.train.learner import AcousticLearner
from asrpar.train.signals import StopRequest
from asrpar.train.timing import Timing

# Share of a gradient's time that goes by before the first parameter's gradient is complete: backward computes twice
# what forward does, a gradient for the weights and one for the input of each layer.
FORWARD = 1 / 3


class SharedModule:
    """One module for all learners; whoever computes lays its own vectors under the parameters.

    Attributes:
        module: the first learner's.
        user: the learner whose vectors are there now.
    """

    def __init__(self) -> None:
        self.module: nn.Module | None = None
        self.user: VirtualLearner | None = None

    def use(self, learner: "VirtualLearner") -> None:
        """Compute with the vectors of ``learner``."""
        if self.user is learner:
            return
        for p, (weights, grad) in zip(self.module.parameters(), learner.views, strict=True):
            p.data, p.grad = weights, grad
        for b, own in zip(self.module.buffers(), learner.buffers, strict=True):
            b.data = own
        self.user = learner


class VirtualLearner(AcousticLearner):
    """Computes a gradient at the virtual moment at which it begins, and hands it out when its time has passed.

    What other activities of the learner do meanwhile happens in between, as on a real cluster. Each learner has random
    numbers of its own, which go on from torch's state when it is made.

    Args:
        arguments, options: of `AcousticLearner`.
        shared: the module of all learners, in place of the given one.
        comm: its transport; its clock is what passes.
        seconds: how long its gradients take.
    """

    def __init__(
        self, *arguments: Any, shared: SharedModule, comm: VirtualComm, seconds: ComputeTime, **options: Any
    ) -> None:
        super().__init__(*arguments, **options)
        self.shared, self.comm, self.seconds = shared, comm, seconds
        self.done: Callable[[int, int], None] | None = None
        self.views: list[tuple[Tensor, Tensor]] = [(p.data, p.grad) for p in self.module.parameters()]
        self.buffers: list[Tensor] = [b.data for b in self.module.buffers()]
        self.random = torch.get_rng_state()
        if shared.module is None:
            shared.module, shared.user = self.module, self
        # Its own module was needed for its vectors only.
        self.module = self.flat.module = shared.module

    def batch_loss(self, batch: Batch) -> tuple[Tensor, list[bool], Tensor, Tensor]:
        """With this learner's own vectors."""
        self.shared.use(self)
        return super().batch_loss(batch)

    def gradient(self, batch: Batch | None) -> float:
        """Compute at once, then let time pass."""
        with self.trace.span("compute"):
            if batch is None or not batch.ids:
                return self.compute(batch)
            # Nothing else runs until time passes.
            torch.set_rng_state(self.random)
            frames = self.compute(batch)
            self.random = torch.get_rng_state()
            seconds = self.seconds.seconds(frames)
            if self.done is None:
                self.comm.sleep(seconds)
            else:
                self.play_backward(seconds)
            self.comm.mark("gradient")
        return frames

    def play_backward(self, seconds: float) -> None:
        """Let the gradients of single parameters become known one after the other, the last parameter's first."""
        self.comm.sleep(FORWARD * seconds)
        end = total = len(self.grad)
        for shape in reversed(self.shapes):
            begin = end - shape.numel()
            self.comm.sleep((1 - FORWARD) * seconds * (end - begin) / total)
            self.done(begin, end)
            end = begin

    def apply(self, frames: float) -> bool:
        """Constrained layers are this learner's."""
        self.shared.use(self)
        return super().apply(frames)

    def own_module(self) -> nn.Module:
        """The one that all share, taken over."""
        self.shared.use(self)
        return self.module

    def move(self, weights: Tensor) -> None:
        """Go on with another vector; whoever computes next lays its own ones under the parameters."""
        super().move(weights)
        parameters = self.module.parameters()
        self.views = [(p.data, grad) for p, (_, grad) in zip(parameters, self.views, strict=True)]
        self.shared.user = None

    def on_gradient(self, done: Callable[[int, int], None]) -> None:
        """Called in virtual time, not while torch computes."""
        self.done = done


class NoCheckpoints:
    """A simulated run that is interrupted begins anew."""

    def regroup(self, comm: Comm) -> None:
        """No learner is ever lost."""

    def save(self, *_: Any) -> None:
        """Nothing is saved."""

    def load(self, *_: Any) -> None:
        """Nothing was saved."""


class NoWatchdog:
    """The clock itself finds out that nobody can go on."""

    def beat(self, steps: int = 0) -> None:
        """Nobody listens."""

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
        self.begin = time.perf_counter()

    def loader(self, workers: int, rank: int) -> BatchLoader:
        """Each has its share, all read the same files."""
        if self._loader is None:
            self._loader = super().loader(workers, 0)
        return self._loader.share(workers, min(rank, workers - 1))

    def examine(self, loader: BatchLoader, comm: VirtualComm) -> Identity:
        """Once for all."""
        if self._identity is None:
            self._identity = super().examine(loader, comm)
        return self._identity

    def learner(self, num_features: int, comm: VirtualComm) -> VirtualLearner:
        """A learner that begins as its like under MPI would."""
        self.comm = comm
        # All are on the first device, for they share one module.
        device = pick_device(self.config.device, 0)
        seconds = ComputeTime(self.cluster.compute, comm.rank, self.config.seed)
        kind = partial(VirtualLearner, shared=self.module, comm=comm, seconds=seconds)
        return make_learner(self.config, self.objective, num_features, comm, device, kind)

    def checkpoints(self, comm: Comm) -> NoCheckpoints:
        """None."""
        return NoCheckpoints()

    def stop(self, comm: Comm) -> StopRequest:
        """Learners ask each other, as real ones do; but a simulated run ends when it is done or interrupted."""
        return StopRequest(comm, 0.0, signals=())

    def watchdog(self, comm: Comm, timing: Timing, strategy: Strategy) -> NoWatchdog:
        """None."""
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
        """Where and how it was simulated."""
        return {
            "virtual": True,
            "cluster": self.cluster.name,
            "virtual_seconds": self.comm.clock(),
            "trace_checksum": self.comm.scheduler.checksum,
            "wall_seconds": round(time.perf_counter() - self.begin, 3),
        }
