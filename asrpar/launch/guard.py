"""Nothing of a job outlives it: what is left when its launcher ends, however that ends, is ended and removed.

`asrpar launch` starts this file as a process of its own, in a session of its own, at the other end of a pipe: where the
pipe ends, the launcher has ended. No signal to the launcher can prevent that, and none to its process group or to its
terminal reaches the guard.

What belongs to a job has the job's folder in its environment, which children inherit: mpirun, ranks, and what they
start. So no process is ended by its name, and none by a number that may be another's by now. Other hosts are out of
reach: there mpirun's daemons end the ranks, and each rank ends itself when its daemon has gone (`leave_with_parent`).

Nothing but the standard library is imported, so that it starts in no time and needs little memory.
"""

import fcntl
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

JOB = "ASRPAR_JOB"
# Set for commands that are to end with the process of this number, which has started them.
CHILD_OF = "ASRPAR_CHILD_OF"
PREFIX = "asrpar-"
# Shared memory with names lies here. Open MPI leaves its own behind when a rank is killed.
SHARED = Path("/dev/shm")
OWNER = "owner"
# In the folder of shared memory: the job's folder, which may have been in a temporary folder that is there no more.
OF_JOB = "job"
# Seconds for mpirun to end its ranks, here and elsewhere; for a process that is being started to be seen; for the
# kernel to end what was killed.
POLITE, UNSEEN, KILLING = 3.0, 1.0, 5.0


def identity(pid: int) -> str:
    """A process that cannot be mistaken for a later one: host, process namespace, number, start time."""
    return " ".join([platform.node() or "?", os.readlink("/proc/self/ns/pid"), str(pid), _stat(pid)[19]])


def gone(process: str) -> bool:
    """Whether the process of this `identity` is known to have ended; of another host or container nothing is known."""
    try:
        host, namespace, pid, start = process.split()
        if (host, namespace) != (platform.node() or "?", os.readlink("/proc/self/ns/pid")):
            return False
        return _stat(int(pid))[19] != start or _stat(int(pid))[0] == "Z"
    except FileNotFoundError:
        return Path("/proc/self/stat").exists()
    except (OSError, ValueError, IndexError):
        return False


