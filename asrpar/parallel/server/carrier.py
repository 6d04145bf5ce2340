"""How the pushes and replies of a parameter server travel: as they are, or compressed.

Of the two one is a displacement and one a whole vector. Nothing that compression C leaves out is lost:

    a vector v          r = C(v − k) travels, k ← k + r on both sides, and the receiver takes k for v; the next
                        difference has what this one lacks (so Richtárik et al. 2021, arXiv 2106.05203, for gradients)
    ASGD's push d       c = C(d + e) travels, e ← d + e − c: error feedback, the learner adds e to its next push
    EASGD's reply d     C(d) travels; what it lacks stays in the shard, which it would have left

ASGD pushes displacements, EASGD vectors. Learners and servers begin each epoch with the same k, the whole vector.
During ``warmup_frames`` of the compression whole vectors travel; which, each message says.

Memory: k, P / shards for each learner on each server, P on a learner that pushes vectors; e, P; buffers for messages.
"""

import torch
from torch import Tensor

from asrpar.parallel.comm import Comm
from asrpar.parallel.compress.codec import Codec, Whole
from asrpar.parallel.compress.wire import Wire


class Carrier:
    """They travel as they are.

    Args:
        shard: this rank's part of the server.

    Attributes:
        receive_buffer: for a push to arrive in.
    """

    def __init__(self, shard: Tensor) -> None:
        self.receive_buffer = torch.empty_like(shard)

    def begin(self, vector: Tensor) -> None:
        """Learner and servers know ``vector`` (P,) now, as in every synchronised moment."""

    def push(self, x: Tensor, part: slice) -> tuple[Tensor, bool]:
        """What a learner sends of a part of its push (P,), valid until the next of this part; whether that is all."""
        return x[part], True

    def reply_buffer(self, reply: Tensor, part: slice) -> Tensor:
        """Where a learner receives what is to become a part of ``reply`` (P,)."""
        return reply[part]

    def take(self, payload: Tensor | None, reply: Tensor, part: slice) -> None:
        """Make that part of ``reply``, which still is the one before, of what has arrived."""

    def pushed(self, payload: Tensor | None, source: int, plainly: bool) -> Tensor:
        """The push of learner ``source``, which the server may overwrite; ``plainly`` as `push` said."""
        # With more servers than parameters this one may have nothing.
        return self.receive_buffer if payload is None else payload

    def reply(self, x: Tensor, dest: int) -> Tensor:
        """What the server sends of a reply to learner ``dest``; valid until the next call."""
        return x

    def received(self, x: Tensor, dest: int) -> Tensor:
        """What learner ``dest`` has made of its last reply, the vector ``x``."""
        return x


class Compressed(Carrier):
    """They travel through a `Codec`.

    Args:
        like: (P,) a learner's vector.
        shard: this rank's part of the server.
        parts: of the vector, one for each server.
        clients: number of learners.
        wire: says how, and holds back what a displacement lacks.
        comm: all ranks.
        vectors: pushes are vectors and replies displacements, not the other way round.
    """

    def __init__(
        self, like: Tensor, shard: Tensor, parts: list[slice], clients: int, wire: Wire, comm: Comm, *, vectors: bool
    ) -> None:
        self.shard, self.wire, self.comm, self.vectors = shard, wire, comm, vectors
        # A rank's server and its learner are two activities.
        self.learning, self.serving = wire.codec(), wire.codec()
        self.whole = Whole()
        self.known = [torch.empty_like(shard) for _ in range(clients)]
        self.plainly = [False] * clients
        self.mine = torch.empty_like(like) if vectors else None
        self.exact, self.rest = torch.empty_like(shard), torch.empty_like(shard)
        self.receive_buffer, self.outgoing = self.bytes_for(shard), self.bytes_for(shard)
        largest = max((like[part] for part in parts), key=len)
        self.left = torch.empty_like(largest)
        # By beginning and end of a part: all parts of a push are on their way at once.
        self.packed: dict[tuple[int, int], Tensor] = {}
        self.arriving = self.bytes_for(largest)
        self.warming = False

    def bytes_for(self, x: Tensor) -> Tensor:
        """A buffer for any message about ``x``."""
        return torch.empty(max(self.learning.most_bytes(x), x.nbytes), dtype=torch.uint8, device=x.device)

    def codec(self, learning: bool, plainly: bool) -> Codec:
        """Of an activity's next message."""
        return self.whole if plainly else self.learning if learning else self.serving

    def begin(self, vector: Tensor) -> None:
        """All k are ``vector``; the shard is its part."""
        for known in self.known:
            known.copy_(self.shard)
        if self.mine is not None:
            self.mine.copy_(vector)

    def push(self, x: Tensor, part: slice) -> tuple[Tensor, bool]:
        """The displacement and what was held back, or what is new in the vector."""
        self.warming = self.wire.warming
        codec, x, place = self.codec(True, self.warming), x[part], (part.start, part.stop)
        if place not in self.packed:
            self.packed[place] = self.bytes_for(x)
        packed = self.packed[place]
        if self.mine is not None:
            left = torch.sub(x, self.mine[part], out=self.left[: len(x)])
            message = codec.encode(left, packed)
            codec.decode(message, self.mine[part])
            return message, self.warming
        if self.wire.residual is None:
            left = self.left[: len(x)].copy_(x)
        else:
            self.wire.belong(self.comm)
            left = self.wire.residual[part].add_(x)
        return codec.encode(left, packed), self.warming

    def reply_buffer(self, reply: Tensor, part: slice) -> Tensor:
        return self.arriving

    def take(self, payload: Tensor | None, reply: Tensor, part: slice) -> None:
        """A displacement, or what is new in the vector that was the last reply."""
        if self.vectors:
            reply[part].zero_()
        if payload is not None:
            self.codec(True, self.warming).decode(payload, reply[part])

    def pushed(self, payload: Tensor | None, source: int, plainly: bool) -> Tensor:
        self.plainly[source] = plainly
        total = self.known[source] if self.vectors else self.exact.zero_()
        if payload is not None:
            self.codec(False, self.plainly[source]).decode(payload, total)
        return self.exact.copy_(total) if self.vectors else total

    def reply(self, x: Tensor, dest: int) -> Tensor:
        """A displacement, or what is new in the vector."""
        codec = self.codec(False, self.plainly[dest])
        if self.vectors:
            message = codec.encode(self.rest.copy_(x), self.outgoing)
            self.shard.sub_(self.rest)
        else:
            message = codec.encode(torch.sub(x, self.known[dest], out=self.rest), self.outgoing)
            # As the learner does, to the same bits.
            codec.decode(message, self.known[dest])
        return message

    def received(self, x: Tensor, dest: int) -> Tensor:
        return self.known[dest]


def make_carrier(
    wire: Wire, like: Tensor, shard: Tensor, parts: list[slice], clients: int, comm: Comm, *, vectors: bool
) -> Carrier:
    """As ``wire`` says; `ConfigError` if that is not possible. A learner that is alone compresses nothing."""
    if wire.codec() is None or comm.size == 1:
        return Carrier(shard)
    return Compressed(like, shard, parts, clients, wire, comm, vectors=vectors)
