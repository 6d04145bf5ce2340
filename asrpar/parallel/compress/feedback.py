"""What all methods with error feedback share.

    v_i = x_i / n + e_i    what learner i would like to have added up
    c_i = C(v_i)           what is sent
    e_i ← v_i − c_i        what was held back is added to the next vector
    x   ← n Σ_i c_i        on every learner alike

Of a gradient n are the frames of all learners in this step, so that all that is carried from step to step is in units
of the mean gradient x / n, by which the strategies go: a residual in units of the sum would count n(t − 1) / n(t) times
in the next step, a hundred times where an epoch ends with a small batch. Of displacements that are not weighted by
frames n is 1. Over time everything is sent: Σ_t x(t) / n(t) + Σ_i e_i = Σ_t Σ_i x_i(t) / n(t).
"""

from abc import abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor

from asrpar.log import get_logger
from asrpar.parallel.comm import Comm
from asrpar.parallel.compress.wire import WarmUp, Wire, need_weights_wire

log = get_logger(__name__)


class ErrorFeedback(Wire):
    """Sums of gradients are compressed, and what is lost in one is added to the next, as a mean gradient.

    An element that is not finite on any learner makes the sum NaN on all of them, and leaves all residuals as they
    were. So do zeros on all learners, whose sum is zero: strategies throw the last sum of an epoch away, to which
    nobody had anything to add. A learner that is alone sends nothing and loses nothing.

    Args:
        settings: how long the warm-up is.
        like: (P,) the vectors to come.

    Attributes:
        residual: (P,) e_i.
    """

    carries_weights: ClassVar[bool] = False

    def __init__(self, settings: WarmUp, like: Tensor) -> None:
        self.warmup_frames = settings.warmup_frames
        self.frames = 0.0
        self.residual = torch.zeros_like(like)
        # (rank, learners): a residual belongs to the learner whose gradients left it.
        self.place: list[int] = []

    def allreduce(self, comm: Comm, x: Tensor, exact: int = 0, *, over_frames: bool = False) -> None:
        """Replace ``x`` (P + exact,) by an approximation of its sum over all learners; exact in the last elements."""
        body, tail = x[: x.numel() - exact], x[x.numel() - exact :]
        if body.shape != self.residual.shape:
            raise ValueError(f"{body.numel()} elements to compress; this wire was made for {self.residual.numel()}")
        self.belong(comm)
        if comm.size == 1 or self.warming:
            self.plain(comm, x, exact, over_frames=over_frames)
        elif self.agree(comm, body, tail):
            frames = tail[0].item() if over_frames else 1.0
            self.collect(body, frames)
            self.reduce(comm, body, frames)
            body.mul_(frames)

    def belong(self, comm: Comm) -> None:
        if self.place != [comm.rank, comm.size]:
            if self.place:
                log.warning("the learners are others than before: what %s held back is dropped", self.method)
                self.forget()
            self.place = [comm.rank, comm.size]

    def plain(self, comm: Comm, x: Tensor, exact: int, *, over_frames: bool) -> None:
        """The sum without compression."""
        comm.allreduce(x)

    def collect(self, body: Tensor, frames: float) -> None:
        """v_i into `residual`, from ``body`` (P,), finite on all learners and a sum over ``frames``."""
        self.residual.add_(body, alpha=1.0 / frames)

    @abstractmethod
    def reduce(self, comm: Comm, body: Tensor, frames: float) -> None:
        """Send of `residual` what is to be sent, keep the rest; ``body`` (P,) becomes the sum of what was sent."""

    def agree(self, comm: Comm, body: Tensor, tail: Tensor) -> bool:
        """Sum the exact part, and see whether there is anything to send: one small message.

        False if ``body`` is zero on all learners, which is its sum, or not finite on any: then it becomes NaN on all.
        """
        low, high = body.aminmax()
        # Zero times inf is NaN, and a NaN anywhere makes both of them NaN.
        message = torch.cat([tail, ((low != 0) | (high != 0)).to(tail.dtype).view(1), (0 * low + 0 * high).view(1)])
        comm.allreduce(message)
        tail.copy_(message[:-2])
        some, poison = message[-2:].tolist()
        if poison != 0:
            body.fill_(torch.nan)
        return some > 0 and poison == 0

    def pack(self, x: Tensor) -> Tensor:
        """Refused: a weight that is held back has no next message to be added to."""
        need_weights_wire(self, "in use")
        return x

    @property
    def warming(self) -> bool:
        """Until enough frames have been seen."""
        return self.frames < self.warmup_frames

    def advance(self, frames: float) -> None:
        self.frames += frames

    def forget(self) -> None:
        self.residual.zero_()

    def state_dict(self) -> dict[str, Any]:
        """The residual, whose it is, and the frames seen."""
        return {"residual": self.residual, "place": self.place, "frames": self.frames, "unit": "mean"}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore, in place; not what an earlier version held back, in units of sums over unknown numbers of frames."""
        self.residual.copy_(state["residual"])
        self.place, self.frames = list(state["place"]), state["frames"]
        if "unit" not in state:
            log.warning("what %s held back in an earlier version is dropped, for its unit is not known", self.method)
            self.forget()
