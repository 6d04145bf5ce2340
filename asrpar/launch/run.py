"""Run a job of MPI ranks: pass its output on, forward signals, and find out which rank failed and why."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, TextIO

from asrpar.errors import LaunchError
from asrpar.launch.forward import Forwarding
from asrpar.launch.guard import JOB, Guard
from asrpar.launch.job import Job
from asrpar.launch.rank import RECORD

TAIL = 20  # lines of a failed rank's log that are shown
MISTAKE = "asrpar: error: "
# Where Open MPI keeps a folder for each job, by the launcher's process number: one that a killed launcher has left
# there stops a later one of the same number. Who has chosen a place has chosen.
SESSIONS = "PRTE_MCA_prte_local_tmpdir_base"
ELSEWHERE = "PRTE_MCA_prte_tmpdir_base"
# Where it keeps the memory that ranks of one host share (version 5, version 4).
SHARED = ("OMPI_MCA_btl_sm_backing_directory", "OMPI_MCA_btl_vader_backing_directory")

# How each launcher labels a rank's output; hydra labels every piece it reads, also in the middle of a line.
_LABELS = {
    "openmpi": re.compile(r"^\[[^\[\]\s,]*,(\d+)\]<std(?:out|err)>: ?"),
    "mpich": re.compile(r"\[(\d+)\] "),
    "srun": re.compile(r"^ *(\d+): "),
}


@dataclass
class RankOutput:
    """What one rank has said on stderr, and its fate as far as it shows there."""

    tail: deque[str] = field(default_factory=lambda: deque(maxlen=TAIL))
    mistakes: list[str] = field(default_factory=list)
    pid: int | None = None
    done: bool = False
    stopped: tuple[str, str] | None = None  # cause and outcome of a planned stop
    abort_code: int | None = None
    in_abort_notice: bool = False


@dataclass(frozen=True)
class Failure:
    """A failed job: which rank (None if it cannot be told), why, its exit code, its log, the last lines of that.

    ``stopped`` says how the job ended as it was asked to, by a signal or its time limit: that is no failure.
    """

    rank: int | None
    reason: str
    code: int
    log: Path | None
    lines: list[str]
    mistake: str | None
    stopped: str | None = None


class Ranks:
    """The output of a job's ranks, taken apart by the labels of the launcher."""

    def __init__(self, job: Job, out: TextIO, err: TextIO) -> None:
        self.kind, self.learners, self.out, self.err = job.launcher.kind, job.learners, out, err
        self.ranks: dict[int, RankOutput] = {}
        self.noise: list[str] = []  # the launcher's own words
        self.aborted: list[int] = []  # ranks that called MPI_Abort, in order
        self.survive = job.survive
        self.last_done: float | None = None  # when a rank last told of its end
        self._lock = threading.Lock()

    def read(self, stream: BinaryIO, is_err: bool) -> None:
        """Take in one of the launcher's streams until it ends."""
        for raw in stream:
            line = raw.decode("utf-8", "replace").rstrip("\n")
            with self._lock:
                self._line(line, is_err)

    def _line(self, line: str, is_err: bool) -> None:
        label = _LABELS[self.kind].match(line)
        if label is None:
            self.noise.append(line)
            return
        rank = int(label[1])
        text = _LABELS[self.kind].sub("", line) if self.kind == "mpich" else line[label.end() :]
        if text.startswith("slurmstepd"):
            self.noise.append(text)
            return
        output = self.ranks.setdefault(rank, RankOutput())
        if text == "\0":  # Open MPI's last word after an abort
            return
        if not is_err:
            self.write(self.out, text)
        elif RECORD in text:
            before, _, record = text.partition(RECORD)
            output.done = record.startswith("done")
            if output.done:
                self.last_done = time.monotonic()
            if record.startswith("stopped "):
                output.stopped = (*record.removeprefix("stopped ").split("\t"), "")[:2]
            if found := re.match(r"begin (\d+)", record):
                output.pid = int(found[1])
            if before:
                self._pass_on(rank, output, before)
        elif not self._abort_notice(rank, output, text):
            self._pass_on(rank, output, text)

    def _pass_on(self, rank: int, output: RankOutput, text: str) -> None:
        output.tail.append(text)
        if text.startswith(MISTAKE):  # all ranks make the same one: said once, at the end
            output.mistakes.append(text.removeprefix(MISTAKE))
            return
        prefix = "" if rank == 0 or text.startswith(f"rank {rank}: ") else f"rank {rank}: "
        self.write(self.err, prefix + text)

    def write(self, stream: TextIO, text: str) -> None:
        """A line, to whom it may reach."""
        # Whoever read our output may have left (`| head`), or its disk be full; that must not block the ranks.
        with suppress(OSError, ValueError):
            stream.write(text + "\n")
            stream.flush()

    def _abort_notice(self, rank: int, output: RankOutput, text: str) -> bool:
        """Swallow MPI_Abort's paragraph, keeping what it says."""
        if found := re.match(r"Abort\((\d+)\) on node \d+", text):  # MPICH
            output.abort_code = int(found[1])
            self.aborted.append(rank)
            return True
        if self.kind == "mpich":
            return False
        if text.startswith("MPI_ABORT was invoked on rank"):  # Open MPI
            output.in_abort_notice = True
            self.aborted.append(rank)
        elif output.in_abort_notice and (found := re.match(r"\s*Errorcode: (\d+)", text)):
            output.abort_code = int(found[1])
        rule = len(text) > 60 and not text.strip("-")
        notice, output.in_abort_notice = output.in_abort_notice, output.in_abort_notice and not rule
        return rule or notice

    def failed(self, returncode: int) -> tuple[int | None, str, int] | None:
        """The first rank that failed, why, and its exit code; None if all went well."""
        if self.survive and returncode == 0 and any(output.done for output in self.ranks.values()):
            return None
        words = " ".join(" ".join(self.noise).split())
        # A killed rank comes first: its neighbours may then abort because it is gone.
        if found := re.search(r"process rank (\d+) with PID \d+ on node \S+ exited on signal (\d+)", words):
            return int(found[1]), *_signalled(int(found[2]))
        if found := re.search(r"PID (\d+) RUNNING AT \S+ = EXIT CODE: (\d+)", words):
            rank = next((r for r, o in self.ranks.items() if o.pid == int(found[1])), None)
            if killed := re.search(r"\(signal (\d+)\)", words):
                return rank, *_signalled(int(killed[1]))
            return rank, f"exit code {found[2]}", int(found[2])
        lost = self.lost()
        gone = [rank for rank in lost if rank not in self.aborted]
        if self.aborted:
            rank = self.aborted[0]
            if gone and any("MPI_ERR_PROC_FAILED" in line for line in self.ranks[rank].tail):
                return gone[0], "gone without an exit code (killed?)", returncode or 1
            code = self.ranks[rank].abort_code or 1
            return rank, f"exit code {code}", code
        if found := re.search(r"Process name: \[\S+,(\d+)\] Exit code: (\d+)", words):
            return int(found[1]), f"exit code {found[2]}", int(found[2])
        if self.kind == "srun" and (diagnosis := self._srun_diagnosis(returncode)):
            return diagnosis
        mistaken = [rank for rank, output in self.ranks.items() if output.mistakes]
        if returncode and mistaken:
            return mistaken[0], f"exit code {returncode}", returncode
        # An abort notice may be lost: the rank that got as far as Python's exit is then the one that ended the job.
        ended = [rank for rank, output in sorted(self.ranks.items()) if output.done]
        if returncode and ended and lost:
            return ended[0], f"exit code {returncode}", returncode
        # mpirun --with-ft mpi ends with 0 when a rank was killed: what counts is who reported its end.
        if lost and (returncode == 0 or len(lost) < self.learners):
            return lost[0], "gone without an exit code (killed?)", returncode or 1
        if returncode:
            return None, f"its launcher ended with exit code {returncode}", returncode
        return None

    def linger(self, seconds: float) -> bool:
        """Whether ranks that went on without others have told of their end so long ago, and mpirun still runs.

        After a loss the survivors may stand in MPI_Finalize for ever (seen with Open MPI 5.0.11). All that they write
        they have written before the first of them tells of its end.
        """
        late = self.last_done is not None and time.monotonic() - self.last_done > seconds
        return self.survive and late and not self.aborted

    def lost(self) -> list[int]:
        """Ranks that began and never ended."""
        return [rank for rank, output in sorted(self.ranks.items()) if output.pid and not output.done]

    def _srun_diagnosis(self, returncode: int) -> tuple[int, str, int] | None:
        """What srun's lines say, in their order: a rank killed after the step was cancelled is not the cause."""
        cancelled = False
        for line in self.noise:
            cancelled |= "Job step aborted" in line or "CANCELLED" in line
            if not (found := re.match(r"srun: error: \S+ tasks? (\d+)[\d,-]*: (.*)", line)):
                continue
            rank, fate = int(found[1]), found[2]
            if code := re.match(r"Exited with exit code (\d+)", fate):
                return rank, f"exit code {code[1]}", int(code[1])
            if not cancelled:
                return rank, fate.lower(), returncode or 1
        return None