def _stat(pid: int) -> list[str]:
    """What ``/proc/PID/stat`` says from the state on; 1 is the parent, 19 the start time."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def members(job: str) -> list[int]:
    """The processes of a job on this host, zombies not counted."""
    return [int(entry.name) for entry in os.scandir("/proc") if entry.name.isdigit() and belongs(entry.name, job)]


def belongs(pid: int | str, job: str) -> bool:
    """Whether there is such a process here, and it is one of the job."""
    try:
        return os.fsencode(f"{JOB}={job}") in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:  # ended, or another user's
        return False


def _send(job: str, pid: int, number: int) -> None:
    """A signal to a process of the job, looked at once more when no other can take its number."""
    with suppress(OSError):
        handle = os.pidfd_open(pid)
        try:
            if belongs(pid, job):
                signal.pidfd_send_signal(handle, number)
        finally:
            os.close(handle)


def clean(job: str, leader: int | None = None, *, sudden: bool = False) -> None:
    """End the processes of a job and remove its files.

    Args:
        job: its folder.
        leader: mpirun, which is asked first, for it knows the ranks on other hosts.
        sudden: one of them may be about to start.
    """
    if leader is not None and belongs(leader, job):
        _send(job, leader, signal.SIGTERM)
        end = time.monotonic() + POLITE
        while members(job) and time.monotonic() < end:
            time.sleep(0.05)
    since = seen = time.monotonic()
    while time.monotonic() - since < KILLING:
        left = members(job)
        for pid in left:
            _send(job, pid, signal.SIGKILL)
        if left:
            seen = time.monotonic()
        elif not sudden or time.monotonic() - seen > UNSEEN:
            break
        time.sleep(0.05)
    shutil.rmtree(SHARED / Path(job).name, ignore_errors=True)
    shutil.rmtree(job, ignore_errors=True)


def clean_after_the_dead() -> None:
    """End and remove what is left of jobs whose launcher and guard were killed together, as by a lack of power."""
    for place in (Path(tempfile.gettempdir()), SHARED):
        for owner in place.glob(f"{PREFIX}*/{OWNER}"):
            with suppress(OSError):
                folder = owner.parent
                if folder.lstat().st_uid == os.geteuid() and is_orphan(str(folder)):
                    job = os.fsdecode((folder / OF_JOB).read_bytes()) if place == SHARED else str(folder)
                    # Of a damaged file nothing else is to be removed.
                    clean(job if Path(job).name == folder.name and "\0" not in job else str(folder))


def is_orphan(job: str) -> bool:
    """Whether the launcher of a job and its guard are known to have ended without cleaning up; not so of no job."""
    if not job:
        return False
    try:
        owners = Path(job, OWNER).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    return bool(owners) and all(map(gone, owners))


def _start(job: str, stdin: int) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-I", "-S", __file__, job], stdin=stdin, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        cwd="/", env={k: v for k, v in os.environ.items() if k != JOB}, start_new_session=True,
    )  # fmt: skip


class Guard:
    """A job's folders, and the process that guards the job; a context, at whose end nothing is left of the job."""

    def __enter__(self) -> "Guard":
        clean_after_the_dead()
        self.leader: int | None = None
        self.folder = tempfile.mkdtemp(prefix=PREFIX)
        # systemd-tmpfiles leaves alone what is locked, however old it is.
        self.held = os.open(self.folder, os.O_RDONLY)
        with suppress(OSError):
            fcntl.flock(self.held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self.shared: Path | None = SHARED / Path(self.folder).name
        try:
            self.shared.mkdir(mode=0o700)
        except OSError:
            self.shared = None
        try:
            self._begin()
        except OSError:
            clean(self.folder)
            raise
        return self

    def _begin(self) -> None:
        self.process = _start(self.folder, stdin=subprocess.PIPE)
        with suppress(OSError):  # without it only the dead of this kind are not found
            owners = "\n".join([identity(os.getpid()), identity(self.process.pid)])
            for folder in filter(None, (Path(self.folder), self.shared)):
                (folder / OF_JOB).write_bytes(os.fsencode(self.folder))
                new = folder / f"{OWNER}.tmp"
                new.write_text(owners, encoding="utf-8")
                new.replace(new.with_name(OWNER))

    def watch(self, leader: int) -> None:
        """``leader`` is the program that starts the ranks."""
        self.leader = leader
        with suppress(OSError):
            self.process.stdin.write(f"{leader}\n".encode())
            self.process.stdin.flush()

    def keep(self) -> None:
        """A guard that was killed is replaced."""
        if self.process.poll() is not None:
            with suppress(OSError):
                self.process.stdin.close()
            self._begin()
            self.watch(self.leader or 0)

    def end(self) -> None:
        """End what is left of the job, and remove its files."""
        with suppress(OSError):
            self.process.stdin.close()
        try:
            code = self.process.wait(POLITE + UNSEEN + 2 * KILLING)
        except subprocess.TimeoutExpired:  # somebody has stopped it
            self.process.kill()
            code = self.process.wait()
        if code:
            clean(self.folder)

    def __exit__(self, *_: object) -> None:
        self.end()
        os.close(self.held)


def leave_with_parent(pause: float = 0.5) -> None:
    """Let this process end when the one that started it has gone: mpirun, or its daemon on this host.

    So it does where the launcher and its guard have gone, on this host, and lets another guard do what is left.
    """
    parent, job = os.getppid(), os.environ.get(JOB, "")

    def watch() -> None:
        while os.getppid() == parent and not is_orphan(job):
            time.sleep(pause)
        if is_orphan(job):
            with suppress(OSError):
                _start(job, stdin=subprocess.DEVNULL)
        os._exit(1)

    threading.Thread(target=watch, name="parent", daemon=True).start()


def main() -> None:
    """Wait for the launcher's end."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    launcher = os.getppid()
    leader = None
    for line in sys.stdin:
        leader = int(line)
    clean(sys.argv[1], leader, sudden=os.getppid() != launcher)


if __name__ == "__main__":
    main()
