"""Learners that share one module and compute in virtual time."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from asrpar.feats import Batch
from asrpar.parallel.virtual.cluster import ComputeTime
from asrpar.parallel.virtual.comm import VirtualComm
from asrpar.train.learner import AcousticLearner

# Fraction of a gradient's time that goes by before the first parameter's gradient is complete: backward computes twice
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
            seconds = self.seconds.seconds(float(batch.num_frames))
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
        self.shared.use(self)
        return super().apply(frames)

    def own_module(self) -> nn.Module:
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
