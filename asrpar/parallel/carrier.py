"""How the pushes and replies of a parameter server travel: as they are, or in bfloat16.

Of the two one is a displacement, which may be rounded (relative error at most 2^-8), and one a whole vector, of which
the rounding would cost the last digits. So of the vector v only what is new travels,

    r = bf16(v − k)        k ← k + r        on both sides, and the receiver takes k for v,

where k is what both of them know: the receiver misses 2^-8 of the last difference, never more, for the next difference
has it. ASGD pushes displacements, EASGD vectors. Memory: k, P / shards for each learner on each server, P on a learner
that pushes vectors; and P / 2 on each learner and 2 P / shards on each server for messages.
"""

import torch
from torch import Tensor

from asrpar.errors import ConfigError
from asrpar.parallel.wire import Wire

TYPE = torch.bfloat16


class Carrier:
    """They travel as they are.

    Args:
        like: (P,) a learner's vector.
        shard: this rank's part of the server.

    Attributes:
        room: for a push to arrive in.
    """

    def __init__(self, like: Tensor, shard: Tensor) -> None:
        self.room = torch.empty_like(shard)

    def begin(self, vector: Tensor) -> None:
        """Learner and servers know ``vector`` (P,) now, as in every quiet moment."""

    def push(self, x: Tensor) -> Tensor:
        """What a learner sends of a push (P,); valid until the next call."""
        return x

    def reply_room(self, reply: Tensor) -> Tensor:
        """Where a learner receives what is to become ``reply`` (P,)."""
        return reply

    def take(self, room: Tensor, reply: Tensor) -> None:
        """Make ``reply`` of what has arrived; it still is the reply before."""

    def pushed(self, payload: Tensor, source: int) -> Tensor:
        """The push of learner ``source``, which the server may overwrite."""
        return payload

    def reply(self, x: Tensor, dest: int) -> Tensor:
        """What the server sends of a reply to learner ``dest``; valid until the next call."""
        return x

    def taken(self, x: Tensor, dest: int) -> Tensor:
        """What learner ``dest`` makes of reply ``x``, once that has been sent."""
        return x


class Rounded(Carrier):
    """They travel in bfloat16.

    Args:
        clients: number of learners.
        vectors: pushes are vectors and replies displacements, not the other way round. What is rounded off a
            displacement that leaves the shard stays in the shard.
    """

    def __init__(self, like: Tensor, shard: Tensor, clients: int, *, vectors: bool) -> None:
        self.shard, self.vectors = shard, vectors
        self.known = [torch.empty_like(shard) for _ in range(clients)]
        self.mine = torch.empty_like(like) if vectors else None
        self.exact = torch.empty_like(shard)
        self.room, self.outgoing = torch.empty_like(shard, dtype=TYPE), torch.empty_like(shard, dtype=TYPE)
        self.packed = torch.empty_like(like, dtype=TYPE)

    def begin(self, vector: Tensor) -> None:
        """All k are ``vector``; the shard is its part."""
        for known in self.known:
            known.copy_(self.shard)
        if self.mine is not None:
            self.mine.copy_(vector)

    def push(self, x: Tensor) -> Tensor:
        """Rounded, of a vector what is new."""
        if self.mine is None:
            return self.packed.copy_(x)
        self.packed.copy_(x - self.mine)
        self.mine.add_(self.packed)
        return self.packed

    def reply_room(self, reply: Tensor) -> Tensor:
        """Where the push was: each part of it has been sent when that of the reply comes."""
        return self.packed

    def take(self, room: Tensor, reply: Tensor) -> None:
        """A displacement, or what is new in the vector that was the last reply."""
        if self.vectors:
            reply.copy_(room)
        else:
            reply.add_(room)

    def pushed(self, payload: Tensor, source: int) -> Tensor:
        """In the shard's type."""
        if self.vectors:
            return self.exact.copy_(self.known[source].add_(payload))
        return self.exact.copy_(payload)

    def reply(self, x: Tensor, dest: int) -> Tensor:
        """Rounded, of a vector what is new."""
        if self.vectors:
            self.outgoing.copy_(x)
            self.shard.add_(self.outgoing).sub_(x)
        else:
            self.outgoing.copy_(x - self.known[dest])
            self.known[dest].add_(self.outgoing)
        return self.outgoing

    def taken(self, x: Tensor, dest: int) -> Tensor:
        """The displacement, or k."""
        return self.outgoing if self.vectors else self.known[dest]


def make_carrier(wire: Wire, like: Tensor, shard: Tensor, clients: int, *, vectors: bool) -> Carrier:
    """As ``wire`` says; `ConfigError` if that is not possible."""
    if wire.method == "none":
        return Carrier(like, shard)
    if wire.method != "bf16":
        raise ConfigError(
            f"what goes to a server and back cannot travel as compression.method '{wire.method}' says: set it to bf16, "
            "or to none"
        )
    return Rounded(like, shard, clients, vectors=vectors)
