"""A step of synchronous SGD: gradients and frames summed over all learners, and the update that follows."""

from typing import Any

from asrpar.parallel.comm import Comm
from asrpar.parallel.compress.wire import Wire
from asrpar.parallel.contract import Learner


def sum_gradient(learner: Learner, comm: Comm, wire: Wire, batch: Any | None) -> None:
    """``learner.message``: the gradient of ``batch`` and its frames, summed over all learners."""
    learner.message[-1] = learner.gradient(batch)
    wire.allreduce(comm, learner.message, exact=1, over_frames=True)


def update(learner: Learner) -> float:
    """A local step with the mean gradient in ``learner.message``; returns the frames behind it, all learners' alike."""
    frames = learner.message[-1].item()
    if frames:
        # A gradient that is not finite on one learner is not finite in the sum: all learners skip it alike.
        learner.apply(frames)
    return frames
