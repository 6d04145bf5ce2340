"""mpiexec of PALS, HPE's launcher on Cray systems, in most places under PBS."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from asrpar.errors import LaunchError
from asrpar.launch.fate import Fate, exited, signalled
from asrpar.launch.program import Program, mpiruns, version_text
from asrpar.launch.spec import LaunchSpec


@dataclass(frozen=True)
class Launcher(Program):
    """PALS."""

    label = re.compile(r"^(?:\S+ )?(\d+): ")  # with the host's name or without

    @classmethod
    def find(cls, vendor: str) -> "Launcher":
        for path in mpiruns():
            if "pals" in Path(path).resolve().parts or re.search(r"\bpals\b", version_text(path), re.IGNORECASE):
                return cls(path)
        raise LaunchError("no mpiexec of PALS on PATH; load its module")

    @classmethod
    def serves(cls, vendor: str) -> bool:
        return vendor != "Open MPI"

    @classmethod
    def in_allocation(cls) -> bool:
        return "PBS_NODEFILE" in os.environ

    def command(self, spec: LaunchSpec, variables: Mapping[str, str]) -> tuple[list[str], dict[str, str]]:
        argv = [self.path, "-n", str(spec.learners), "--label", "--cpu-bind", "none"]
        argv += ["--ppn", str(spec.per_node)] if spec.per_node else []
        if spec.hosts:
            slots = {host.partition(":")[2] for host in spec.hosts_with_slots()}
            if len(slots) > 1:
                raise LaunchError("--hosts: mpiexec of PALS puts equally many ranks on each host")
            argv += ["--ppn", slots.pop(), "--hosts", ",".join(host.partition(":")[0] for host in spec.hosts)]
        elif spec.hostfile:
            argv += ["--hostfile", spec.hostfile]
        for name, value in variables.items():
            argv += ["--env", f"{name}={value}"]
        return argv, {}

    def ended(self, said: list[str], code: int) -> Fate | None:
        for line in said:
            if found := re.search(r"\brank (\d+) exited with code (\d+)", line):
                return exited(int(found[1]), int(found[2]))
            if found := re.search(r"\brank (\d+) died from signal (\d+)", line):
                return signalled(int(found[1]), int(found[2]))
        return None
