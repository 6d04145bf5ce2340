"""A learner's weights in memory that all learners can read and write: an exchange is one pass over two vectors.

    x_i, x_j ← (x_i + x_j) / 2

The active learner makes the average for both, while neither can update. Each has three vectors:
the weights that its gradient is being computed at, x_i if exchanges have made it another one since, and one for the
next average. Nothing is copied: the learner goes on in another of the three. So an exchange moves 6 vectors through
memory, where one by messages in shared memory (`Replica`) moves 12.
"""

from contextlib import AbstractContextManager

import torch
from torch import Tensor

from asrpar.parallel.comm import Comm, Message
from asrpar.parallel.compress.wire import Wire
from asrpar.parallel.contract import Learner
from asrpar.parallel.flat import all_finite
from asrpar.parallel.gossip.replica import EXCHANGE, Replica

# Vectors of each learner.
VECTORS = 3
# Numbers that are averaged for one learner, and copied for the other while they are still in the cache.
_CHUNK = 1 << 18


class SharedReplica:
    """x_i, one exchange at a time; has what `adpsgd` needs of a `Replica`.

    Args:
        learner: moves into shared memory.
        channel: for exchanges.
        lock: held by whoever calls `apply_received`, until the update is done.
        vectors: `VECTORS` vectors (P,) of each learner, by rank.
    """

    def __init__(
        self, learner: Learner, channel: Comm, lock: AbstractContextManager, vectors: dict[int, list[Tensor]]
    ) -> None:
        self.learner, self.channel, self.lock, self.vectors = learner, channel, lock, vectors
        self.own = vectors[channel.rank]
        # Which of the own vectors are the learner's weights, and which is x_i.
        self.here = self.latest = 0
        # Whether another's weights have replaced x_i since somebody asked for it.
        self.lost = False
        self.own[0].copy_(learner.weights)
        learner.move(self.own[0])

    def receive_buffer(self) -> None:
        """Messages bring numbers only."""

    def spare(self) -> int:
        """Which of the own vectors nobody needs; the lock is held."""
        return next(k for k in range(VECTORS) if k not in (self.here, self.latest))

    def ask(self, peer: int) -> None:
        """Average with ``peer``, for both."""
        self.channel.send(peer, EXCHANGE)
        x, spare = map(int, self.channel.receive(source=peer).numbers[:2])
        with self.lock, self.span(peer):
            place = self.spare()
            lost, theirs = average(
                self.own[self.latest], self.vectors[peer][x], self.own[place], self.vectors[peer][spare]
            )
            self.latest, self.lost = place, self.lost or lost
        self.channel.send(peer, EXCHANGE, (theirs,))

    def answer(self, message: Message) -> None:
        """Let who sent ``message`` average. It does not wait for this learner then, so the lock may be held."""
        with self.lock, self.span(message.source):
            place = self.spare()
            self.channel.send(message.source, EXCHANGE, (self.latest, place))
            lost = self.channel.receive(source=message.source).numbers[0] > 0
            self.latest, self.lost = place, self.lost or lost

    def span(self, peer: int) -> AbstractContextManager[None]:
        """Of the trace. Counted as sent is what an exchange brings to the other, as if they shared no memory."""
        return self.channel.trace.span("exchange", peer=peer, bytes=self.own[0].nbytes, sent=self.own[0].nbytes)

    def apply_received(self) -> bool:
        """weights = x_i; whether exchanges have made another x_i of them."""
        changed = self.here != self.latest
        if changed:
            self.here = self.latest
            self.learner.move(self.own[self.here])
        return changed


def average(x: Tensor, y: Tensor, first: Tensor, second: Tensor) -> tuple[bool, bool]:
    """(x + y) / 2 into ``first`` and ``second``; all are (P,).

    Weights that have overflowed do not spread: if one of the two is not finite, both become the other one.

    Returns:
        whether x was lost so, and whether y was.
    """
    finite = True
    for a, b, mean, copy in zip(*(v.split(_CHUNK) for v in (x, y, first, second)), strict=True):
        torch.lerp(a, b, 0.5, out=mean)
        copy.copy_(mean)
        finite = finite and all_finite(mean)
    if finite:
        return False, False
    good = all_finite(x), all_finite(y)
    # Where neither is the better one, each keeps its own.
    first.copy_(y if good == (False, True) else x)
    second.copy_(x if good == (True, False) else y)
    return good == (False, True), good == (True, False)


def make_replica(
    learner: Learner, channel: Comm, wire: Wire, lock: AbstractContextManager, lent: int, shared: bool
) -> Replica | SharedReplica:
    """Of a learner: in shared memory if it may be, all learners share it, and nothing is to be rounded. Collective.

    Args:
        learner, channel, wire, lock, lent: see `Replica`.
        shared: it may be.
    """
    vectors = channel.shared_vectors(learner.weights, VECTORS) if shared and wire.method == "none" else None
    if vectors is None:
        return Replica(learner.weights, channel, wire, lock, lent)
    return SharedReplica(learner, channel, lock, vectors)
