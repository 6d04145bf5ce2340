"""A command and all that it starts: kill a part of it, and see what is left of it."""

import os
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

MARK = "ASRPAR_TEST_MARK"
SHARED = "/dev/shm/"
MPIRUN = ("mpirun ", "prterun ", "mpiexec ")


class Process:
    """A process that is there, or was.

    Attributes:
        pid: its number.
        line: its command line.
        parent: who started it.
    """

    def __init__(self, pid: int, line: str, parent: int) -> None:
        self.pid, self.line, self.parent = pid, line, parent

    def __str__(self) -> str:
        return f"{self.pid} {self.line}"


# What a process is told by: its command line, and its parent's.
KINDS: dict[str, Callable[[str, str], bool]] = {
    # Not one that is only asked for its version.
    "mpirun": lambda line, above: "-m mpi4py " in line and any(word in line for word in MPIRUN),
    "guard": lambda line, above: "guard.py " in line,
    # Not what one of them has forked, which has its command line until it runs another.
    "rank": lambda line, above: "-m mpi4py " in line and any(word in above for word in MPIRUN),
    "launcher": lambda line, above: (
        " launch " in line and "asrpar" in line and not any(word in line for word in MPIRUN)
    ),
    "script": lambda line, above: "/run.sh " in line and "/run.sh " not in above,
    "local": lambda line, above: "/local.sh " in line and "/local.sh " not in above,
    "job": lambda line, above: "/run_job.sh " in line and "/run_job.sh " not in above,
    "command": lambda line, above: "/asrpar extract-features " in line and "/asrpar extract-features " not in above,
    "standby": lambda line, above: "standby --serve " in line and "standby --serve " not in above,
    "worker": lambda line, above: "spawn_main" in line or ("forkserver" in line and "forkserver" in above),
}


class Job:
    """A command and all that it has started, in a temporary folder of its own.

    Args:
        command: it.
        folder: for its output and temporary files.
        environment: more variables.
    """

    def __init__(self, command: Sequence[str], folder: Path, environment: dict[str, str] | None = None) -> None:
        self.mark = uuid.uuid4().hex
        self.temporary = folder / "tmp"
        self.temporary.mkdir(parents=True, exist_ok=True)
        self.output = folder / "output"
        self.shared: set[Path] = set()
        with self.output.open("a") as output:
            self.top = subprocess.Popen(
                list(map(str, command)),
                env={
                    **os.environ, MARK: self.mark, "TMPDIR": str(self.temporary), "OMP_NUM_THREADS": "1",
                    **(environment or {}),
                },
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )  # fmt: skip

    def processes(self) -> dict[int, Process]:
        """Those that inherited the mark in their environment; zombies not counted."""
        found = {}
        for entry in os.scandir("/proc"):
            if not entry.name.isdigit():
                continue
            folder = Path(entry.path)
            with suppress(OSError):
                if f"{MARK}={self.mark}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                    line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
                    parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                    found[int(entry.name)] = Process(int(entry.name), line, parent)
        return found

    def find_all(self, kind: str) -> list[int]:
        """The process numbers of a kind, of `KINDS` or ``top`` for the command itself."""
        if kind == "top":
            return [self.top.pid] if self.top.poll() is None else []
        there = self.processes()
        lines = {pid: process.line for pid, process in there.items()}
        return sorted(pid for pid, x in there.items() if KINDS[kind](x.line, lines.get(x.parent, "")))

    def find(self, kind: str) -> int:
        """The one with the highest number."""
        return max(self.find_all(kind))

    def remember(self) -> None:
        """Named shared memory that is in use now, or made for a job of now."""
        for pid in self.processes():
            with suppress(OSError):
                lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
                used = [line.split(maxsplit=5)[5] for line in lines if SHARED in line and "(deleted)" not in line]
                self.shared.update(map(Path, used))
        self.shared.update(Path(SHARED, path.name) for path in self.temporary.glob("asrpar-*"))

    def kill(self, *kinds: str, stopped: bool = False) -> None:
        """SIGKILL to one of each kind; with ``stopped`` a rank is stopped before, so that it cannot end itself."""
        self.remember()
        pids = [self.find(kind) for kind in kinds]
        if stopped:
            os.kill(self.find("rank"), signal.SIGSTOP)
        for pid in pids:
            os.kill(pid, signal.SIGKILL)

    def left(self) -> list[str]:
        """Processes, files and shared memory that are there."""
        self.top.poll()
        processes = [str(process) for process in self.processes().values()]
        # torch's cache is there after a training that ended well, too.
        files = [path for path in self.temporary.iterdir() if not path.name.startswith("torchinductor_")]
        return processes + [str(path) for path in (*files, *self.shared) if path.exists()]

    def wait(self, seconds: float = 10.0) -> tuple[float, list[str]]:
        """Seconds until nothing is left, and what is after so many; those processes are then ended."""
        start = time.monotonic()
        while (left := self.left()) and time.monotonic() - start < seconds:
            time.sleep(0.05)
        passed = time.monotonic() - start
        for pid in self.processes() if left else ():
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        return passed, left
