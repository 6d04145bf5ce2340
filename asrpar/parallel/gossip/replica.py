"""A learner's weights to which others' exchanges are added while a gradient is being computed.

A gradient belongs to the weights that it was computed at. So what an exchange with learner j brings to x_i is put aside
until the next update, in delta form, so that nothing that landed meanwhile is lost:

    x_i = weights + Σ (s_j − s_i) / 2

Weights that have overflowed do not spread: whoever sends them marks them, and takes over what it gets, s_j.

If there was one exchange, and the weights still are the s_i that was sent, this is (weights + s_j) / 2: one pass over
two vectors, by the computing thread, and s_j is read where its sender wrote it if the two share memory.
"""

from contextlib import AbstractContextManager

import torch
from torch import Tensor

from asrpar.parallel.comm import Comm, Message
from asrpar.parallel.compress.wire import Wire
from asrpar.parallel.flat import is_marked, marked_if_not_finite

# Kind of the messages of an exchange.
EXCHANGE = 1


class Replica:
    """x_i, one exchange at a time.

    Args:
        weights: (P,), constant but in the updates of the computing thread.
        channel: for exchanges. Making a replica is collective.
        wire: how vectors travel.
        lock: held by whoever calls `apply_received` or `settle`, until the update is done.
        lent: messages that others are reading while this learner exchanges with the next; more are copied.
    """

    def __init__(self, weights: Tensor, channel: Comm, wire: Wire, lock: AbstractContextManager, lent: int) -> None:
        self.weights, self.channel, self.wire, self.lock = weights, channel, wire, lock
        self.drafts = channel.drafts(weights, lent + 1)
        # s_j may be kept in one of them while the next message comes into the other.
        self.buffers = [wire.buffer(weights), wire.buffer(weights)]
        self.displacement = torch.empty_like(weights)
        self.displaced = False
        self.sent: Tensor | None = None
        # Whether the weights are still the s_i that was sent.
        self.still = False
        self.partner: Message | None = None
        # Whether what was sent is finite; whether another's has replaced x_i since somebody asked for it.
        self.finite, self.lost = True, False

    def receive_buffer(self) -> Tensor:
        """For the next message."""
        partner = self.partner
        taken = partner is not None and partner.payload.data_ptr() == self.buffers[0].data_ptr()
        return self.buffers[taken]

    def ask(self, peer: int) -> None:
        """Average with ``peer``."""
        self.channel.send(peer, EXCHANGE, payload=self.snapshot())
        self.mix(self.channel.receive(self.receive_buffer(), source=peer))

    def answer(self, message: Message) -> None:
        """Average with who sent ``message``."""
        self.channel.send(message.source, EXCHANGE, payload=self.snapshot())
        self.mix(message)

    def snapshot(self) -> Tensor:
        """s_i = x_i, as it is sent."""
        with self.lock:
            self.settle()
            draft = self.drafts.next()
            if self.displaced:
                torch.add(self.weights, self.displacement, alpha=0.5, out=draft)
            else:
                draft.copy_(self.weights)
            self.sent = self.wire.pack(draft)
            self.still = self.sent is draft and not self.displaced
        self.finite = marked_if_not_finite(self.sent)
        return self.sent

    def mix(self, message: Message) -> None:
        """x_i += (s_j − s_i) / 2."""
        with self.lock:
            if is_marked(message.payload):
                message.release()
            elif not self.finite:
                # The gradient that is being computed at the weights is none.
                self.weights.copy_(self.wire.unpack(message.payload))
                self.displaced = self.still = False
                self.lost = True
                message.release()
            elif self.still:
                self.partner = message
            else:
                # Both sides must add the same difference: s_i counts as what the other side reads.
                self.displace(self.wire.unpack(message.payload), self.wire.unpack(self.sent))
                message.release()

    def displace(self, theirs: Tensor, mine: Tensor) -> None:
        """Keep their difference, whose half is what exchanges have brought."""
        if self.displaced:
            self.displacement.add_(theirs).sub_(mine)
        else:
            torch.sub(theirs, mine, out=self.displacement)
        self.displaced = True

    def settle(self) -> None:
        """The weights are about to change, or to be sent again."""
        if self.partner:
            self.displace(self.partner.payload, self.weights)
            self.partner.release()
            self.partner = None
        self.still = False

    def apply_received(self) -> bool:
        """weights = x_i; whether exchanges have made another x_i of them."""
        changed = self.partner is not None or self.displaced or self.lost
        if self.partner:
            self.weights.lerp_(self.partner.payload, 0.5)
            self.partner.release()
            self.partner = None
        elif self.displaced:
            self.weights.add_(self.displacement, alpha=0.5)
        self.displaced = self.still = False
        return changed
