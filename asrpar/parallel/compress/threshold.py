"""Threshold compression: Strom 2015, "Scalable distributed DNN training using commodity GPU cloud computing".

    C(v)_k = +τ if v_k > τ,  −τ if v_k < −τ,  else nothing is sent for k

An element is sent as one integer of 32 bits: its place and its sign. It may take several steps until an element's
residual has been sent in portions of τ. For a sum over frames they are portions of the mean, τ over the frames of the
longest step so far: τ is in units of the sums, as in the paper, but a step of few frames goes no further than others.

When to use: slow links, and a known scale of gradients. τ is the price: the smaller, the more is sent.
Cost of a sum: 4 bytes for each element sent by the learner that sends most, and two small messages.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Size, Tensor

from asrpar.parallel.comm import Comm
from asrpar.parallel.compress.codec import Codec
from asrpar.parallel.compress.feedback import ErrorFeedback
from asrpar.parallel.compress.wire import WarmUp
from asrpar.rules import need


class Beyond(Codec):
    """Elements beyond ±τ, as ±τ.

    A message is a number of 32 bits for each: k for +τ at place k, ~k = −k − 1 for −τ.

    Args:
        threshold: τ.
    """

    def __init__(self, threshold: float) -> None:
        self.threshold = threshold

    def most_bytes(self, x: Tensor) -> int:
        return 4 * x.numel()

    def take(self, x: Tensor) -> Tensor:
        """The numbers (k,) of a message; ``x`` becomes x − C(x)."""
        places = (torch.abs(x, out=self.spare(x)) > self.threshold).nonzero().view(-1)
        codes = torch.where(x[places] < 0, ~places, places).to(torch.int32)
        self.add(codes, x, -1)
        return codes

    def add(self, codes: Tensor, x: Tensor, alpha: int = 1) -> None:
        """x ← x + alpha C."""
        negative = codes < 0
        signed = (1 - 2 * negative.to(x.dtype)) * self.threshold
        x.index_add_(0, torch.where(negative, ~codes, codes), signed, alpha=alpha)

    def encode(self, x: Tensor, out: Tensor) -> Tensor:
        codes = self.take(x)
        message = out[: codes.nbytes]
        message.view(torch.int32).copy_(codes)
        return message

    def decode(self, message: Tensor, x: Tensor) -> None:
        self.add(message.view(torch.int32), x)


@dataclass
class Settings(WarmUp):
    """Settings of threshold compression.

    Attributes:
        threshold: τ: what passes it in magnitude is sent as ±τ. In the unit of what is summed: for gradients, the loss
            gradient summed over a learner's frames of a step (in one of fewer frames than the longest so far, τ is less
            in proportion); to a server and back, changes of the weights, which are smaller by the learning rate.
    """

    threshold: float = 1.0

    def validate(self) -> None:
        super().validate()
        need(self, "threshold", self.threshold > 0, "must be greater than 0")


class Compression(ErrorFeedback):
    """Only elements that have grown beyond ±τ are sent, as ±τ.

    Args:
        settings: see there.
        shapes: of the parameters; not needed.
        like: (P,) the vectors to come.
    """

    def __init__(self, settings: Settings, shapes: Sequence[Size], like: Tensor) -> None:
        super().__init__(settings, like)
        self.threshold = settings.threshold
        self.beyond = Beyond(settings.threshold)
        self.most_frames = 0.0

    def codec(self) -> Codec:
        return Beyond(self.threshold)

    def reduce(self, comm: Comm, body: Tensor, frames: float) -> None:
        """Everybody's list to everybody, and each adds them up."""
        self.most_frames = max(self.most_frames, frames)
        self.beyond.threshold = self.threshold / self.most_frames
        self.beyond.buffer = body
        codes = self.beyond.take(self.residual)
        counts = torch.zeros(comm.size, 1, dtype=torch.int64)
        comm.allgather(torch.tensor([codes.numel()]), counts)
        out = torch.zeros(int(counts.max()), dtype=torch.int32, device=body.device)
        out[: codes.numel()] = codes
        into = out.new_empty(comm.size, out.numel())
        body.zero_()
        if out.numel():
            comm.allgather(out, into)
        # Learner by learner: within one list no place comes twice, so the order of sums is the same everywhere.
        for row, count in zip(into, counts.view(-1).tolist(), strict=True):
            self.beyond.add(row[:count], body)

    def forget(self) -> None:
        """Drop what is held back, and what it was of."""
        super().forget()
        self.most_frames = 0.0

    def state_dict(self) -> dict[str, Any]:
        """The residual, and the frames of the longest step."""
        return super().state_dict() | {"most_frames": self.most_frames}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.most_frames = state.get("most_frames", 0.0)
        super().load_state_dict(state)
