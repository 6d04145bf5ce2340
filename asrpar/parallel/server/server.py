"""A parameter server: a vector that lives in shards on some ranks, to which learners push and from which they pull.

Cui et al. 2020 call algorithms that use one centralised and asynchronous. The server is an activity beside computing,
so that a rank can both learn and serve; with a rank of its own it only serves.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from asrpar.errors import ConfigError
from asrpar.parallel.comm import Comm, Message
from asrpar.parallel.comm.base import Outgoing
from asrpar.parallel.compress.wire import Wire
from asrpar.parallel.contract import mean_of
from asrpar.parallel.server.carrier import make_carrier
from asrpar.rules import at_least, one_of

PUSH, REPLY, DONE = 1, 2, 3

# update(shard s, push) -> what to reply. The push's payload may be overwritten. If it replies ``s`` itself, the learner
# gets s as it is when the reply leaves.
Update = Callable[[Tensor, Message], Tensor]


class ParameterServer:
    """One learner's view of the servers, and this rank's own shard if it is one.

    Args:
        comm: all ranks.
        like: (P,) a vector of the size and type to serve.
        hosts: the ranks that hold a shard each.
        clients: number of learners; the ranks from 0 on.
        update: what a push does to a shard.
        bound: a learner that has pushed ``bound`` times more than the slowest one waits for its reply (stale
            synchronous parallel, Ho et al. 2013); None for no bound.
        remember: keep what each learner pulled last.
        wire: how pushes and replies travel; `ConfigError` if they cannot.
        vectors: pushes are whole vectors and replies displacements, not the other way round.

    Attributes:
        shard: this rank's part of the vector; empty if it holds none.
        version: pushes that the shard has seen.
        pulled: by learner, the shard as it was when the learner got it last; empty unless ``remember``.
    """

    def __init__(
        self,
        comm: Comm,
        like: Tensor,
        hosts: list[int],
        clients: int,
        update: Update,
        bound: int | None = None,
        remember: bool = False,
        wire: Wire | None = None,
        *,
        vectors: bool = False,
    ) -> None:
        self.comm, self.hosts, self.clients, self.update, self.bound = comm, hosts, clients, update, bound
        # Requests and replies must not meet: a rank's server and its learner receive at the same time.
        self.requests, self.replies = comm.channel(), comm.channel()
        edges = [len(like) * k // len(hosts) for k in range(len(hosts) + 1)]
        self.parts = [slice(a, b) for a, b in itertools.pairwise(edges)]
        own = self.parts[hosts.index(comm.rank)] if comm.rank in hosts else slice(0, 0)
        self.own = own
        # In host memory, from where it is sent, and where no GPU is busy with something else.
        self.shard = torch.zeros_like(like[own], device="cpu")
        self.carrier = make_carrier(wire or Wire(), like, self.shard, self.parts, clients, comm, vectors=vectors)
        self.pulled = [torch.empty_like(self.shard) for _ in range(clients if remember else 0)]
        self.version = 0
        # By host, the pushes that its shard had seen when this learner got it last.
        self.seen = dict.fromkeys(hosts, 0)
        self.activity = None

    def begin(self, vector: Tensor) -> None:
        """The servers' first value, which the learners have, too."""
        self.shard.copy_(vector[self.own])
        self.all_have(vector)

    def all_have(self, vector: Tensor) -> None:
        """All learners go on from ``vector``, which the shards hold."""
        for pulled in self.pulled:
            pulled.copy_(self.shard)
        self.carrier.begin(vector)

    def open(self) -> None:
        """Let this rank's server, if it has one, begin to serve."""
        if self.activity is None:
            self.activity = self.comm.spawn(self.serve if self.comm.rank in self.hosts else lambda: None, "server")
        self.activity.check()

    def visit(self, push: Tensor, reply: Tensor, lr: float) -> None:
        """Push one vector (P,) and receive one (P,), other memory, which still holds the reply before.

        All servers are visited at once: a round trip takes as long with many as with one. A learner takes whichever
        reply comes first, so no server waits for another's before it can send: there is no circle in which all wait.
        """
        self.open()
        part_of = dict(zip(self.hosts, self.parts, strict=True))
        pushes: list[Outgoing] = []
        for host, part in part_of.items():
            sent, plainly = self.carrier.push(push, part)
            pushes.append((host, PUSH, (self.seen[host], lr, plainly), sent))
        sending = self.requests.send_all(pushes)
        for _ in self.hosts:
            message = self.replies.receive(lambda host: self.carrier.reply_buffer(reply, part_of[host]))
            self.carrier.take(message.payload, reply, part_of[message.source])
            self.seen[message.source] = int(message.numbers[0])
        sending.wait()

    def serve(self) -> None:
        """Serve until every learner is done."""
        clocks = dict.fromkeys(range(self.clients), 0)
        waiting: dict[int, Tensor] = {}
        while clocks:
            message = self.requests.receive(self.carrier.receive_buffer)
            if message.kind == DONE:
                del clocks[message.source]
            else:
                message.payload = self.carrier.pushed(message.payload, message.source, message.numbers[2] > 0)
                waiting[message.source] = self.update(self.shard, message)
                self.version += 1
                clocks[message.source] += 1
            slowest = min(clocks.values(), default=0)
            for rank in [r for r in waiting if self.bound is None or clocks[r] - slowest <= self.bound]:
                reply = waiting.pop(rank)
                sent = self.carrier.reply(reply, rank)
                if self.pulled:
                    self.pulled[rank].copy_(self.carrier.received(reply, rank))
                self.replies.send(rank, REPLY, (self.version,), sent)

    def staleness(self, message: Message) -> int:
        """How many pushes of others the shard has seen since the sender's last pull."""
        stale = self.version - int(message.numbers[0])
        self.comm.trace.count("staleness", stale)
        return stale

    def close(self) -> None:
        """This learner is done for now; returns when all are, and no message is on its way."""
        self.open()
        if self.comm.rank < self.clients:
            for host in self.hosts:
                self.requests.send(host, DONE)
        self.activity.join()
        self.activity = None
        self.comm.barrier()

    def gather(self, into: Tensor) -> None:
        """The servers' whole vector (P,), on all ranks, from which all go on. Collective; only while closed."""
        into[self.own].copy_(self.shard)
        for host, part in zip(self.hosts, self.parts, strict=True):
            self.comm.broadcast(into[part], root=host)
        self.all_have(into)
        versions = self.comm.allgather_object(self.version)
        self.seen = {host: versions[host] for host in self.hosts}

    def left_with(self, comm: Comm, weights: Tensor) -> Tensor:
        """(P,) what those who are left, the ranks of ``comm``, go on from: the server's vector, if it was all on one
        that is left and did not learn; else the mean of the learners' ``weights``, for a lost shard has no better copy.
        """
        serves = self.comm.rank >= self.clients
        vector = weights.clone()
        kept = comm.allgather_object(serves)
        if any(kept):
            if serves:
                vector.copy_(self.shard)
            comm.broadcast(vector, root=kept.index(True))
            return vector
        return mean_of(weights, comm)

    def mean_of_learners(self, x: Tensor) -> Tensor:
        """The mean of a vector over the ranks that learn. Collective."""
        mean = x.clone() if self.comm.rank < self.clients else torch.zeros_like(x)
        self.comm.allreduce(mean)
        return mean.div_(self.clients)


@dataclass
class ServerSettings:
    """What algorithms with a parameter server share.

    Attributes:
        sync_steps: τ, local steps from one exchange with the server to the next.
        server: ``sharded`` (over all learners) or ``dedicated`` (the last rank serves and does not learn).
    """

    sync_steps: int = 1
    server: str = "sharded"

    def validate(self) -> None:
        at_least(self, 1, "sync_steps")
        one_of(self, "server", ("sharded", "dedicated"))


def learner_count(settings: ServerSettings, size: int) -> int:
    """All ranks learn, or all but the last where ``settings.server`` is ``dedicated``."""
    return size - 1 if settings.server == "dedicated" and size > 1 else size


def server_ranks(name: str, settings: ServerSettings, size: int) -> list[int]:
    """The ranks that hold a shard; `ConfigError` if there are too few for a dedicated one."""
    if settings.server == "dedicated" and size < 2:
        raise ConfigError(
            f"strategies.{name}.server is dedicated: that takes a rank of its own, so at least 2 are needed"
        )
    return [size - 1] if settings.server == "dedicated" else list(range(size))
