"""Learners in one process, in virtual time: deterministic, and as many as fit into memory."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from asrpar.parallel.comm.base import MAX_NUMBERS, Buffer, Comm, Invitation, LearnerLost, Message, Outgoing, buffer_for
from asrpar.parallel.trace import RecordingTrace, Trace
from asrpar.parallel.virtual.clock import Activity, Event, Lock
from asrpar.parallel.virtual.group import Box, Collective, Family, Group, Shared
from asrpar.parallel.virtual.trace import VirtualTrace

_HEADER = 8 * (2 + MAX_NUMBERS)


class Arrival:
    """A collective on its way."""

    def __init__(self, comm: "VirtualComm", collective: Collective, take: Callable[[Any], None], nbytes: float) -> None:
        self.comm, self.collective, self.take, self.nbytes = comm, collective, take, nbytes

    def wait(self) -> None:
        """Return once it is complete."""
        with self.comm.trace.span("wait", bytes=self.nbytes):
            self.collective.attend(self.comm.scheduler, self.comm.group)
        self.take(self.collective.result)


class Departure:
    """Messages on their way."""

    def __init__(self, comm: "VirtualComm", free: float) -> None:
        self.comm, self.free = comm, free

    def wait(self) -> None:
        """Return when the sender's end of the link is free of them."""
        if self.free > self.comm.scheduler.now:
            with self.comm.trace.span("wait"):
                self.comm.scheduler.sleep(self.free - self.comm.scheduler.now)


