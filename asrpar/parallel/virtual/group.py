"""What has happened so far between learners that share one process: collectives and messages on their way."""

from collections import defaultdict, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from asrpar.parallel.comm.base import Message
from asrpar.parallel.virtual.clock import Activity

if TYPE_CHECKING:
    from asrpar.parallel.virtual.comm import Shared


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


@dataclass
class Box:
    """Messages that have arrived and nobody has taken; and who waits for one, and from whom."""

    messages: deque[Message] = field(default_factory=deque)
    waiting: Activity | None = None
    source: int | None = None


class Group:
    """Some learners, and their messages to each other.

    Args:
        shared: theirs.
        ranks: in the whole job, of each.
    """

    def __init__(self, shared: "Shared", ranks: list[int]) -> None:
        self.shared, self.ranks, self.size = shared, ranks, len(ranks)
        self.collectives: dict[int, Collective] = {}
        self.boxes = [Box() for _ in ranks]
        # By receiver and sender.
        self.exchanges: dict[tuple[int, int], Box] = defaultdict(Box)
        self.notes = [0] * self.size
        self.channels: dict[int, Group] = {}
        # Until when collectives that were begun before occupy the links.
        self.busy_until = 0.0
