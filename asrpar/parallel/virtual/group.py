"""What has happened so far between learners that share one process: collectives and messages on their way."""

from collections import defaultdict, deque
from collections.abc import Iterator, Set
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from greenlet import GreenletExit
from torch import Tensor

from asrpar.parallel.comm.base import LearnerLost, Message
from asrpar.parallel.virtual.clock import Activity, Scheduler
from asrpar.parallel.virtual.crew import Crew
from asrpar.parallel.virtual.network import Network

# Vectors of so few numbers are counters, whatever a vector stands for.
_COUNTERS = 4
# Barriers that it takes those who are left to agree on who they are, and to make new channels.
_AGREEMENT = 4


class Shared:
    """What the learners of one run share: the clock, the network, and how many bytes a number stands for.

    Args:
        scheduler: the clock.
        network: the links.
        scale: real numbers that one element of a vector stands for, where vectors are shorter than they would be.
        shared_memory: whether learners can read and write each other's memory, which takes no virtual time; for the
            replay of a run whose learners could.

    Attributes:
        crew: who of them lives.
    """

    def __init__(self, scheduler: Scheduler, network: Network, scale: float = 1.0, shared_memory: bool = False) -> None:
        self.scheduler, self.network, self.scale, self.shared_memory = scheduler, network, scale, shared_memory
        self.crew = Crew(scheduler, network.cluster.failures)

    def bytes(self, x: Tensor | None) -> float:
        """That ``x`` has on its way."""
        if x is None:
            return 0.0
        return x.nbytes * self.scale if x.numel() > _COUNTERS else x.nbytes