class VirtualComm(Comm):
    """One learner of a virtual cluster.

    Sums are made in the order of ranks, as `MpiComm` makes them within a node, so that the very same bits come out.
    """

    passes_over = True

    def __init__(self, group: Group, rank: int, trace: Trace | None = None) -> None:
        self.group, self.rank, self.size = group, rank, group.size
        self.shared, self.scheduler = group.shared, group.shared.scheduler
        self.trace = trace or Trace()
        self._came = self._channels = 0
        # By `pass_over`; ranks in the whole job.
        self.passed: set[int] = set()

    def activity(self) -> str:
        return self.scheduler.current().name

    def recording(self, events: int) -> RecordingTrace:
        return VirtualTrace(self.scheduler, events)

    def clock(self) -> float:
        return self.scheduler.now

    def sleep(self, seconds: float) -> None:
        self.scheduler.sleep(seconds)

    def mark(self, what: str) -> None:
        """For the checksum of the run."""
        self.scheduler.mark(self.group.ranks[self.rank], what)

    def allreduce(self, x: Tensor) -> None:
        nbytes = self.shared.bytes(x)
        with self.trace.span("allreduce", bytes=nbytes, sent=self._share(2 * nbytes)):
            (collective := self._sum(x, nbytes)).attend(self.scheduler, self.group)
        x.copy_(collective.result)

    def allreduce_begin(self, x: Tensor) -> Arrival:
        nbytes = self.shared.bytes(x)
        with self.trace.span("begin", bytes=nbytes, sent=self._share(2 * nbytes)):
            return Arrival(self, self._sum(x, nbytes), x.copy_, nbytes)

    def broadcast(self, x: Tensor, root: int = 0) -> None:
        nbytes = self.shared.bytes(x)

        def finish(brought: dict[int, Tensor]) -> tuple[Tensor, float]:
            return brought[root].clone(), self.shared.network.broadcast(self.group.ranks, nbytes)

        with self.trace.span("broadcast", bytes=nbytes, sent=self._share(nbytes)):
            (collective := self._come(x, finish)).attend(self.scheduler, self.group)
        x.copy_(collective.result)

    def exchange(self, outgoing: Tensor, incoming: Tensor, peer: int) -> None:
        nbytes = self.shared.bytes(outgoing)
        with self.trace.span("exchange", peer=peer, bytes=nbytes, sent=nbytes):
            free = self._deliver(peer, self.group.exchanges[peer, self.rank], 0, (), outgoing)
            message = self.group.exchanges[self.rank, peer].take(self.scheduler, None, self.group, self.passed)
            if free > self.scheduler.now:
                self.scheduler.sleep(free - self.scheduler.now)
        incoming.view(-1).copy_(message.payload)

    def alltoall(self, outgoing: Tensor, incoming: Tensor) -> None:
        nbytes = self.shared.bytes(outgoing)

        def finish(brought: dict[int, Tensor]) -> tuple[dict[int, Tensor], float]:
            copies = {rank: x.clone() for rank, x in brought.items()}
            return copies, self.shared.network.alltoall(self.group.ranks, nbytes)

        with self.trace.span("alltoall", bytes=nbytes, sent=self._share(nbytes)):
            (collective := self._come(outgoing, finish)).attend(self.scheduler, self.group)
        for rank, row in enumerate(incoming):
            row.copy_(collective.result[rank][self.rank])

    def allgather(self, outgoing: Tensor, incoming: Tensor) -> None:
        nbytes = self.shared.bytes(incoming)

        def finish(brought: dict[int, Tensor]) -> tuple[Tensor, float]:
            rows = torch.stack([brought[rank] for rank in range(self.size)])
            return rows, self.shared.network.allgather(self.group.ranks, nbytes)

        with self.trace.span("allgather", bytes=nbytes, sent=self._share(nbytes)):
            (collective := self._come(outgoing, finish)).attend(self.scheduler, self.group)
        incoming.copy_(collective.result)

    def allgather_object(self, value: Any) -> list[Any]:
        """The very objects; takes the time of a barrier."""
        with self.trace.span("allgather_object"):
            (collective := self._come(value, self._listed)).attend(self.scheduler, self.group)
        return list(collective.result)

    def barrier(self) -> None:
        with self.trace.span("barrier"):
            self._come(None, self._listed).attend(self.scheduler, self.group)

    def send(self, dest: int, kind: int, numbers: tuple[float, ...] = (), payload: Tensor | None = None) -> None:
        """Return when the sender's end of the link is free of the message."""
        size = self.shared.bytes(payload)
        with self.trace.span("send", peer=dest, bytes=size, sent=size + _HEADER if dest != self.rank else 0):
            free = self._deliver(dest, self.group.boxes[dest], kind, numbers, payload)
            if free > self.scheduler.now:
                self.scheduler.sleep(free - self.scheduler.now)

    def send_all(self, messages: list[Outgoing]) -> "Departure":
        """One after the other through this end of the link."""
        free = self.scheduler.now
        for dest, kind, numbers, payload in messages:
            size = self.shared.bytes(payload)
            with self.trace.span("send", peer=dest, bytes=size, sent=size + _HEADER if dest != self.rank else 0):
                free = max(free, self._deliver(dest, self.group.boxes[dest], kind, numbers, payload))
        return Departure(self, free)

    def receive(self, into: Buffer = None, source: int | None = None) -> Message:
        """The next message that has arrived here."""
        with self.trace.span("wait"):
            message = self.group.boxes[self.rank].take(self.scheduler, source, self.group, self.passed)
        if message.payload is None:
            return message
        count = message.payload.numel()
        buffer = buffer_for(into, message.source, count)
        description, activity = self.shared.network.cluster, self.scheduler.current()
        rate = description.server_bandwidth if activity.name == "server" else description.mixing_bandwidth
        with self.trace.span("receive", peer=message.source, bytes=self.shared.bytes(message.payload)):
            if rate:
                self.scheduler.sleep(self.shared.bytes(message.payload) / rate)
            message.payload = buffer.copy_(message.payload)
        return message

    def shared_vectors(self, like: Tensor, count: int) -> dict[int, list[Tensor]] | None:
        """What all can reach, if the cluster has such memory."""

        def finish(brought: dict[int, Tensor]) -> tuple[dict[int, list[Tensor]], float]:
            return {rank: [torch.zeros_like(x) for _ in range(count)] for rank, x in brought.items()}, 0.0

        if not self.shared.shared_memory:
            return None
        (collective := self._come(like, finish)).attend(self.scheduler, self.group)
        return collective.result

    def channel(self) -> "VirtualComm":
        """The same learners, other messages; the same links."""
        self._channels += 1
        channels = self.group.channels
        if self._channels not in channels:
            channels[self._channels] = Group(self.shared, self.group.ranks, self.group.family)
        return VirtualComm(channels[self._channels], self.rank, self.trace)

    def split(self, color: int | None, name: str = "") -> "VirtualComm | None":

        def finish(brought: dict[int, int | None]) -> tuple[dict[int, Group], float]:
            colors = sorted({c for c in brought.values() if c is not None})
            ranks, family = self.group.ranks, self.group.family
            members = {c: [ranks[r] for r in range(self.size) if brought[r] == c] for c in colors}
            return {c: Group(self.shared, chosen, family) for c, chosen in members.items()}, 0

        (collective := self._come(color, finish)).attend(self.scheduler, self.group)
        if color is None:
            return None
        group = collective.result[color]
        return VirtualComm(group, group.ranks.index(self.group.ranks[self.rank]), self.trace)

    def node(self) -> int:
        network, ranks = self.shared.network, self.group.ranks
        return sorted({network.node(r) for r in ranks}).index(network.node(ranks[self.rank]))

    def spawn(self, run: Callable[[], None], name: str) -> Activity:
        return self.scheduler.begin(run, self.group.ranks[self.rank], name, spared=(LearnerLost,))

    def lock(self) -> Lock:
        return Lock(self.scheduler)

    def event(self) -> Event:
        return Event(self.scheduler)

    def survivors(self) -> "VirtualComm":
        """The learners that are left, at the virtual moment at which the last of them has come and all know it."""
        here = self.group.ranks[self.rank]
        # Its other activities have ended, or would wait for ever for those who are gone.
        self.scheduler.end_all(here)
        with self.trace.span("wait"):
            family = self.group.family.survivors(here)
        return VirtualComm(family.world, family.ranks.index(here), self.trace)

    def lost(self) -> list[int]:
        known = self.group.family.known
        return [rank for rank, place in enumerate(self.group.ranks) if place in known] if known else []

    def pass_over(self) -> list[int]:
        self.group.family.check(self.scheduler.current())
        self.passed = set(self.group.family.known)
        return self.lost()

    @property
    def recalls(self) -> bool:
        """As the cluster says."""
        return self.shared.network.cluster.failures.restart_seconds > 0

    def call_back(self, seats: list[int], brief: Any) -> None:
        self.shared.crew.call(seats, brief, self.group.ranks[self.rank])

    def newcomers(self) -> list[int]:
        return [] if self.rank else self.shared.crew.ready()

    def grown(self) -> "VirtualComm":
        here = self.group.ranks[self.rank]
        with self.trace.span("wait"):
            if self.invitation is None:
                family = self.group.family.grown(here)
            else:
                self.shared.crew.wait(here)
                family = self.shared.crew.members
        return self if family is self.group.family else VirtualComm(family.world, family.ranks.index(here), self.trace)

    def close(self) -> None:
        if self.rank == 0:
            self.shared.crew.dismiss()

    def post(self, value: int) -> None:
        self.group.notes[self.rank] = value

    def posted(self) -> list[int]:
        return list(self.group.notes)

    def _share(self, size: float) -> float:
        return size * (self.size - 1) / self.size

    def _sum(self, x: Tensor, nbytes: float) -> Collective:
        def finish(brought: dict[int, Tensor]) -> tuple[Tensor, float]:
            total = brought[0].clone() if self.size == 1 else brought[0] + brought[1]
            for rank in range(2, self.size):
                total.add_(brought[rank])
            return total, self.shared.network.allreduce(self.group.ranks, nbytes)

        return self._come(x, finish)

    def _listed(self, brought: dict[int, Any]) -> tuple[list[Any], float]:
        return [brought[rank] for rank in range(self.size)], self.shared.network.barrier(self.group.ranks)

    def _come(self, what: Any, finish: Callable[[dict[int, Any]], tuple[Any, float]]) -> Collective:
        """Come to the next collective of this group; the last to come finds its result and how long it takes."""
        self.group.check(self.scheduler.current())
        number, self._came = self._came, self._came + 1
        collective = self.group.collectives.setdefault(number, Collective())
        collective.brought[self.rank] = what
        if len(collective.brought) == self.size:
            del self.group.collectives[number]
            collective.result, seconds = finish(collective.brought)
            collective.brought.clear()
            begin = max(self.scheduler.now, self.group.busy_until)
            self.group.busy_until = begin + seconds
            self.scheduler.at(self.group.busy_until - self.scheduler.now, lambda _: collective.end())
        return collective

    def _deliver(self, dest: int, box: Box, kind: int, numbers: tuple[float, ...], payload: Tensor | None) -> float:
        """Send a message on its way; the moment at which this end of the link is free of it."""
        here, there = self.group.ranks[self.rank], self.group.ranks[dest]
        self.group.check(self.scheduler.current(), [there])
        size = self.shared.bytes(payload) + _HEADER
        free, arrival = self.shared.network.transfer(self.scheduler.now, here, there, size)
        numbers = (*map(float, numbers), *(0.0,) * (MAX_NUMBERS - len(numbers)))
        copy = None if payload is None or not payload.numel() else payload.detach().reshape(-1).clone()
        message = Message(self.rank, kind, numbers, copy)
        self.mark("send")
        self.scheduler.at(arrival - self.scheduler.now, lambda _: box.put(message))
        return free


def virtual_learners(shared: Shared, size: int) -> list[VirtualComm]:
    """The transport of each of ``size`` learners, who may begin to die."""
    family = Family(shared, list(range(size)))
    shared.crew.begin(family)
    return [VirtualComm(family.world, rank) for rank in range(size)]


def virtual_newcomer(shared: Shared, invitation: Invitation) -> VirtualComm:
    """The transport of a learner that comes in a lost one's place; it is alone until it has `grown`."""
    comm = VirtualComm(Family(shared, [invitation.seat]).world, 0)
    comm.invitation = invitation
    return comm
