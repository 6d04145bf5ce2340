"""What has happened so far between learners that share one process: collectives and messages on their way."""

from collections import defaultdict, deque
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from asrpar.parallel.comm.base import Message
from asrpar.parallel.virtual.clock import Activity, Scheduler
from asrpar.parallel.virtual.network import Network

# Vectors of so few numbers are counters, whatever a vector stands for.
_COUNTERS = 4


class Shared:
    """What the learners of one run share: the clock, the network, and how many bytes a number stands for.

    Args:
        scheduler: the clock.
        network: the links.
        scale: real numbers that one element of a vector stands for, where vectors are shorter than they would be.
        shared_memory: whether learners can read and write each other's memory, which takes no virtual time; for the
            replay of a run whose learners could.
    """

    def __init__(self, scheduler: Scheduler, network: Network, scale: float = 1.0, shared_memory: bool = False) -> None:
        self.scheduler, self.network, self.scale, self.shared_memory = scheduler, network, scale, shared_memory

    def bytes(self, x: Tensor | None) -> float:
        """That ``x`` has on its way."""
        if x is None:
            return 0.0
        return x.nbytes * self.scale if x.numel() > _COUNTERS else x.nbytes


@dataclass
class Collective:
    """A collective for which some have come.

    Attributes:
        brought: by rank.
        waiting: who has come and waits.
        result: what all take with them.
        over: whether it is.
    """

    brought: dict[int, Any] = field(default_factory=dict)
    waiting: list[Activity] = field(default_factory=list)
    result: Any = None
    over: bool = False

    def attend(self, scheduler: Scheduler) -> None:
        """Wait for its end."""
        if not self.over:
            self.waiting.append(scheduler.current())
            scheduler.park("the other learners")

    def end(self) -> None:
        """Let those go on who wait."""
        self.over = True
        for activity in self.waiting:
            activity.switch()


@dataclass
class Box:
    """Messages that have arrived and nobody has taken; and who waits for one, and from whom."""

    messages: deque[Message] = field(default_factory=deque)
    waiting: Activity | None = None
    source: int | None = None

    def put(self, message: Message) -> None:
        """A message arrives."""
        self.messages.append(message)
        if self.waiting is not None and self.source in (None, message.source):
            activity, self.waiting = self.waiting, None
            activity.switch()

    def take(self, scheduler: Scheduler, source: int | None) -> Message:
        """The oldest message from ``source``, or from anybody; waits for it."""
        message = self._find(source)
        if message is None:
            self.waiting, self.source = scheduler.current(), source
            scheduler.park(f"a message from {'anybody' if source is None else f'rank {source}'}")
            message = self._find(source)
        return message

    def _find(self, source: int | None) -> Message | None:
        for at, message in enumerate(self.messages):
            if source is None or message.source == source:
                del self.messages[at]
                return message
        return None


class Group:
    """Some learners, and their messages to each other.

    Args:
        shared: theirs.
        ranks: in the whole job, of each.
    """

    def __init__(self, shared: Shared, ranks: list[int]) -> None:
        self.shared, self.ranks, self.size = shared, ranks, len(ranks)
        self.collectives: dict[int, Collective] = {}
        self.boxes = [Box() for _ in ranks]
        # By receiver and sender.
        self.exchanges: dict[tuple[int, int], Box] = defaultdict(Box)
        self.notes = [0] * self.size
        self.channels: dict[int, Group] = {}
        # Until when collectives that were begun before occupy the links.
        self.busy_until = 0.0
