"""srun, Slurm's own launcher, where Slurm speaks the PMI of the MPI library."""

import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from asrpar.errors import LaunchError
from asrpar.launch import allocation
from asrpar.launch.allocation import in_slurm, slots_of
from asrpar.launch.fate import Fate, exited
from asrpar.launch.program import Program
from asrpar.launch.spec import LaunchSpec


@dataclass(frozen=True)
class Launcher(Program):
    """srun; `pmi` is the plugin of Slurm that it is to use."""

    label = re.compile(r"^ *(\d+): ")
    pmi: str | None = None

    @classmethod
    def find(cls, vendor: str) -> "Launcher":
        srun = shutil.which("srun")
        if not srun:
            raise LaunchError("no srun on PATH")
        pmi = _pmi(("pmix",) if vendor == "Open MPI" else ("pmix", "pmi2"))
        if not pmi:
            raise LaunchError(f"no PMI plugin of this Slurm works with {vendor}; use mpirun")
        return cls(srun, pmi)

    @classmethod
    def serves(cls, vendor: str) -> bool:
        return True

    @classmethod
    def in_allocation(cls) -> bool:
        return in_slurm()

    def command(self, spec: LaunchSpec, variables: Mapping[str, str]) -> tuple[list[str], dict[str, str]]:
        argv = [self.path, "--ntasks", str(spec.learners), "--label", "--cpu-bind=none", "--kill-on-bad-exit=1"]
        argv += ["--input=none"]
        if self.pmi:
            argv.append(f"--mpi={self.pmi}")
        argv += [f"--ntasks-per-node={spec.per_node}"] if spec.per_node else []
        slots = slots_of(allocation.scheduled()) if in_slurm() else 0
        if spec.threads and spec.learners * spec.threads <= slots:
            argv.append(f"--cpus-per-task={spec.threads}")
        if spec.hosts:
            argv.append("--nodelist=" + ",".join(host.partition(":")[0] for host in spec.hosts))
        elif spec.hostfile:
            argv.append(f"--nodelist={Path(spec.hostfile).resolve()}")  # a value with a slash is a file for srun
        elif in_slurm() and spec.learners > slots:
            argv.append("--overcommit")
        return argv, dict(variables)  # srun hands its environment on; --export would split values at commas

    def take_apart(self, line: str) -> tuple[int | None, str]:
        rank, text = super().take_apart(line)
        return (None if text.startswith("slurmstepd") else rank), text

    def ended(self, said: list[str], code: int) -> Fate | None:
        # In the order of the lines: a rank that is killed after the step was cancelled is not the cause.
        cancelled = False
        for line in said:
            cancelled |= "Job step aborted" in line or "CANCELLED" in line
            if not (found := re.match(r"srun: error: \S+ tasks? (\d+)[\d,-]*: (.*)", line)):
                continue
            rank, fate = int(found[1]), found[2]
            if exit_code := re.match(r"Exited with exit code (\d+)", fate):
                return exited(rank, int(exit_code[1]))
            if not cancelled:
                return Fate(rank, fate.lower(), code or 1)
        return None


def _pmi(candidates: tuple[str, ...]) -> str | None:
    """The first of them that this Slurm has and can load (a listed one need not be)."""
    try:
        done = subprocess.run(["srun", "--mpi=list"], capture_output=True, text=True, timeout=30)
        for pmi in candidates:
            if pmi in (done.stdout + done.stderr).split():
                trial = ["srun", f"--mpi={pmi}", "--ntasks=1", "true"] if in_slurm() else ["true"]
                if subprocess.run(trial, capture_output=True, stdin=subprocess.DEVNULL, timeout=60).returncode == 0:
                    return pmi
    except (OSError, subprocess.TimeoutExpired):
        pass
    return None
