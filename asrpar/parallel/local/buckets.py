"""Gradients summed in buckets, while backward still computes the others."""

from typing import Any

from asrpar.parallel.comm import Comm
from asrpar.parallel.comm.base import Pending
from asrpar.parallel.contract import Learner


class Buckets:
    """Slices of a learner's flat gradient, of whole parameters each, the last parameters first: so backward goes.

    All learners begin the sums in the same order, whatever order their gradients come in.

    Args:
        learner: whose gradients.
        comm: the learners.
        nbytes: a bucket is closed when it has so many.
    """

    def __init__(self, learner: Learner, comm: Comm, nbytes: float) -> None:
        self.learner, self.comm = learner, comm
        self.bounds: list[tuple[int, int]] = []
        self.bucket_of: dict[int, int] = {}
        begin = end = learner.grad.numel()
        for shape in reversed(learner.shapes):
            begin -= shape.numel()
            self.bucket_of[begin] = len(self.bounds)
            if (end - begin) * learner.grad.itemsize >= nbytes or begin == 0:
                self.bounds.append((begin, end))
                end = begin
        self.missing: list[int] = []
        self.pending: list[Pending] = []
        learner.on_gradient(self.computed)

    def sum_gradient(self, batch: Any | None) -> None:
        """``learner.message``: the gradient of ``batch`` and its frames, summed over all learners."""
        message = self.learner.message
        self.pending.clear()
        self.missing = [end - begin for begin, end in self.bounds]
        frames = self.learner.gradient(batch)
        # What backward did not touch is complete too.
        self.begin_sums(upto=len(self.bounds))
        self.missing = []
        message[-1] = frames
        self.pending.append(self.comm.allreduce_begin(message[-1:]))
        for pending in self.pending:
            pending.wait()

    def computed(self, begin: int, end: int) -> None:
        """``grad[begin:end]`` will not change any more in this backward."""
        if not self.missing:  # a backward for somebody else
            return
        self.missing[self.bucket_of[begin]] -= end - begin
        upto = len(self.pending)
        while upto < len(self.bounds) and self.missing[upto] == 0:
            upto += 1
        self.begin_sums(upto)

    def begin_sums(self, upto: int) -> None:
        """Begin the sums of the buckets before ``upto`` that have not begun."""
        for begin, end in self.bounds[len(self.pending) : upto]:
            self.pending.append(self.comm.allreduce_begin(self.learner.grad[begin:end]))
