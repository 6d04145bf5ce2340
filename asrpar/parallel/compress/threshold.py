"""Threshold compression: Strom 2015, "Scalable distributed DNN training using commodity GPU cloud computing".

    C(v)_k = +τ if v_k > τ,  −τ if v_k < −τ,  else nothing is sent for k

An element is sent as one integer of 32 bits: its place and its sign. It may take several steps until an element's
residual has been sent in portions of τ.

When to use: slow links, and a known scale of gradients. τ is the price: the smaller, the more is sent.
Cost of a sum: 4 bytes for each element sent by the learner that sends most, and two small messages.
"""

import torch
from torch import Tensor

from asrpar.parallel.comm import Comm
from asrpar.parallel.compress.feedback import ErrorFeedback


class Threshold(ErrorFeedback):
    """Only elements that have grown beyond ±τ are sent, as ±τ.

    Args:
        threshold: τ, in the unit of the vectors.
        warmup_frames: no compression before all learners together have seen so many.
        like: (P,) the vectors to come.
    """

    method = "threshold"

    def __init__(self, threshold: float, warmup_frames: float, like: Tensor) -> None:
        super().__init__(warmup_frames, like)
        self.threshold = threshold

    def reduce(self, comm: Comm, body: Tensor) -> None:
        """Everybody's list to everybody, and each adds them up."""
        v = self.residual.add_(body)
        # body is free now: it holds the magnitudes, then the sum.
        places = (torch.abs(v, out=body) > self.threshold).nonzero().view(-1)
        negative = v[places] < 0
        v.index_add_(0, places, self.signed(negative, v), alpha=-1)
        counts = torch.zeros(comm.size, 1, dtype=torch.int64)
        comm.allgather(torch.tensor([places.numel()]), counts)
        out = torch.zeros(int(counts.max()), dtype=torch.int32, device=body.device)
        # ~k = −k − 1: a negative number for a negative element, also for the first one.
        out[: places.numel()] = torch.where(negative, ~places, places)
        into = out.new_empty(comm.size, out.numel())
        body.zero_()
        if out.numel():
            comm.allgather(out, into)
        # Learner by learner: within one list no place comes twice, so the order of sums is the same everywhere.
        for row, count in zip(into, counts.view(-1).tolist(), strict=True):
            codes = row[:count]
            negative = codes < 0
            body.index_add_(0, torch.where(negative, ~codes, codes), self.signed(negative, body))

    def signed(self, negative: Tensor, like: Tensor) -> Tensor:
        """±τ, in the type of ``like``."""
        return (1 - 2 * negative.to(like.dtype)) * self.threshold
