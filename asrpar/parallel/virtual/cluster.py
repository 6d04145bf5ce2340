"""The description of a cluster: how long a gradient takes, how long a message."""

from bisect import bisect_right
from dataclasses import asdict, dataclass, field
from random import Random
from typing import Any

from asrpar.config import check
from asrpar.errors import ConfigError
from asrpar.parallel.virtual.failures import Failures
from asrpar.rules import at_least, fraction, need, not_negative, one_of, positive

JITTERS = ("none", "uniform", "exponential", "lognormal")
ALGORITHMS = ("ring", "tree", "hierarchical")


@dataclass
class Jitter:
    """How much longer than the least a gradient takes, each time anew.

    Attributes:
        kind: ``none``; ``uniform`` up to ``share``; ``exponential`` with mean ``share``; ``lognormal`` with
            ``share`` as the standard deviation of the logarithm (median as without).
        share: of the time without jitter.
    """

    kind: str = "none"
    share: float = 0.0

    def validate(self) -> None:
        one_of(self, "kind", JITTERS)
        not_negative(self, "share")


@dataclass
class Straggler:
    """One learner that is always slow.

    Attributes:
        rank: of the learner.
        factor: its gradients take so many times as long.
    """

    rank: int = 0
    factor: float = 1.0

    def validate(self) -> None:
        not_negative(self, "rank")
        at_least(self, 1, "factor")


@dataclass
class Intermittent:
    """Every learner now and then.

    Attributes:
        probability: that a gradient takes longer.
        factor: so many times as long.
    """

    probability: float = 0.0
    factor: float = 1.0

    def validate(self) -> None:
        fraction(self, "probability")
        at_least(self, 1, "factor")


@dataclass
class Compute:
    """Time of a gradient with its local update.

    Either a measured table, or a rate and what each batch costs besides: a batch of b frames then runs at the fraction
    b / (b + overhead_seconds · frames_per_second) of the rate.

    Attributes:
        table: rows [frames of a batch, seconds]; linear between, below the first as the first, and beyond the last as
            from nothing to it.
        frames_per_second: of one learner with a batch that is large enough.
        overhead_seconds: of each batch, however small.
        jitter, stragglers, intermittent: what makes learners unequal.
    """

    table: list[list[float]] = field(default_factory=list)
    frames_per_second: float = 0.0
    overhead_seconds: float = 0.0
    jitter: Jitter = field(default_factory=Jitter)
    stragglers: list[Straggler] = field(default_factory=list)
    intermittent: Intermittent = field(default_factory=Intermittent)

    def validate(self) -> None:
        if bool(self.table) == bool(self.frames_per_second):
            raise ConfigError("table or frames_per_second is needed, one of them")
        pairs = all(len(row) == 2 and row[0] > 0 and row[1] > 0 for row in self.table)
        need(self, "table", pairs, "must have rows [frames, seconds], both above 0")
        rising = sorted(self.table) == self.table and len({row[0] for row in self.table}) == len(self.table)
        need(self, "table", rising, "must be sorted by frames, each number once")
        not_negative(self, "frames_per_second", "overhead_seconds")
        for i, straggler in enumerate(self.stragglers):
            check(straggler, f"stragglers.{i}.")


@dataclass
class Link:
    """A kind of link.

    Attributes:
        latency: seconds from the first bit sent to the first received, software included.
        bandwidth: bytes per second in each direction, as programs get them: some 5 to 20 % less than on the label.
        shared: one for all devices of a node, such as a network card or host memory; else each device has its own.
    """

    latency: float = 1e-5
    bandwidth: float = 1e10
    shared: bool = False

    def validate(self) -> None:
        not_negative(self, "latency")
        need(self, "bandwidth", self.bandwidth > 0, "must be greater than 0")


@dataclass
class Links:
    """Links between devices of one node, and between nodes."""

    inside: Link = field(default_factory=Link)
    between: Link = field(default_factory=lambda: Link(shared=True))


