"""What a rank knows of the launcher that started it, and what it tells `asrpar launch`."""

import atexit
import importlib
import io
import os
import signal
import sys
from typing import NoReturn, TextIO

from asrpar.errors import LaunchError
from asrpar.info import mpi_library
from asrpar.launch import torchrun

WORLD_SIZE = "ASRPAR_WORLD_SIZE"
TERMINAL = "ASRPAR_TTY"
SURVIVE = "ASRPAR_SURVIVE"
# Lost ranks come back: names of the variables, with commas, that those have as well which are started anew.
REJOIN = "ASRPAR_REJOIN"
# Of a rank that comes in a lost one's place: the number of that.
SEAT = "ASRPAR_SEAT"
QUORUM = "ASRPAR_QUORUM"
# Open MPI, MPICH and Intel MPI, PALS, Cray MPICH, Flux. srun's variable last: inside a batch job mpirun's ranks inherit
# the batch script's.
LOCAL_RANKS = (
    *("OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID", "PALS_LOCAL_RANKID", "PMI_LOCAL_RANK"),
    *("FLUX_TASK_LOCAL_ID", "SLURM_LOCALID"),
)
# What a rank tells `asrpar launch` on its stderr: begin PID, back, stopped WHY, done. It starts with a character that
# no log contains.
RECORD = "\x1easrpar-rank "


def check_world(comm_size: int) -> None:
    """Refuse a world of another size than `asrpar launch` asked for; does nothing for ranks started otherwise.

    To be called once on every rank with COMM_WORLD's size. A launcher of another MPI than the library's gives N worlds
    of one rank each, without an error: N learners would each train alone and overwrite each other's files.

    Raises:
        LaunchError: the sizes differ.
    """
    wanted = os.environ.get(WORLD_SIZE)
    if wanted is None:
        if (place := torchrun.place()) is not None and place.size != comm_size:
            raise LaunchError(
                f"torchrun has started {place.size} processes, but MPI sees a world of {comm_size}: let torchrun start "
                "the launcher, as `torchrun ... -m asrpar launch -- train ...`"
            )
        return
    if wanted != str(comm_size):
        raise LaunchError(
            f"{wanted} learners were asked for, but this rank sees a world of {comm_size}: mpirun does not belong to "
            f"the MPI library of mpi4py ({mpi_library()[1]}); `asrpar info` shows it, --launcher chooses another"
        )
    begin()


def begin() -> None:
    """Let the launcher know that this rank is there; and, at its end, of that."""
    if os.environ.get(SEAT):
        sys.stdout, sys.stderr = Labelled(1), Labelled(2)
    _record(f"begin {os.getpid()}")
    atexit.register(_record, "done")


def begin_early() -> None:
    """Where a rank comes in a lost one's place: begin MPI before all that takes longer to load.

    Whoever starts it waits for that, and for ever if it dies before.
    """
    if os.environ.get(SEAT):
        begin()
        # Whoever asks the others to stop does not mean it, until it is among them.
        for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        # Begins MPI; to speak it is the transports'. It fails where who has started this process has died meanwhile.
        try:
            importlib.import_module("mpi4py.MPI")
        except Exception as e:
            say(f"MPI could not begin, which is no harm if whoever started this process has died: {e}")
            vanish()


def vanish() -> NoReturn:
    """End as a rank that is lost, which the others go on without.

    A process that has begun MPI and ends by itself without having ended MPI makes mpirun end all others.
    """
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("a process outlived SIGKILL")


def tell_back() -> None:
    """Let the launcher know that this rank, which comes in a lost one's place, is among the others now."""
    _record("back")


class Labelled(io.TextIOBase):
    """A stream of a rank that MPI_Comm_spawn has started: mpirun does not label its lines, so it does that itself.

    Args:
        number: of the file descriptor.
    """

    encoding = "utf-8"

    def __init__(self, number: int) -> None:
        self.number, self.line = number, ""

    def fileno(self) -> int:
        return self.number

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        """Whole lines go out at once."""
        whole, end, self.line = (self.line + text).rpartition("\n")
        if end:
            say(whole, self.number)
        return len(text)


def say(text: str, number: int = 2) -> None:
    """Write lines to stderr, or stdout, in one piece, whatever else this process is doing."""
    kind = "stdout" if number == 1 else "stderr"
    label = f"[asrpar,{os.environ[SEAT]}]<{kind}>: " if os.environ.get(SEAT) else ""
    lines = "".join(f"{label}{line}\n" for line in text.split("\n"))
    # The launcher that reads it may be gone already.
    try:
        os.write(number, lines.encode("utf-8", "replace"))
    except OSError:
        return


def tell_stopped(cause: str, outcome: str) -> None:
    """Let the launcher know that the ranks end before their work is done, as they were asked to, and what comes of it.

    Args:
        cause: ``SIGTERM``, or in words.
        outcome: what became of the work, and how it goes on.
    """
    if WORLD_SIZE in os.environ:
        _record(f"stopped {cause}\t{outcome}")


def _record(text: str) -> None:
    say(f"{RECORD}{text}")


def survives() -> bool:
    """Whether learners are to go on when one of them dies."""
    return bool(os.environ.get(SURVIVE))


def quorum() -> int:
    """Learners that must be left for the others to go on: what ``--quorum`` said, else 1."""
    return int(os.environ.get(QUORUM, "1"))


def local_rank(rank: int) -> int:
    """Number of this rank among those of its machine, as the launcher tells it; ``rank`` if it does not."""
    for name in LOCAL_RANKS:
        if os.environ.get(name, "").isdigit():
            return int(os.environ[name])
    return rank


def progress_stream() -> TextIO | None:
    """Where a progress bar may be drawn: stderr, or the terminal that `asrpar launch` sits on; None if there is none.

    Under mpirun stderr is a pipe, read line by line, so that a bar would never move.
    """
    if sys.stderr.isatty():
        return sys.stderr
    try:
        terminal = os.open(os.environ[TERMINAL], os.O_WRONLY | os.O_NOCTTY)  # makes and empties no file
    except (KeyError, OSError):
        return None
    if os.isatty(terminal):
        return open(terminal, "w", encoding="utf-8")
    os.close(terminal)
    return None