def _signalled(number: int) -> tuple[str, int]:
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = "?"
    hint = "; out of memory?" if number == signal.SIGKILL else ""
    return f"killed by signal {number} ({name}{hint})", 128 + number


def run(
    job: Job,
    *,
    log_dir: str | Path | None = None,
    grace: float = 60.0,
    farewell: float = 30.0,
    out: TextIO | None = None,
    err: TextIO | None = None,
) -> Failure | None:
    """Run a job to its end; None if every rank ended well.

    SIGTERM, SIGINT, SIGUSR1 and others reach the ranks as SIGUSR1, at which the trainer saves a checkpoint and stops:
    mpirun itself answers SIGTERM by killing the ranks within a second. A second SIGTERM or SIGINT some seconds later,
    or ``grace`` seconds, end the job the hard way. Whatever ends this process, nothing of the job outlives it.

    Args:
        job: from `build_command`.
        log_dir: folder with ``train.<rank>.log``, from which the last lines of a failed rank are taken if it wrote any.
        grace: seconds between SIGTERM and the end.
        farewell: seconds that survivors of a lost rank have to leave MPI.
        out: where ranks' stdout goes (default sys.stdout).
        err: where ranks' stderr goes (default sys.stderr).
    """
    started = time.time()
    ranks = Ranks(job, out or sys.stdout, err or sys.stderr)
    with Guard() as guard:
        process = _start(job, guard)
        guard.watch(process.pid)
        readers = [
            threading.Thread(target=ranks.read, args=(process.stdout, False), daemon=True),
            threading.Thread(target=ranks.read, args=(process.stderr, True), daemon=True),
        ]
        for reader in readers:
            reader.start()
        stuck = False
        with Forwarding(process, grace) as forwarding:
            while process.poll() is None:
                if not stuck and ranks.linger(farewell):
                    stuck = True
                    forwarding.end()
                forwarding.enforce()
                guard.keep()
                time.sleep(0.05)
    for reader in readers:
        reader.join(timeout=5)
    code = 0 if stuck else process.returncode
    diagnosis = ranks.failed(128 - code if code < 0 else code)
    if code < 0 and not forwarding.received:
        why, number = _signalled(-code)
        diagnosis = None, f"{Path(job.argv[0]).name} (process {process.pid}) was {why}", number
    if diagnosis is None or diagnosis[0] is None:
        for line in ranks.noise:
            if line.strip():
                ranks.write(ranks.err, line)
    if diagnosis is None:
        if stuck:
            ranks.write(ranks.err, f"asrpar: ended ranks that had not left MPI {farewell:.0f} s after their end")
        if lost := ranks.lost():
            who = f"rank {lost[0]} was" if len(lost) == 1 else f"ranks {', '.join(map(str, lost))} were"
            rest = job.learners - len(lost)
            ranks.write(ranks.err, f"asrpar: {who} lost on the way; the other {rest} went on without")
        return None
    rank, reason, exit_code = diagnosis
    if how := stopped(ranks, forwarding, exit_code):
        return Failure(rank, reason, how[1], None, [], None, stopped=how[0])
    output = ranks.ranks.get(rank) if rank is not None else None
    log, lines = _log_tail(log_dir, rank, started)
    mistake = output.mistakes[-1] if output and output.mistakes else None
    if log is None and output is not None and mistake is None:
        lines = list(output.tail)
    return Failure(rank, reason, exit_code, log, lines, mistake)