@dataclass
class Cluster:
    """A cluster.

    Attributes:
        name: for reports.
        source: where the figures come from.
        nodes, devices_per_node: learners are dealt to nodes in blocks, as mpirun does by slot.
        compute, links: see there.
        collective: how vectors are added up over all learners: ``ring``, ``tree`` (two trees in a pipeline), or
            ``hierarchical`` (ring inside each node, rings of nodes for each device's share); see `Network`.
        collective_efficiency: fraction of the links' bandwidth that collectives get; above 1 where they do better than
            messages, as in shared memory.
        mixing_bandwidth: bytes per second at which an activity works what it received into the learner's vectors;
            0 for no limit.
        server_bandwidth: the same for a parameter server; 0 for no limit.
        failures: learners that die, and come back.
    """

    name: str = "cluster"
    source: str = ""
    nodes: int = 1
    devices_per_node: int = 1
    compute: Compute = field(default_factory=Compute)
    links: Links = field(default_factory=Links)
    collective: str = "ring"
    collective_efficiency: float = 1.0
    mixing_bandwidth: float = 0.0
    server_bandwidth: float = 0.0
    failures: Failures = field(default_factory=Failures)

    def validate(self) -> None:
        at_least(self, 1, "nodes", "devices_per_node")
        one_of(self, "collective", ALGORITHMS)
        positive(self, "collective_efficiency")
        not_negative(self, "mixing_bandwidth", "server_bandwidth")

    def values(self) -> dict[str, Any]:
        """All of them, as plain values; without failures those of a version that knew none, so digests stay."""
        found = asdict(self)
        if not self.failures:
            del found["failures"]
        return found

    def check_size(self, size: int) -> None:
        """Raise `ConfigError` unless ``size`` learners fit, and those of whom something is said are among them."""
        if size > self.nodes * self.devices_per_node:
            raise ConfigError(
                f"cluster '{self.name}' has {self.nodes} nodes of {self.devices_per_node} devices, too few for {size} "
                "learners: set nodes or devices_per_node"
            )
        for straggler in self.compute.stragglers:
            if straggler.rank >= size:
                raise ConfigError(f"cluster: straggler {straggler.rank} is no rank of {size} learners")
        self.failures.check_size(size)


class ComputeTime:
    """How long the gradients of one learner take.

    Args:
        compute: checked settings.
        rank: the learner.
        seed: of what is random; each learner has a stream of its own.
    """

    def __init__(self, compute: Compute, rank: int, seed: int) -> None:
        self.compute = compute
        self.factor = 1.0
        for straggler in compute.stragglers:
            if straggler.rank == rank:
                self.factor *= straggler.factor
        self.random = Random(f"compute {seed} {rank}")
        self.edges = [row[0] for row in compute.table]

    def least(self, frames: float) -> float:
        """Seconds for a batch of ``frames``, where nothing is random and nobody is slow."""
        c = self.compute
        if not c.table:
            return c.overhead_seconds + frames / c.frames_per_second
        # Below the first row the time stays: what a batch costs besides cannot be told from there on.
        at = bisect_right(self.edges, frames)
        if at == 0:
            return c.table[0][1]
        if at == len(c.table):
            return c.table[-1][1] * frames / c.table[-1][0]
        (x0, y0), (x1, y1) = c.table[at - 1], c.table[at]
        return y0 + (y1 - y0) * (frames - x0) / (x1 - x0)

    def seconds(self, frames: float) -> float:
        """Seconds for the learner's next batch."""
        found = self.least(frames) * self.factor
        jitter, sometimes = self.compute.jitter, self.compute.intermittent
        if jitter.kind == "uniform":
            found *= 1.0 + jitter.share * self.random.random()
        elif jitter.kind == "exponential":
            found *= 1.0 + self.random.expovariate(1.0) * jitter.share
        elif jitter.kind == "lognormal":
            found *= self.random.lognormvariate(0.0, jitter.share)
        if sometimes.probability and self.random.random() < sometimes.probability:
            found *= sometimes.factor
        return found
