"""16-bit floats on the wire, sums in the type of the weights.

MPI cannot add bfloat16, and adds float16 slowly, so 16-bit numbers are only carried, and added up here:

    N = 2:  each sends h(x_i), in pieces     x ← h(x_0) + h(x_1)
    N > 2:  shard j of h(x_i) to rank j      y_j = x_j's own + Σ_i h(x_i)      x ← h(y_0), h(y_1), ... gathered

The owner of a shard takes the rounded sum as everybody does, so all learners end with the same bits. Rounding is to
nearest: relative error at most 2^-8 for bfloat16 and 2^-11 for float16, of what is sent and again of the sum (for N = 2
only with bfloat16). Each float16 message is scaled by a power of two that puts its largest element just below 2^15;
elements below 2^-29 of that one lose digits. The exact part and the scale travel in the same message.

When to use: wherever the link is what takes the time; sums of gradients bear it, nothing is held back.
Cost of a sum: 2 P bytes sent for N = 2, in messages of 2^20 numbers one after the other, each of which waits for the
link's latency; 4 P (N − 1) / N in two messages else: half of fp32.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Size, Tensor

from asrpar.parallel.comm import Comm
from asrpar.parallel.compress.codec import Codec
from asrpar.parallel.compress.rounded import CHUNK, Rounded
from asrpar.parallel.compress.wire import WarmUp, Wire

# Elements that two learners swap at a time: few enough to be in the cache still when they are sent and added, many
# enough that a network is busy with them. A sum of 6.7 million took 9.4 ms in one piece within a node, so 8.1.
PIECE = 1 << 20
# Unpacked vectors kept for reuse. Dropping one frees nothing that a caller still holds.
KEPT = 8


@dataclass
class Buffers:
    """What a sum of one length needs.

    Attributes:
        shard: elements of a shard, or for two learners of a piece.
        head: 16-bit slots before a shard that hold the exact part and the scale.
        out, into: (N, head + shard), 16 bits.
        mine: (head + shard,), 16 bits, a shard's sum.
    """

    shard: int
    head: int
    out: Tensor
    into: Tensor
    mine: Tensor


class Half(Wire):
    """Common to both types.

    `pack` does not wait for the end of a warm-up.

    Args:
        settings: how long the warm-up is.
        shapes: of the parameters; not needed.
        like: (P,) the vectors to come.
    """

    type: ClassVar[torch.dtype]

    def __init__(self, settings: WarmUp, shapes: Sequence[Size], like: Tensor) -> None:
        self.warmup_frames = settings.warmup_frames
        self.frames = 0.0
        self.weights_type = like.dtype
        self.scratch = like.new_empty(min(CHUNK, like.numel()))
        self.buffers: dict[tuple, Buffers] = {}
        self.packed: Tensor | None = None
        self.unpacked: dict[int, Tensor] = {}

    def allreduce(self, comm: Comm, x: Tensor, exact: int = 0, *, over_frames: bool = False) -> None:
        """Replace ``x`` by its sum over all learners, rounded, the same bits on each; exact in the last elements."""
        if comm.size == 1:
            return
        if self.warming:
            comm.allreduce(x)
            return
        body, tail = x[: x.numel() - exact], x[x.numel() - exact :]
        b = self.buffer_for(x, exact, comm.size)
        if comm.size == 2:
            self.swap(comm, body, tail, b)
        else:
            self.scatter_gather(comm, body, tail, b)

    def swap(self, comm: Comm, body: Tensor, tail: Tensor, b: Buffers) -> None:
        """Two learners: each adds the two rounded vectors, piece by piece; each piece has its own scale."""
        for at in range(0, max(1, body.numel()), PIECE):
            piece = body[at : at + PIECE]
            out, into = b.out[0, : b.head + piece.numel()], b.into[0, : b.head + piece.numel()]
            self.write(out, b.head, piece, tail)
            comm.exchange(out, into, 1 - comm.rank)
            if at == 0:
                tail.add_(self.tail_in(into, b.head, tail))
            self.merge(piece, out, into, b.head)

    def merge(self, body: Tensor, own: Tensor, other: Tensor, head: int) -> None:
        """``body`` ← the sum of what two learners sent. The same bits in either order of the two."""
        body.copy_(own[head:])
        scale = self.scale_in(own, head, body)
        if scale != 1:
            body.div_(scale)
        self.add(body, other, head)

    def scatter_gather(self, comm: Comm, body: Tensor, tail: Tensor, b: Buffers) -> None:
        """Each learner adds up one shard."""
        shards = [body[i * b.shard : (i + 1) * b.shard] for i in range(comm.size)]
        own = shards[comm.rank]
        for i, shard in enumerate(shards):
            self.write(b.out[i], b.head, shard if i != comm.rank else shard[:0], tail)
        comm.alltoall(b.out, b.into)
        # In the order of ranks, so that all get the same bits.
        tail.zero_()
        for i, row in enumerate(b.into):
            tail.add_(self.tail_in(row, b.head, tail))
            if i != comm.rank:
                self.add(own, row, b.head)
        self.write(b.mine, b.head, own, tail)
        comm.allgather(b.mine, b.into)
        for shard, row in zip(shards, b.into, strict=True):
            shard.copy_(row[b.head : b.head + shard.numel()])
            scale = self.scale_in(row, b.head, body)
            if scale != 1:
                shard.div_(scale)

    def write(self, row: Tensor, head: int, x: Tensor, tail: Tensor) -> None:
        """Fill ``row`` with the exact part, the scale and ``x``."""
        scale = self.scale(x)
        numbers = row[:head].view(x.dtype)
        numbers[: tail.numel()].copy_(tail)
        numbers[-1] = scale
        values = row[head : head + x.numel()]
        if scale == 1:
            values.copy_(x)
            return
        for part, into, scratch in self.chunks(x, values):
            into.copy_(torch.mul(part, scale, out=scratch))

    def add(self, x: Tensor, row: Tensor, head: int) -> None:
        """Add the vector in ``row`` to ``x``."""
        inverse = 1 / self.scale_in(row, head, x)
        values = row[head : head + x.numel()]
        for part, source, scratch in self.chunks(x, values):
            part.add_(scratch.copy_(source), alpha=inverse)

    def chunks(self, x: Tensor, values: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Pieces of both, with a buffer of x's type."""
        step = self.scratch.numel()
        for a in range(0, x.numel(), step):
            part = x[a : a + step]
            yield part, values[a : a + step], self.scratch[: part.numel()]

    @staticmethod
    def tail_in(row: Tensor, head: int, tail: Tensor) -> Tensor:
        """The exact part in ``row``."""
        return row[:head].view(tail.dtype)[: tail.numel()]

    @staticmethod
    def scale_in(row: Tensor, head: int, like: Tensor) -> float:
        """The scale in ``row``."""
        return row[:head].view(like.dtype)[-1].item()

    def buffer_for(self, x: Tensor, exact: int, size: int) -> Buffers:
        """Buffers for vectors like ``x``, made at their first use."""
        key = (x.numel(), exact, size)
        if key not in self.buffers:
            # A head holds whole elements of x's type; rows begin at multiples of 8 bytes.
            width = x.element_size() // 2
            head = -(-(exact + 1) * width // 4) * 4
            rows = 1 if size == 2 else size
            total = x.numel() - exact
            shard = min(total, PIECE) if size == 2 else -(-total // (4 * size)) * 4
            out = x.new_zeros((rows, head + shard), dtype=self.type)
            self.buffers[key] = Buffers(shard, head, out, torch.zeros_like(out), torch.zeros_like(out[0]))
        return self.buffers[key]

    def scale(self, x: Tensor) -> float:
        """The power of two to multiply ``x`` by before it is rounded."""
        return 1.0

    def pack(self, x: Tensor) -> Tensor:
        """``x`` (P,) in 16 bits; valid until the next call."""
        if self.packed is None or self.packed.shape != x.shape:
            self.packed = self.buffer(x)
        return self.packed.copy_(x)

    def buffer(self, x: Tensor) -> Tensor:
        return x.new_empty(x.shape, dtype=self.type)

    def unpack(self, packed: Tensor) -> Tensor:
        place = packed.data_ptr()
        known = self.unpacked.get(place)
        if known is None or known.shape != packed.shape:
            if len(self.unpacked) >= KEPT:
                self.unpacked.clear()
            self.unpacked[place] = known = packed.new_empty(packed.shape, dtype=self.weights_type)
        return known.copy_(packed)

    def codec(self) -> Codec:
        return Rounded(self.type)

    @property
    def warming(self) -> bool:
        """Until enough frames have been seen."""
        return self.frames < self.warmup_frames

    def advance(self, frames: float) -> None:
        self.frames += frames

    def state_dict(self) -> dict[str, Any]:
        return {"frames": self.frames}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.frames = state["frames"]
