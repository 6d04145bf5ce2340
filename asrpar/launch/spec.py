"""What a user asks for who starts learners, before it is a command line of some launcher."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class LaunchSpec:
    """What the user asks for.

    Attributes:
        learners: number of ranks; None for as many as the allocation is there for.
        launcher: ``auto``, or one of `asrpar.launch.launchers`.
        hosts: host names, each with ``:slots`` or none of them.
        hostfile: in the launcher's own format.
        threads: OpenMP threads of one learner; None keeps OMP_NUM_THREADS, or shares a host's cores among its learners.
        env: variables for every rank.
        launcher_args: handed to mpirun or srun as they are.
        survive: go on when a rank dies (Open MPI's fault tolerance).
        rejoin: start it anew, too.
        quorum: so many learners must be left for that, and no fewer; None without a wish. Implies ``survive``.
        oversubscribe: however many learners a core has.
        per_node: ranks for each node, where the launcher alone would deal them out otherwise.
        agent: the program that starts others on other hosts; None leaves it to the launcher.
    """

    learners: int | None
    launcher: str = "auto"
    hosts: tuple[str, ...] = ()
    hostfile: str | None = None
    threads: int | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    launcher_args: tuple[str, ...] = ()
    survive: bool = False
    rejoin: bool = False
    quorum: int | None = None
    oversubscribe: bool = False
    per_node: int | None = None
    agent: str | None = None

    def hosts_with_slots(self) -> list[str]:
        """``hosts``, each as ``name:slots``: equal ones where the user gave none."""
        if any(":" in host for host in self.hosts):
            return list(self.hosts)
        each = -(-self.learners // len(self.hosts))
        return [f"{host}:{each}" for host in self.hosts]
