"""The largest elements: deep gradient compression, Lin et al. 2018 (arXiv 1712.01887).

    u_i ← m u_i + g_i / n    v_i ← v_i + u_i        send the k largest |v_i|; clear those elements in v_i and u_i

n are the frames of all learners in the step. v accumulates velocities instead of gradients ("momentum correction"), so
that an element that is sent late has the momentum that it would have had. Clearing u ("factor masking") keeps stale
momentum out. During the warm-up the sum of u_i is what travels: SGD with momentum. With m = 0 this is top-k with error
feedback: v_i ← v_i + g_i / n.

With m > 0 the local optimizer must have no momentum of its own.

When to use: slow links. The paper reaches a density of 0.001, with a warm-up and clipped gradients.
Cost of a sum: k (4 + 4) bytes in one message, which every learner receives from every other, and one small allreduce.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Size, Tensor

from asrpar.errors import ConfigError
from asrpar.parallel.comm import Comm
from asrpar.parallel.compress.codec import Codec
from asrpar.parallel.compress.feedback import ErrorFeedback
from asrpar.parallel.compress.wire import WarmUp
from asrpar.rules import below_one, need

# Elements looked at to guess how large the k-th largest is.
SAMPLE = 1 << 14


class Largest(Codec):
    """The k elements of largest magnitude, with their places.

    A message is k values, then k places.

    Args:
        density: k / n.
    """

    def __init__(self, density: float) -> None:
        self.density = density

    def most_bytes(self, x: Tensor) -> int:
        """Of every message about vectors like ``x`` (n,); a multiple of 8 keeps rows of messages aligned."""
        k = min(x.numel(), max(1, round(self.density * x.numel())))
        return -(-k * (x.element_size() + 4) // 8) * 8

    def encode(self, x: Tensor, out: Tensor) -> Tensor:
        """Write the largest elements and clear them."""
        message = out[: self.most_bytes(x)]
        if not message.numel():
            return message
        values, where = self.parts(message, x.dtype)
        places = largest(x, len(values), self.spare(x))
        torch.index_select(x, 0, places, out=values)
        where.copy_(places)
        x.index_fill_(0, places, 0)
        return message

    def decode(self, message: Tensor, x: Tensor) -> None:
        values, where = self.parts(message, x.dtype)
        x.index_add_(0, where, values)

    def parts(self, message: Tensor, type_: torch.dtype) -> tuple[Tensor, Tensor]:
        """Values (k,) and places (k,)."""
        k = message.numel() // (type_.itemsize + 4)
        end = k * type_.itemsize
        return message[:end].view(type_), message[end : end + 4 * k].view(torch.int32)


@dataclass
class Settings(WarmUp):
    """Settings of top-k compression.

    Attributes:
        density: fraction of the elements sent, in (0, 1]. The paper goes down to 0.001.
        momentum: m in [0, 1) of momentum correction, which takes the place of the local optimizer's momentum; 0 sends
            the largest elements of plain gradients.
    """

    density: float = 0.01
    momentum: float = 0.0

    def validate(self) -> None:
        super().validate()
        need(self, "density", 0 < self.density <= 1, "is a fraction of the elements, above 0 and up to 1")
        below_one(self, "momentum")


class Compression(ErrorFeedback):
    """The k elements of largest magnitude are sent with their places; `residual` is v.

    Args:
        settings: see there.
        shapes: of the parameters; not needed.
        like: (P,) the vectors to come.

    Attributes:
        velocity: (P,) u; None without momentum.
    """

    def __init__(self, settings: Settings, shapes: Sequence[Size], like: Tensor) -> None:
        super().__init__(settings, like)
        self.momentum = settings.momentum
        self.velocity = torch.zeros_like(like) if self.momentum else None
        self.largest = Largest(settings.density)
        self.out = torch.zeros(self.largest.most_bytes(like), dtype=torch.uint8, device=like.device)
        self.into = self.out.new_empty(0)

    def codec(self) -> Codec:
        """The same choice of elements; `ConfigError` with momentum correction, which is for gradients."""
        if self.momentum:
            raise ConfigError(
                "compressions.topk.momentum is for sums of gradients, and this strategy makes none: set it to 0"
            )
        return Largest(self.largest.density)

    def plain(self, comm: Comm, x: Tensor, exact: int, *, over_frames: bool) -> None:
        """The sum without compression, of velocities if there is momentum."""
        if self.velocity is None:
            comm.allreduce(x)
            return
        body, tail = x[: x.numel() - exact], x[x.numel() - exact :]
        if self.agree(comm, body, tail):
            frames = tail[0].item() if over_frames else 1.0
            torch.mul(self.moved(body, frames), frames, out=body)
            comm.allreduce(body)

    def moved(self, body: Tensor, frames: float) -> Tensor:
        """u after one more gradient."""
        return self.velocity.mul_(self.momentum).add_(body, alpha=1.0 / frames)

    def collect(self, body: Tensor, frames: float) -> None:
        if self.velocity is None:
            super().collect(body, frames)
        else:
            self.residual.add_(self.moved(body, frames))

    def reduce(self, comm: Comm, body: Tensor, frames: float) -> None:
        """Everybody's list to everybody, and each adds them up."""
        v = self.residual
        self.largest.buffer = body
        message = self.largest.encode(v, self.out)
        if self.velocity is not None:
            self.velocity.index_fill_(0, self.largest.parts(message, body.dtype)[1].long(), 0)
        if len(self.into) != comm.size:
            self.into = self.out.new_zeros(comm.size, self.out.numel())
        comm.allgather(self.out, self.into)
        body.zero_()
        # Learner by learner: within one list no place comes twice, so the order of sums is the same everywhere.
        for row in self.into:
            self.largest.decode(row, body)

    def forget(self) -> None:
        """Drop what is held back, momentum too."""
        super().forget()
        if self.velocity is not None:
            self.velocity.zero_()

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"velocity": self.velocity}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if self.velocity is not None:
            self.velocity.copy_(state["velocity"])
        super().load_state_dict(state)


def largest(v: Tensor, k: int, scratch: Tensor) -> Tensor:
    """Places (k,) of the ``k`` elements of ``v`` (P,) that are largest in magnitude; ``scratch`` (P,) is overwritten.

    A guess from a sample leaves few candidates to choose among: sorting all P elements takes many times longer.
    """
    torch.abs(v, out=scratch)
    sample = scratch[:: max(1, v.numel() // SAMPLE)]
    rank = int(1.5 * k * sample.numel() / v.numel()) + 8
    if rank < sample.numel():
        candidates = (scratch >= sample.kthvalue(sample.numel() - rank).values).nonzero().view(-1)
        if len(candidates) >= k:
            return candidates[scratch[candidates].topk(k, sorted=False).indices]
    return scratch.topk(k, sorted=False).indices
