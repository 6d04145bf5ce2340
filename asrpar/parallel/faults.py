"""Faults on demand, for tests and studies: slow learners, slow links, learners that die or stop answering.

`with_faults` wraps a learner and a transport; strategies see nothing of it. Without faults it hands both back as they
are. Time passes through the transport, so that the same faults happen in virtual time.
"""

import os
import random
import signal
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from asrpar.config import check
from asrpar.errors import ConfigError
from asrpar.parallel.comm import Comm
from asrpar.parallel.comm.base import Outgoing, Pending
from asrpar.parallel.comm.forwarding import ForwardingComm
from asrpar.parallel.contract import Learner
from asrpar.parallel.learner import ForwardingLearner
from asrpar.rules import not_negative


@dataclass
class FaultsConfig:
    """What goes wrong. Nothing by default.

    Attributes:
        straggler_rank: learners that are slow.
        straggler_factor: how many times as long their gradients take; one for each of them, or one for all.
        jitter: each gradient takes up to this fraction longer, at random.
        seed: of the jitter; each rank has its own sequence.
        link_seconds: so much later do messages begin; their sender waits as at a link of little bandwidth.
        link_ranks: two ranks, only the link between them is slow (a collective waits for its slowest link); empty
            makes all links slow.
        die_rank: learners that end by SIGKILL,
        die_step: at so many gradients of this run, from 1; one for each of them, or one for all.
        hang_rank: learners that stop answering,
        hang_step: at so many gradients of this run.
        hang_whole: the whole process stops (SIGSTOP), not only the thread that computes.
    """

    straggler_rank: list[int] = field(default_factory=list)
    straggler_factor: list[float] = field(default_factory=list)
    jitter: float = 0.0
    seed: int = 0
    link_seconds: float = 0.0
    link_ranks: list[int] = field(default_factory=list)
    die_rank: list[int] = field(default_factory=list)
    die_step: list[int] = field(default_factory=list)
    hang_rank: list[int] = field(default_factory=list)
    hang_step: list[int] = field(default_factory=list)
    hang_whole: bool = False

    def validate(self) -> None:
        not_negative(self, "jitter", "link_seconds")


def by_rank(faults: FaultsConfig, what: str, value: str, least: float, size: int) -> dict[int, float]:
    """{rank: value} of the settings ``what_rank`` and ``what_value``.

    Raises:
        ConfigError: they do not fit together or do not fit ``size`` learners.
    """
    ranks, values = getattr(faults, f"{what}_rank"), getattr(faults, f"{what}_{value}")
    if bool(values) != bool(ranks) or len(values) not in (0, 1, len(ranks)):
        raise ConfigError(
            f"faults.{what}_rank is {ranks} and faults.{what}_{value} is {values}: one for each rank is needed"
        )
    if len(values) == 1:
        values = values * len(ranks)
    if any(not 0 <= r < size for r in ranks):
        raise ConfigError(f"faults.{what}_rank is {ranks}: there are {size} learners, from 0 to {size - 1}")
    if any(not v >= least for v in values):
        raise ConfigError(f"faults.{what}_{value} is {values}: it must be at least {least}")
    return dict(zip(ranks, values, strict=True))


def with_faults(learner: Any, comm: Comm, faults: FaultsConfig) -> tuple[Any, Any]:
    """The learner and the transport that a strategy is to be given; the very same where nothing goes wrong.

    Raises:
        ConfigError: impossible faults. All ranks raise alike.
    """
    check(faults, "faults.")
    factor = by_rank(faults, "straggler", "factor", 1.0, comm.size).get(comm.rank, 1.0)
    die = by_rank(faults, "die", "step", 1, comm.size).get(comm.rank, 0)
    hang = by_rank(faults, "hang", "step", 1, comm.size).get(comm.rank, 0)
    link = faults.link_ranks
    if len(set(link)) not in (0, 2) or len(link) > 2 or any(not 0 <= r < comm.size for r in link):
        raise ConfigError(f"faults.link_ranks is {link}: name two of the {comm.size} learners, or none for all links")
    if factor > 1 or faults.jitter or die or hang:
        learner = FaultyLearner(learner, comm, faults, factor, int(die), int(hang))
    if faults.link_seconds:
        comm = SlowLinks(comm, faults.link_seconds, set(link), list(range(comm.size)))
    return learner, comm


