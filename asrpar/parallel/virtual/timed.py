"""A learner that computes nothing, and what it counts: of `asrpar.parallel.virtual.timing`."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Size, Tensor

from asrpar.parallel.contract import Learner
from asrpar.parallel.trace import Count, Trace
from asrpar.parallel.virtual.cluster import ComputeTime
from asrpar.parallel.virtual.comm import VirtualComm

# A model is so many parameters of equal size; backward completes them one after the other, the last one first.
PIECES = 16
# Of the time of a gradient; backward takes twice as many operations as forward.
FORWARD = 1 / 3

_NOTHING = nullcontext()


class Tally(Trace):
    """Keeps the bytes that a learner sent, and its counts."""

    def __init__(self) -> None:
        self.sent = 0.0
        self.counts: dict[str, Count] = {}

    def span(self, name: str, sent: float = 0.0, **arguments: float) -> AbstractContextManager[None]:
        self.sent += sent
        return _NOTHING

    def count(self, name: str, value: float) -> None:
        if name not in self.counts:
            self.counts[name] = Count()
        self.counts[name].add(value)


class TimedLearner(Learner):
    """A learner for whom a batch is a number of frames, and a gradient the time that it takes.

    Args:
        comm: its transport; its clock is what passes.
        compute: how long its gradients take.
        elements: of its vectors.

    Attributes:
        busy: seconds of computing so far.
    """

    def __init__(self, comm: VirtualComm, compute: ComputeTime, elements: int) -> None:
        self.comm, self.compute = comm, compute
        self.weights, self.message = torch.zeros(elements), torch.zeros(elements + 1)
        self.grad: Tensor = self.message[:-1]
        self.shapes = [Size([elements // PIECES])] * PIECES
        self.lr, self.busy = 1.0, 0.0
        self.done: Callable[[int, int], None] | None = None

    def gradient(self, batch: float | None) -> float:
        """Let the time of a gradient of ``batch`` frames pass; return them."""
        if not batch:
            return 0.0
        seconds = self.compute.seconds(batch)
        self.busy += seconds
        if self.done is None:
            self.comm.sleep(seconds)
        else:
            self.comm.sleep(seconds * FORWARD)
            end = len(self.grad)
            for shape in reversed(self.shapes):
                self.comm.sleep(seconds * (1 - FORWARD) / PIECES)
                self.done(end - shape.numel(), end)
                end -= shape.numel()
        self.comm.mark("gradient")
        return float(batch)

    def move(self, weights: Tensor) -> None:
        self.weights = weights

    def on_gradient(self, done: Callable[[int, int], None]) -> None:
        self.done = done

    def apply(self, frames: float) -> bool:
        """Nothing: its time is part of the gradient's."""
        return True

    def reset_optimizer(self) -> None:
        """Nothing."""

    def count_nonfinite(self) -> None:
        """Nothing."""
