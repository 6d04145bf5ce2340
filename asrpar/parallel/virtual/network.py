"""How long messages and collectives take on a cluster: latency and bytes over bandwidth, with ports that are busy."""

from bisect import bisect_right, insort
from collections import defaultdict
from collections.abc import Sequence
from math import ceil, log2

from asrpar.parallel.virtual.cluster import Cluster


class Port:
    """One direction of one end of a link: when it is busy. A message fits wherever there is time for it."""

    def __init__(self) -> None:
        # [begin, end] in order, none of them over.
        self.busy: list[list[float]] = []

    def first(self, earliest: float, seconds: float) -> float:
        """The earliest moment from ``earliest`` on with so much free time."""
        busy = self.busy
        if not busy or earliest >= busy[-1][1]:
            return earliest
        at = bisect_right(busy, earliest, key=_end)
        while at < len(busy) and earliest + seconds > busy[at][0]:
            earliest, at = busy[at][1], at + 1
        return earliest

    def take(self, now: float, begin: float, end: float) -> None:
        """Take it for that time, and forget what was over before ``now``."""
        busy = self.busy
        if busy and busy[0][1] <= now:
            del busy[: bisect_right(busy, now, key=_end)]
        if busy and busy[-1][1] == begin:
            busy[-1][1] = end
        else:
            insort(busy, [begin, end])


def _end(interval: list[float]) -> float:
    return interval[1]


