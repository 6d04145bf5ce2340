"""Kill a part of a job, and see what is left of it.

As a program it does so with a small real training, so many times for each part, and counts:
    python tests/support/kills.py 20
"""

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Sequence
from pathlib import Path

MARK = "ASRPAR_TEST_MARK"
PARTS = ("launcher", "mpirun", "rank")


def started_with(mark: str) -> dict[int, str]:
    """The processes that inherited a mark in their environment, with their command lines; zombies not counted."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if f"{MARK}={mark}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                found[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
    return found


def shared_files(pid: int) -> set[Path]:
    """Named shared memory that a process has in use."""
    try:
        lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
    except OSError:
        return set()
    return {Path(line.split(maxsplit=5)[5]) for line in lines if "/dev/shm/" in line and "(deleted)" not in line}


def parent(pid: int) -> int:
    """The process that has started another."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


class Job:
    """A launcher and all that it has started, in a temporary folder of its own."""

    def __init__(self, command: Sequence[str], folder: Path) -> None:
        self.mark = uuid.uuid4().hex
        self.temporary = folder / "tmp"
        self.temporary.mkdir(parents=True)
        self.output = folder / "output"
        with self.output.open("w") as output:
            self.launcher = subprocess.Popen(
                list(command),
                env={**os.environ, MARK: self.mark, "TMPDIR": str(self.temporary), "OMP_NUM_THREADS": "1"},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def find(self, part: str) -> int:
        """The process number of ``launcher``, ``mpirun``, ``guard`` or ``rank``, the one with the highest number."""
        if part == "launcher":
            return self.launcher.pid
        word = {"mpirun": ("mpirun ", "prterun ", "mpiexec "), "guard": ("guard.py ",), "rank": ("-m mpi4py ",)}[part]
        of_mpirun = part == "mpirun"
        fitting = [
            pid
            for pid, line in started_with(self.mark).items()
            if any(w in line for w in word) and of_mpirun == any(w in line for w in ("mpirun ", "prterun ", "mpiexec "))
        ]
        if part == "rank":  # and not what one of them has forked, which has its command line until it runs another
            fitting = [pid for pid in fitting if parent(pid) == self.find("mpirun")]
        return max(fitting)

    def kill(self, *parts: str, stopped: bool = False) -> None:
        """SIGKILL to these; a rank is stopped before, so that it cannot end itself."""
        self.shared = set().union(*map(shared_files, started_with(self.mark)))
        pids = [self.find(part) for part in parts]
        if stopped:
            os.kill(self.find("rank"), signal.SIGSTOP)
        for pid in pids:
            os.kill(pid, signal.SIGKILL)

    def left(self) -> list[str]:
        """Processes, files and shared memory that are there."""
        self.launcher.poll()
        processes = [f"{pid} {line}" for pid, line in started_with(self.mark).items()]
        # torch's cache is there after a training that ended well, too.
        files = [path for path in self.temporary.iterdir() if not path.name.startswith("torchinductor_")]
        return processes + [str(path) for path in (*files, *self.shared) if path.exists()]

    def wait(self, seconds: float = 10.0) -> tuple[float, list[str]]:
        """Seconds until nothing is left, and what is after so many."""
        start = time.monotonic()
        while (left := self.left()) and time.monotonic() - start < seconds:
            time.sleep(0.05)
        passed = time.monotonic() - start
        for process in left:
            if process[0].isdigit():
                os.kill(int(process.split()[0]), signal.SIGKILL)
        return passed, left


def in_training(part: str, i: int, data: Path, folder: Path) -> tuple[float, list[str]]:
    """Kill a part of the ``i``-th small training, at a moment and in a state of its own; what `Job.wait` returns."""
    from minidata import train_options

    from asrpar.files.lock import busy, try_lock

    exp = folder / "exp"
    options = train_options(data, exp, epochs=100000, strategy=("ssgd", "bmuf", "adpsgd")[i % 3])
    command = [sys.executable, "-m", "asrpar", "launch", "--learners", 2, "--", "train", *options]
    job = Job([str(word) for word in command], folder)
    while not (exp / "log" / "train.1.log").exists():
        if job.launcher.poll() is not None:
            sys.exit(job.output.read_text())
        time.sleep(0.05)
    time.sleep(0.37 * (i % 7))
    job.kill(part, stopped=i % 5 == 4)
    seconds, left = job.wait()
    lock = try_lock(exp)
    if lock is None:
        return seconds, [*left, busy(exp)]
    lock.close()
    return seconds, left


def main() -> None:
    """Kills in a real training, of each part so many."""
    import tempfile

    from minidata import prepare

    times, failures = int(sys.argv[1]), 0
    with tempfile.TemporaryDirectory(prefix="kills-") as name:
        data = prepare(Path(name, "mini"), 8, 2, 2)
        for part in PARTS:
            found = [in_training(part, i, data, Path(name, f"{part}{i}")) for i in range(times)]
            bad = [left for _, left in found if left]
            print(
                f"{part}: {times} kills, {len(bad)} with something left; longest {max(found)[0]:.1f} s",
                *bad,
                flush=True,
            )
            failures += len(bad)
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
