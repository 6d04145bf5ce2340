"""mpiexec of MPICH (hydra), and of what descends from it, such as Intel MPI."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from asrpar.launch.fate import Fate, RankOutput, exited, signalled
from asrpar.launch.program import Mpirun
from asrpar.launch.spec import LaunchSpec


@dataclass(frozen=True)
class Launcher(Mpirun):
    """hydra."""

    says = re.compile(r"hydra|mpich|intel\(r\) mpi", re.IGNORECASE)
    label = re.compile(r"\[(\d+)\] ")
    frames_aborts = False

    @classmethod
    def serves(cls, vendor: str) -> bool:
        return vendor != "Open MPI"

    def command(self, spec: LaunchSpec, variables: Mapping[str, str]) -> tuple[list[str], dict[str, str]]:
        argv = [self.path, "-n", str(spec.learners), "-bind-to", "none", "-prepend-rank"]
        argv += ["-ppn", str(spec.per_node)] if spec.per_node else []
        if spec.hosts:
            argv += ["-hosts", ",".join(spec.hosts_with_slots())]
        elif spec.hostfile:
            argv += ["-f", spec.hostfile]
        for name, value in variables.items():
            argv += ["-genv", name, value]
        return argv, {"HYDRA_LAUNCHER": "ssh", "HYDRA_LAUNCHER_EXEC": spec.agent} if spec.agent else {}

    def take_apart(self, line: str) -> tuple[int | None, str]:
        # hydra labels every piece it reads, also in the middle of a line.
        found = self.label.match(line)
        return (int(found[1]), self.label.sub("", line)) if found else (None, line)

    def killed(self, said: list[str], ranks: Mapping[int, RankOutput]) -> Fate | None:
        words = " ".join(" ".join(said).split())
        found = re.search(r"PID (\d+) RUNNING AT \S+ = EXIT CODE: (\d+)", words)
        if not found:
            return None
        rank = next((number for number, output in ranks.items() if output.pid == int(found[1])), None)
        signal = re.search(r"\(signal (\d+)\)", words)
        return signalled(rank, int(signal[1])) if signal else exited(rank, int(found[2]))