class Network:
    """The links of a cluster, and when each is busy.

    A message takes its sender's port out and its receiver's port in for as long as its bytes need on the link, and
    arrives a latency later. It begins at the first moment at which both are free for that long; of two that were sent
    at different times the earlier one chooses first. So messages that share a port follow each other, at full rate
    each, and together take as long as if they went side by side. Both directions of a port are independent; learners
    of one node share its ports where the link is ``shared``. The switch between nodes never blocks.

    A collective is not spread over ports message by message: it takes what its algorithm takes on links that are
    otherwise free. The cost of one step is latency + bytes / bandwidth (Hockney's model), as in Thakur, Rabenseifner
    and Gropp 2005, "Optimization of collective communication operations in MPICH".

    Args:
        cluster: the description.
    """

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.per_node = cluster.devices_per_node
        self.inside, self.between = cluster.links.inside, cluster.links.between
        # By: inside a node or not, out or in, whose.
        self.ports: dict[tuple[bool, bool, int], Port] = defaultdict(Port)

    def node(self, rank: int) -> int:
        """The node of a learner."""
        return rank // self.per_node

    def transfer(self, now: float, source: int, dest: int, nbytes: float) -> tuple[float, float]:
        """Send a message: when its sender is free of it, and when it arrives. Messages to oneself take no time."""
        if source == dest:
            return now, now
        here, there = source // self.per_node, dest // self.per_node
        inside = here == there
        link = self.inside if inside else self.between
        if not link.shared:
            here, there = source, dest
        out, into = self.ports[inside, True, here], self.ports[inside, False, there]
        seconds = nbytes / link.bandwidth
        begin = now
        while True:
            begin = out.first(begin, seconds)
            found = into.first(begin, seconds)
            if found == begin:
                break
            begin = found
        end = begin + seconds
        out.take(now, begin, end)
        into.take(now, begin, end)
        return end, end + link.latency

    def allreduce(self, ranks: Sequence[int], nbytes: float) -> float:
        """Seconds to add up ``nbytes`` over ``ranks``, once all have come; n learners, k of them on the fullest node.

        ring: 2 (n − 1) steps with 1/n of the bytes (reduce-scatter, allgather; Patarasuk and Yuan 2009, "Bandwidth
        optimal all-reduce algorithms"). The slowest link sets the rate. Latencies add up along the ring, which is laid
        out by node and so crosses 2 (nodes − 1) times from one to the next, as NCCL's own model has it
        (src/graph/tuning.cc). Where devices have links of their own between nodes, k rings share the bytes, each
        through another device's link.

        tree: two binary trees over the nodes, each for half of the bytes and in a pipeline (Sanders, Speck and Träff
        2009, "Two-tree algorithms for full bandwidth broadcast, reduction and scan"; NCCL 2.4), chains inside nodes:
        the latency of the way up and down, and twice the bytes.

        hierarchical: reduce-scatter inside each node, rings over nodes, one for each device's share, and allgather
        inside (Mikami et al. 2018, arXiv 1811.05233).
        """
        n = len(ranks)
        if n == 1:
            return 0.0
        nodes, most = self._layout(ranks)
        nbytes /= self.cluster.collective_efficiency
        if self.cluster.collective == "tree":
            latency = 2 * ((most - 1) * self.inside.latency + ceil(log2(nodes)) * self.between.latency)
            return latency + 2 * nbytes / self._rate(nodes, most)
        if self.cluster.collective == "hierarchical":
            inside = self._ring(most, nbytes, self.inside.latency, self._inside(most))
            return inside + self._ring(nodes, nbytes / most, self.between.latency, self._alone(most))
        steps, crossings = 2 * (n - 1), 2 * (nodes - 1)
        latency = (steps - crossings) * self.inside.latency + crossings * self.between.latency
        return latency + steps * nbytes / n / self._rate(nodes, most)

    def broadcast(self, ranks: Sequence[int], nbytes: float) -> float:
        """Seconds to hand ``nbytes`` of one to all: scatter and allgather, or one way of the trees; half a sum."""
        return self.allreduce(ranks, nbytes) / 2

    def allgather(self, ranks: Sequence[int], nbytes: float) -> float:
        """Seconds to hand to all what all have, ``nbytes`` in sum: the second half of an allreduce."""
        return self.allreduce(ranks, nbytes) / 2

    def alltoall(self, ranks: Sequence[int], nbytes: float) -> float:
        """Seconds to hand each its row of ``nbytes`` that each has, pair by pair (Thakur et al.): n − 1 messages."""
        n = len(ranks)
        if n == 1:
            return 0.0
        _, most = self._layout(ranks)
        nbytes /= self.cluster.collective_efficiency
        inside = (most - 1) * (self.inside.latency + nbytes / n / self._inside(most))
        return inside + (n - most) * (self.between.latency + nbytes / n / self._alone(most))

    def barrier(self, ranks: Sequence[int]) -> float:
        """Seconds from the last one's arrival: a message of nothing up and down a binary tree."""
        if len(ranks) == 1:
            return 0.0
        nodes, most = self._layout(ranks)
        return 2 * (ceil(log2(most)) * self.inside.latency + ceil(log2(nodes)) * self.between.latency)

    @staticmethod
    def _ring(members: int, nbytes: float, latency: float, rate: float) -> float:
        return 2 * (members - 1) * (latency + nbytes / members / rate)

    def _layout(self, ranks: Sequence[int]) -> tuple[int, int]:
        """Number of nodes, and of learners on the fullest."""
        found: dict[int, int] = {}
        for rank in ranks:
            node = rank // self.per_node
            found[node] = found.get(node, 0) + 1
        return len(found), max(found.values())

    def _inside(self, members: int) -> float:
        """Bytes per second of each of ``members`` of one node that all send at once."""
        return self.inside.bandwidth / (members if self.inside.shared else 1)

    def _alone(self, members: int) -> float:
        """Bytes per second of each of ``members`` of one node that all send to other nodes at once."""
        return self.between.bandwidth / (members if self.between.shared else 1)

    def _rate(self, nodes: int, most: int) -> float:
        """Bytes per second through the narrowest place of rings, or trees, that visit node after node."""
        inside = self._inside(most) if most > 1 else float("inf")
        if nodes == 1:
            return inside
        return min(inside, self.between.bandwidth * (1 if self.between.shared else most))