class Family:
    """All groups of the same learners: what ends in one of them when a learner is lost ends in all.

    Args:
        shared: theirs.
        ranks: in the whole job, of all of them.

    Attributes:
        world: the group of all.
        lost: those of them who are gone.
        known: those of whom the others know that they are.
        over: nobody goes on here: some learner has gone on among the `survivors`.
        next: those who go on then, once they have met.
    """

    def __init__(self, shared: Shared, ranks: list[int]) -> None:
        self.shared, self.ranks = shared, ranks
        self.world = Group(shared, ranks, self)
        self.lost: set[int] = set()
        self.over, self.next = False, None
        self.known: set[int] = set()
        # For whom, in the order in which they began to.
        self.waiting: dict[Activity, list[int]] = {}
        self.met: dict[int, Activity] = {}
        self.growing = Collective()

    def check(self, activity: Activity) -> None:
        """`LearnerLost` once it is over; whoever is lost itself comes no further."""
        if activity.lost:
            raise GreenletExit
        if self.over:
            raise LearnerLost("another learner is gone")

    @contextmanager
    def waits(self, activity: Activity, ranks: list[int]) -> Iterator[None]:
        """Within, ``activity`` waits for some of the learners, and is told if one of these is lost."""
        self.waiting[activity] = ranks
        try:
            yield
        finally:
            del self.waiting[activity]

    def lose(self, rank: int, detect_seconds: float) -> None:
        """A learner is gone; the others know it so many seconds later."""
        self.lost.add(rank)
        self.shared.scheduler.at(detect_seconds, lambda _: self._tell(rank))
        self._meet()

    def _tell(self, rank: int) -> None:
        self.known.add(rank)
        self._fail([activity for activity, ranks in self.waiting.items() if rank in ranks])

    def _end(self, _: object) -> None:
        """From now on nobody sends to others here, or waits for them."""
        self.over = True
        self._fail(list(self.waiting))

    def _fail(self, activities: list[Activity]) -> None:
        for activity in activities:
            # What another one does when it hears of the loss may have ended this one.
            if activity in self.waiting:
                activity.throw(LearnerLost("another learner is gone"))

    def survivors(self, rank: int) -> "Family":
        """Those who are left, once all of them have come to ask."""
        scheduler = self.shared.scheduler
        if not self.over:
            scheduler.at(0, self._end)
        self.met[rank] = scheduler.current()
        self._meet()
        scheduler.park("the learners that are left")
        return self.next

    def _meet(self) -> None:
        left = [rank for rank in self.ranks if rank not in self.lost]
        if self.next is not None or not left or any(rank not in self.met for rank in left):
            return
        self.shared.crew.count()
        self.next = self.shared.crew.members = Family(self.shared, left)

        def go_on(_: object) -> None:
            for rank in left:
                self.met[rank].switch()

        self.shared.scheduler.at(_AGREEMENT * self.shared.network.barrier(left), go_on)

    def grown(self, rank: int) -> "Family":
        """These and those who are ready to join, once all of these have come to let them in; else these."""
        shared, growing = self.shared, self.growing
        self.check(shared.scheduler.current())
        growing.brought[rank] = None
        if len(growing.brought) == len(self.ranks):
            self.growing, seats, seconds = Collective(), shared.crew.ready(), shared.network.barrier(self.ranks)
            join = seats and len(seats) * shared.network.cluster.failures.join_seconds + _AGREEMENT * seconds
            shared.scheduler.at(join or seconds, lambda _: self._let_in(growing, seats))
        growing.attend(shared.scheduler, self.world)
        return growing.result

    def _let_in(self, growing: "Collective", seats: list[int]) -> None:
        if self.lost:
            return  # those who wait hear of that instead
        growing.result, woken = self, []
        if seats:
            growing.result = Family(self.shared, [*self.ranks, *seats])
            woken = self.shared.crew.let_in(seats, growing.result)
        growing.end()
        for activity in woken:
            activity.switch()


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

    def attend(self, scheduler: Scheduler, group: "Group") -> None:
        """Wait for its end."""
        if self.over:
            return
        here = scheduler.current()
        group.check(here)
        self.waiting.append(here)
        try:
            with group.family.waits(here, group.ranks):
                scheduler.park("the other learners")
        except BaseException:
            if here in self.waiting:
                self.waiting.remove(here)
            raise

    def end(self) -> None:
        """Let those go on who wait."""
        self.over = True
        waiting, self.waiting = self.waiting, []
        for activity in waiting:
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

    def take(self, scheduler: Scheduler, source: int | None, group: "Group", passed: Set[int]) -> Message:
        """The oldest message from ``source``, or from anybody; waits for it.

        Args:
            scheduler: the clock.
            source: a rank of ``group``, or None.
            group: that of the box.
            passed: ranks in the whole job of those whose loss is no reason not to wait for anybody.
        """
        here = scheduler.current()
        group.family.check(here)
        message = self._find(source)
        if message is None:
            senders = [r for r in group.ranks if r not in passed] if source is None else [group.ranks[source]]
            group.check(here, senders)
            self.waiting, self.source = here, source
            try:
                with group.family.waits(here, senders):
                    scheduler.park(f"a message from {'anybody' if source is None else f'rank {source}'}")
            except BaseException:
                self.waiting = None
                raise
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
        family: the groups that end with this one when a learner is lost.
    """

    def __init__(self, shared: Shared, ranks: list[int], family: Family) -> None:
        self.shared, self.ranks, self.size, self.family = shared, ranks, len(ranks), family
        self.collectives: dict[int, Collective] = {}
        self.boxes = [Box() for _ in ranks]
        # By receiver and sender.
        self.exchanges: dict[tuple[int, int], Box] = defaultdict(Box)
        self.notes = [0] * self.size
        self.channels: dict[int, Group] = {}
        # Until when collectives that were begun before occupy the links.
        self.busy_until = 0.0

    def check(self, activity: Activity, ranks: list[int] | None = None) -> None:
        """`LearnerLost` if any of some ``ranks`` in the whole job, or of this group's, is known to be lost."""
        self.family.check(activity)
        if self.family.known and not self.family.known.isdisjoint(self.ranks if ranks is None else ranks):
            raise LearnerLost("another learner is gone")
