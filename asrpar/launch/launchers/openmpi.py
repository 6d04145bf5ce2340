"""mpirun of Open MPI, versions 4 and 5."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

from asrpar.launch import allocation
from asrpar.launch.allocation import slots_of
from asrpar.launch.fate import Fate, RankOutput, exited, signalled
from asrpar.launch.program import Mpirun, version_text
from asrpar.launch.spec import LaunchSpec


@dataclass(frozen=True)
class Launcher(Mpirun):
    """Open MPI's mpirun."""

    says = re.compile(r"open.?mpi|openrte", re.IGNORECASE)
    label = re.compile(r"^\[[^\[\]\s,]*,(\d+)\]<std(?:out|err)>: ?")
    major: int = 5

    @classmethod
    def find(cls, vendor: str) -> "Launcher":
        path = super().find(vendor).path
        number = re.search(r"\b(\d+)\.\d+", version_text(path))
        return cls(path, int(number[1]) if number else 5)

    @classmethod
    def serves(cls, vendor: str) -> bool:
        return vendor == "Open MPI"

    def can_survive(self) -> bool:
        return self.major >= 5

    def command(self, spec: LaunchSpec, variables: Mapping[str, str]) -> tuple[list[str], dict[str, str]]:
        argv = [self.path, "-n", str(spec.learners), "--bind-to", "none"]
        argv += ["--output", "tag"] if self.major >= 5 else ["--tag-output"]
        argv += ["--with-ft", "mpi"] if spec.survive else []
        env = {}
        if os.geteuid() == 0:  # containers
            env = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
        if spec.rejoin:
            # Also of the ranks that others start, to which the options below do not apply.
            env |= {"PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe"}
            env |= {"PRTE_MCA_hwloc_default_binding_policy": "none"}
        if spec.agent:
            env["PRTE_MCA_plm_ssh_agent" if self.major >= 5 else "OMPI_MCA_plm_rsh_agent"] = spec.agent
        if spec.per_node:
            # More ranks than tasks are meant: so the scheduler's tasks must not be a limit.
            place = f"ppr:{spec.per_node}:node"
            argv += (
                ["--map-by", f"{place}:OVERSUBSCRIBE"] if self.major >= 5 else ["--map-by", place, "--oversubscribe"]
            )
        elif spec.hosts:
            argv += ["--host", ",".join(spec.hosts_with_slots())]
        elif spec.hostfile:
            argv += ["--hostfile", spec.hostfile]
        elif spec.learners > slots_of(allocation.scheduled()):
            argv += ["--map-by", ":OVERSUBSCRIBE"] if self.major >= 5 else ["--oversubscribe"]
        for name, value in variables.items():
            argv += ["-x", f"{name}={value}"]
        return argv, env

    def killed(self, said: list[str], ranks: Mapping[int, RankOutput]) -> Fate | None:
        found = re.search(r"process rank (\d+) with PID (\d+) on node \S+ exited on signal (\d+)", _words(said))
        if found is None:
            return None
        # Of one that came in another's place, this is its number among those that came with it.
        rank, pid, number = map(int, found.groups())
        return signalled(next((r for r, o in ranks.items() if pid in (o.pid, *o.earlier)), rank), number)

    def ended(self, said: list[str], code: int) -> Fate | None:
        found = re.search(r"Process name: \[\S+,(\d+)\] Exit code: (\d+)", _words(said))
        return exited(int(found[1]), int(found[2])) if found else None


def _words(said: list[str]) -> str:
    return " ".join(" ".join(said).split())
