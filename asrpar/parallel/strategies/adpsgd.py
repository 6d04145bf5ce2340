"""Asynchronous decentralised parallel SGD: Lian et al. 2018, Zhang et al. 2019 (arXiv 1710.06952, 1907.05701).

Two activities on each learner i, at the same time:

    computing:      x̂ = x_i        g = g_i(x̂)        x_i ← x_i − γ g
    communicating:  with a neighbour j, as a pair that nobody else interferes with
                    s_i = x_i, s_j = x_j        x_i += (s_j − s_i) / 2        x_j += (s_i − s_j) / 2

The exchange adds a difference instead of writing the average, so updates that land while it is under way are kept:
Σ_i x_i = N x_0 + Σ of all updates at every synchronised moment. (Learners that all share memory lock updates out for
the time of one pass over both vectors, and write the average.) Odd ranks are active, they ask a partner after each
step; even ranks are passive, they answer whoever comes: nobody waits for a certain slow learner, nor in a circle.

`fixed` asks the two neighbours on a ring in turn, `random` any even rank, which mixes faster (Zhang et al. 2020,
2002.01119; their delay-by-one is `delayed`). When to use: learners of unequal speed, large batches. Cost of a step: one
exchange of P numbers with one peer, hidden behind computing; within a node nothing is sent, for vectors are read where
they were written. Extra memory: 5 P, 2 P if all learners share memory.
"""

from dataclasses import dataclass
from typing import Any

from asrpar.parallel.comm import Comm, LearnerLost
from asrpar.parallel.compress.wire import Wire, need_weights_wire
from asrpar.parallel.contract import Gossip, Learner
from asrpar.parallel.gossip.peers import Peers
from asrpar.parallel.gossip.replica import EXCHANGE
from asrpar.parallel.gossip.shared import make_replica
from asrpar.rules import one_of

DONE = EXCHANGE + 1


@dataclass
class Settings:
    """Settings of ADPSGD.

    Attributes:
        neighbours: ``fixed`` (ring) or ``random`` (any rank of the other parity).
        seed: of the random partners.
    """

    neighbours: str = "fixed"
    seed: int = 0

    def validate(self) -> None:
        one_of(self, "neighbours", ("fixed", "random"))


class Algorithm(Gossip):
    """ADPSGD; between steps `replica` holds x_i, and ``learner.weights`` are x̂, with the exchanges `seen` in them."""

    lockstep = False
    own_pace = rejoins = True
    kept = ("exchanges",)

    def __init__(
        self, settings: Settings, learner: Learner, comm: Comm, wire: Wire | None = None, shared: bool = True
    ) -> None:
        super().__init__(settings, learner, comm, wire)
        need_weights_wire(self.wire, "adpsgd")
        self.channel, self.lock, self.stepped = comm.channel(), comm.lock(), comm.event()
        self.activity, self.finishing, self.exchanges, self.seen = None, False, 0, 0
        self.peers = Peers(self.channel, settings.neighbours == "fixed", settings.seed)
        self.replica = make_replica(learner, self.channel, self.wire, self.lock, min(2, comm.size - 1), shared)

    def step(self, batch: Any | None) -> bool:
        """Computing: one gradient, one update."""
        if batch is None:
            return False
        self.run()
        frames = self.learner.gradient(batch)
        with self.lock:
            self.apply_received()
            if frames:
                self.learner.apply(frames)
        self.stepped.set()
        return True

    def apply_received(self) -> bool:
        """weights = x_i, before a gradient is applied; the lock is held. Counts the exchanges since its weights.

        Returns:
            whether exchanges have made another x_i of the weights.
        """
        changed = self.replica.apply_received()
        if self.replica.lost:
            self.replica.lost = False
            self.learner.count_nonfinite()
        self.comm.trace.count("staleness", self.exchanges - self.seen)
        self.seen = self.exchanges
        return changed

    def run(self) -> None:
        """Let communicating begin, if it has not; raise what it failed with."""
        if self.activity is None:
            self.seen = self.exchanges
            self.activity = self.comm.spawn(self.active if self.comm.rank % 2 else self.passive, "exchange")
        self.activity.check()

    def active(self) -> None:
        """Communicating, odd ranks: after each step average with one neighbour."""
        while True:
            self.stepped.wait()
            self.stepped.clear()
            with self.lock:
                if self.finishing:
                    break
            try:
                if self.peers.left:
                    self.replica.ask(self.peers.partner(self.exchanges))
                    self.exchanges += 1
            except LearnerLost:
                self.peers.pass_over()
        for peer in range(0, self.comm.size, 2):
            try:
                self.channel.send(peer, DONE)
            except LearnerLost:
                self.peers.pass_over()

    def passive(self) -> None:
        """Communicating, even ranks: average with whoever comes, one at a time."""
        active = set(range(1, self.comm.size, 2))
        while active:
            try:
                message = self.channel.receive(self.replica.receive_buffer())
                if message.kind == EXCHANGE:
                    self.replica.answer(message)
                    self.exchanges += 1
                else:
                    active.discard(message.source)
            except LearnerLost:
                active -= self.peers.pass_over()

    def finish(self) -> None:
        """Serve until no learner is active any more; then nothing is in flight."""
        self.run()
        with self.lock:
            self.finishing = True
        self.stepped.set()
        self.activity.join()
        self.activity, self.finishing = None, False
        self.stepped.clear()
        self.replica.apply_received()
        self.comm.barrier()

    def survive(self, comm: Comm) -> "Algorithm":
        """Go on with those who are left; x_i stays what it is."""
        self.replica.apply_received()
        return Algorithm(self.settings, self.learner, comm, self.wire)