class FaultyLearner(ForwardingLearner):
    """A learner whose `gradient` is slow, or does not return.

    Args:
        learner: the sound one.
        comm: through which time passes.
        faults: jitter, and how to hang.
        factor: how many times as long a gradient takes.
        die, hang: at this gradient, from 1; 0 for never.
    """

    def __init__(self, learner: Learner, comm: Comm, faults: FaultsConfig, factor: float, die: int, hang: int) -> None:
        super().__init__(learner)
        self.comm, self.faults, self.factor, self.die, self.hang = comm, faults, factor, die, hang
        self.gradients, self.random = 0, random.Random(f"{faults.seed} {comm.rank}")

    def gradient(self, batch: Any | None) -> float:
        """The learner's, after or with a fault."""
        if batch is None:
            return self.inner.gradient(batch)
        comm = self.comm
        self.gradients += 1
        if self.gradients == self.die:
            os.kill(os.getpid(), signal.SIGKILL)
        if self.gradients == self.hang:
            self._stop_answering()
        began = comm.clock()
        frames = self.inner.gradient(batch)
        jitter = self.faults.jitter
        more_of_it = self.factor * (1.0 + (jitter * self.random.random() if jitter else 0.0)) - 1.0
        if more_of_it > 0:
            seconds = more_of_it * (comm.clock() - began)
            with comm.trace.span("straggle"):
                comm.sleep(seconds)
        return frames

    def _stop_answering(self) -> None:
        with self.comm.trace.span("compute"):
            if self.faults.hang_whole:
                os.kill(os.getpid(), signal.SIGSTOP)
            while True:
                self.comm.sleep(3600.0)


class SlowLinks(ForwardingComm):
    """A transport of which some links are slow.

    Args:
        inner: the sound one.
        seconds: by which messages over a slow link are late.
        slow: the two ranks of the whole job between which the link is slow; empty for all links.
        world_ranks: rank in the whole job of each rank of ``inner``.
    """

    def __init__(self, inner: Comm, seconds: float, slow: set[int], world_ranks: list[int]) -> None:
        super().__init__(inner)
        self.seconds, self.slow, self.world_ranks = seconds, slow, world_ranks
        here = slow & set(world_ranks) if slow else set(world_ranks)
        # A collective waits for its slowest link: whoever sits at one comes late.
        self.at_slow_link = len(here) > 1 and world_ranks[inner.rank] in here

    def wrap(self, inner: Comm) -> "SlowLinks":
        return SlowLinks(inner, self.seconds, self.slow, inner.allgather_object(self.world_ranks[self.rank]))

    def channel(self) -> "SlowLinks":
        return SlowLinks(self.inner.channel(), self.seconds, self.slow, self.world_ranks)

    def _wait(self, late: bool) -> None:
        if late:
            with self.trace.span("link"):
                self.sleep(self.seconds)

    def _reaches(self, peer: int) -> bool:
        ends = {self.world_ranks[self.rank], self.world_ranks[peer]}
        return len(ends) == 2 and (not self.slow or ends == self.slow)

    def allreduce(self, x: Tensor) -> None:
        self._wait(self.at_slow_link)
        super().allreduce(x)

    def allreduce_begin(self, x: Tensor) -> "Late":
        """What hides behind computing hides the slow link, too."""
        seconds = self.seconds if self.at_slow_link else 0.0
        return Late(self.inner, self.inner.allreduce_begin(x), self.clock() + seconds)

    def broadcast(self, x: Tensor, root: int = 0) -> None:
        self._wait(self.at_slow_link)
        super().broadcast(x, root)

    def exchange(self, outgoing: Tensor, incoming: Tensor, peer: int) -> None:
        self._wait(self._reaches(peer))
        super().exchange(outgoing, incoming, peer)

    def alltoall(self, outgoing: Tensor, incoming: Tensor) -> None:
        self._wait(self.at_slow_link)
        super().alltoall(outgoing, incoming)

    def allgather(self, outgoing: Tensor, incoming: Tensor) -> None:
        self._wait(self.at_slow_link)
        super().allgather(outgoing, incoming)

    def barrier(self) -> None:
        self._wait(self.at_slow_link)
        super().barrier()

    def send(self, dest: int, kind: int, numbers: tuple[float, ...] = (), payload: Tensor | None = None) -> None:
        self._wait(self._reaches(dest))
        super().send(dest, kind, numbers, payload)

    def send_all(self, messages: list[Outgoing]) -> Pending:
        """Links are late at the same time."""
        self._wait(any(self._reaches(dest) for dest, *_ in messages))
        return super().send_all(messages)

    def shared_vectors(self, like: Tensor, count: int) -> None:
        """None: learners with slow links between them do not share memory."""


class Late:
    """A message on its way over a slow link."""

    def __init__(self, comm: Comm, pending: Any, arrival: float) -> None:
        self._comm, self._pending, self._arrival = comm, pending, arrival

    def wait(self) -> None:
        """Return once it is complete, and not before its time."""
        self._pending.wait()
        seconds = self._arrival - self._comm.clock()
        if seconds > 0:
            with self._comm.trace.span("link"):
                self._comm.sleep(seconds)
