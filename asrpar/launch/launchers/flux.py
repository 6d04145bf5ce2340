"""``flux run``, Flux's own launcher, inside an instance of Flux."""

import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass

from asrpar.errors import LaunchError
from asrpar.launch.fate import Fate, exited, signalled
from asrpar.launch.program import Program
from asrpar.launch.spec import LaunchSpec


@dataclass(frozen=True)
class Launcher(Program):
    """flux run; `pmi` is what the shell of its tasks is to speak."""

    label = re.compile(r"^(\d+): ")
    pmi: str | None = None

    @classmethod
    def find(cls, vendor: str) -> "Launcher":
        flux = shutil.which("flux")
        if not flux:
            raise LaunchError("no flux on PATH")
        # Flux speaks the PMI of MPICH by itself; Open MPI 5 knows PMIx alone, which a plugin of Flux adds.
        return cls(flux, "pmix" if vendor == "Open MPI" else None)

    @classmethod
    def serves(cls, vendor: str) -> bool:
        return True

    @classmethod
    def in_allocation(cls) -> bool:
        return "FLUX_URI" in os.environ

    def command(self, spec: LaunchSpec, variables: Mapping[str, str]) -> tuple[list[str], dict[str, str]]:
        argv = [self.path, "run", "--label-io", "-o", "cpu-affinity=off"]
        argv += ["-o", f"pmi={self.pmi}"] if self.pmi else []
        if spec.hostfile:
            raise LaunchError("--hostfile: flux run takes none; name the hosts with --hosts")
        if spec.hosts:
            argv.append("--requires=host:" + ",".join(host.partition(":")[0] for host in spec.hosts))
        if spec.per_node:
            # Flux then counts nodes, which it gives as a whole.
            argv += [f"--nodes={spec.learners // spec.per_node}", f"--tasks-per-node={spec.per_node}"]
        else:
            argv.append(f"--ntasks={spec.learners}")
        for name, value in variables.items():
            argv.append(f"--env={name}={value}")
        return argv, {}

    def ended(self, said: list[str], code: int) -> Fate | None:
        for line in said:
            if found := re.search(r"task(?:\(s\)|s)? (\d+)[\d,-]*: (?:exited with exit code|Exit) (\d+)", line):
                return exited(int(found[1]), int(found[2]))
            if found := re.search(r"flux-shell\[\d+\]:.* task (\d+)\b.*signal (\d+)", line):
                return signalled(int(found[1]), int(found[2]))
        return None
