"""1-bit SGD: Seide et al. 2014, "1-bit stochastic gradient descent and its application to data-parallel training".

    C(v): one bit for each element, whether it is ≥ 0; and for each block two numbers, the mean of its elements < 0
          and by how much that of the others is greater, so that each bit is read as the mean of its kind

As in the paper the sum goes through an owner for each shard, who compresses it once more with an error of its own:

    y_j = r_j + Σ_i C(v_i)[shard j]        r_j ← y_j − C(y_j)        x ← C(y_0), C(y_1), ... on every learner

The paper shares reconstruction values within a column of a matrix; here a block of the flat vector.

When to use: slow links. The paper needed a warm-up without compression, and found some loss for very large batches.
Cost of a sum: P / 4 bytes and 4 numbers a block, in two messages (1/32 of fp32), and one small allreduce.
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

# Elements handled at a time, so that what is in between stays in the cache.
CHUNK = 1 << 17
# Eight bytes of 0 or 1, read as one integer of 64 bits and multiplied by this, have the eight bits in the top byte.
GATHER = 0x0102040810204080
# A byte times the first has eight copies of itself; the second leaves one bit in each. (Signed: the top bit is set.)
COPIES, ONE_EACH = 0x0101010101010101, 0x8040201008040201 - (1 << 64)


class Signs(Codec):
    """Signs with two reconstruction values for each block.

    A message is two numbers for each block, then the bits; its length keeps rows of messages aligned.

    Args:
        block: elements of a block, a multiple of 8.
    """

    def __init__(self, block: int) -> None:
        self.block = block

    def most_bytes(self, x: Tensor) -> int:
        blocks = -(-x.numel() // self.block)
        return -(-blocks * (2 * x.element_size() + self.block // 8) // 8) * 8

    def pieces(self, message: Tensor, type_: torch.dtype) -> tuple[Tensor, Tensor]:
        """The parts of a message: levels (blocks, 2) and bits (blocks, block / 8)."""
        blocks = message.numel() // (2 * type_.itemsize + self.block // 8)
        end = blocks * 2 * type_.itemsize
        bits = message[end : end + blocks * self.block // 8]
        return message[:end].view(type_).view(blocks, 2), bits.view(blocks, self.block // 8)

    def encode(self, x: Tensor, out: Tensor) -> Tensor:
        """Write C(x) and leave x − C(x) in ``x``, which may end within a block."""
        message = out[: self.most_bytes(x)]
        levels, bits = self.pieces(message, x.dtype)
        whole, step = x.numel() // self.block, max(1, CHUNK // self.block)
        for a in range(0, whole, step):
            b = min(whole, a + step)
            self.encode_blocks(x[a * self.block : b * self.block].view(b - a, -1), self.block, levels[a:b], bits[a:b])
        if rest := x.numel() - whole * self.block:
            last = x.new_zeros(1, self.block)
            last[0, :rest] = x[-rest:]
            self.encode_blocks(last, rest, levels[whole:], bits[whole:])
            x[-rest:] = last[0, :rest]
        return message

    def encode_blocks(self, x: Tensor, filled: int, levels: Tensor, bits: Tensor) -> None:
        """``x`` (n, block), of which ``filled`` columns count and the others are 0."""
        signs = x >= 0
        bits.copy_((signs.view(torch.int64) * GATHER >> 56).bitwise_and_(255))
        signs = signs.to(x.dtype)
        count = signs.sum(1) - (self.block - filled)
        above = x.clamp(min=0).sum(1)
        below = x.sum(1).sub_(above).div_((filled - count).clamp_(min=1))
        levels[:, 0] = below
        levels[:, 1] = above.div_(count.clamp_(min=1)).sub_(below)
        x.sub_(self.read(signs, levels))

    def read(self, signs: Tensor, levels: Tensor) -> Tensor:
        """What ``signs`` (n, block) of 0 and 1 stand for; they are overwritten."""
        return signs.mul_(levels[:, 1:]).add_(levels[:, :1])

    def decode(self, message: Tensor, x: Tensor) -> None:
        """Add; ``message`` may be followed by something else."""
        levels, bits = self.pieces(message[: self.most_bytes(x)], x.dtype)
        step = max(1, CHUNK // self.block)
        for a in range(0, -(-x.numel() // self.block), step):
            b = a + step
            signs = bits[a:b].to(torch.int64).mul_(COPIES).bitwise_and_(ONE_EACH).view(torch.uint8).clamp_(max=1)
            part = x[a * self.block : b * self.block]
            part.add_(self.read(signs.to(x.dtype), levels[a:b]).view(-1)[: part.numel()])


@dataclass
class Settings(WarmUp):
    """Settings of 1-bit SGD.

    Attributes:
        block: elements that share two reconstruction values; a multiple of 8.
    """

    block: int = 1024

    def validate(self) -> None:
        super().validate()
        need(self, "block", self.block >= 8 and self.block % 8 == 0, "must be a multiple of 8")


class Compression(ErrorFeedback):
    """Sums of signs.

    Args:
        settings: see there.
        shapes: of the parameters; not needed.
        like: (P,) the vectors to come.

    Attributes:
        owned: (shard,) r_j, what this learner as the owner of a shard held back; None before the first sum.
    """

    def __init__(self, settings: Settings, shapes: Sequence[Size], like: Tensor) -> None:
        super().__init__(settings, like)
        self.signs = Signs(settings.block)
        self.owned: Tensor | None = None
        self.rows: tuple[Tensor, Tensor] | None = None

    def codec(self) -> Codec:
        return Signs(self.signs.block)

    def reduce(self, comm: Comm, body: Tensor, frames: float) -> None:
        """Signs to the owners, signs of the sums back."""
        shard = -(-body.numel() // (self.signs.block * comm.size)) * self.signs.block
        if self.owned is None or self.owned.numel() != shard:
            self.owned = body.new_zeros(shard)
        out, into = self.messages(comm.size)
        for j, row in enumerate(out):
            self.signs.encode(self.residual[j * shard : (j + 1) * shard], row)
        comm.alltoall(out, into)
        own = self.owned[: max(0, min(shard, body.numel() - comm.rank * shard))]
        for row in into:
            self.signs.decode(row, own)
        self.signs.encode(own, out[0])
        comm.allgather(out[0], into)
        body.zero_()
        for j, row in enumerate(into):
            self.signs.decode(row, body[j * shard : (j + 1) * shard])

    def messages(self, size: int) -> tuple[Tensor, Tensor]:
        """Two tensors (N, bytes); a row is a message about a shard."""
        length = self.signs.most_bytes(self.owned)
        if self.rows is None or self.rows[0].shape != (size, length):
            out = torch.zeros(size, length, dtype=torch.uint8, device=self.owned.device)
            self.rows = out, torch.zeros_like(out)
        return self.rows

    def forget(self) -> None:
        super().forget()
        self.owned = None

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"owned": self.owned}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.owned = None if state["owned"] is None else state["owned"].to(self.residual)
        super().load_state_dict(state)