def _start(job: Job, guard: Guard) -> subprocess.Popen:
    places = {} if ELSEWHERE in os.environ else {SESSIONS: guard.folder}
    if guard.shared and job.one_host:  # a host without that folder could not share memory
        places |= dict.fromkeys(SHARED, str(guard.shared))
    try:
        return subprocess.Popen(
            job.argv,
            env={**places, **os.environ, **job.env, JOB: guard.folder},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            process_group=0,  # Ctrl-C reaches the launcher alone, which then stops the ranks in good order
        )
    except OSError as e:
        raise LaunchError(f"cannot start {job.argv[0]}: {e.strerror}") from e


def stopped(ranks: Ranks, forwarding: Forwarding, code: int) -> tuple[str, int] | None:
    """How a job was stopped that was asked to, with its exit code: 128 + the signal. None if it ended by itself."""
    told = next((r.stopped for _, r in sorted(ranks.ranks.items()) if r.stopped), None)
    asked = code in [128 + s for s in (signal.SIGUSR1, signal.SIGTERM, signal.SIGUSR2, signal.SIGHUP)]
    if forwarding.received and (asked or forwarding.forced):
        name, code = signal.Signals(forwarding.received).name, 128 + forwarding.received
    elif told and asked:
        name = told[0]
    else:
        return None
    if told:
        return f"stopped by {name} {told[1]}", code
    return f"stopped by {name}{', before the ranks had ended by themselves' if forwarding.forced else ''}", code


def _log_tail(log_dir: str | Path | None, rank: int | None, started: float) -> tuple[Path | None, list[str]]:
    if log_dir is None or rank is None:
        return None, []
    log = Path(log_dir) / f"train.{rank}.log"
    try:
        if log.stat().st_mtime < started - 1:  # of an earlier run
            return None, []
        with open(log, "rb") as stream:
            stream.seek(max(0, log.stat().st_size - 65536))
            return log, stream.read().decode("utf-8", "replace").splitlines()[-TAIL:]
    except OSError:
        return None, []
