"""Run a job of MPI ranks: pass its output on, forward signals, and find out which rank failed and why."""

import os
import subprocess
import sys
import threading
import time
from contextlib import nullcontext
from pathlib import Path
from typing import TextIO

from asrpar.errors import LaunchError
from asrpar.launch.diagnosis import failed, stopped, stuck
from asrpar.launch.fate import TAIL, Failure, signalled
from asrpar.launch.forward import Forwarding
from asrpar.launch.guard import JOB, Guard
from asrpar.launch.job import Job
from asrpar.launch.output import Ranks
from asrpar.launch.standby import Standby

# Where Open MPI keeps a folder for each job, by the launcher's process number: one that a killed launcher has left
# there stops a later one of the same number. Who has chosen a place has chosen.
SESSIONS = "PRTE_MCA_prte_local_tmpdir_base"
ELSEWHERE = "PRTE_MCA_prte_tmpdir_base"
# Where it keeps the memory that ranks of one host share (version 5, version 4).
SHARED = ("OMPI_MCA_btl_sm_backing_directory", "OMPI_MCA_btl_vader_backing_directory")


def run(
    job: Job,
    *,
    log_dir: str | Path | None = None,
    grace: float = 60.0,
    farewell: float = 10.0,
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
        readers = _readers(process, ranks)
        called = {**os.environ, **job.called, JOB: guard.folder} if job.called else None
        standby = nullcontext() if called is None else Standby(guard.folder, called)
        with standby, Forwarding(process, grace) as forwarding:
            lingered = _attend(process, ranks, guard, forwarding, farewell)
    for reader in readers:
        reader.join(timeout=5)
    code = process.returncode
    fate = stuck(ranks) if lingered else failed(ranks, 128 - code if code < 0 else code)
    if code < 0 and not (lingered or forwarding.received):
        killed = signalled(None, -code)
        fate = killed._replace(reason=f"{Path(job.argv[0]).name} (process {process.pid}) was {killed.reason}")
    if lingered:  # what mpirun says of that is no news
        ranks.write(ranks.err, f"asrpar: ended ranks that had not left MPI {farewell:.0f} s after their end")
    elif fate is None or fate.rank is None:
        for line in ranks.noise:
            if line.strip():
                ranks.write(ranks.err, line)
    if fate is None:
        _tell_of_the_lost(ranks, job.learners)
        return None
    if how := stopped(ranks, forwarding, fate.code):
        return Failure(fate.rank, fate.reason, how[1], None, [], None, stopped=how[0])
    output = ranks.ranks.get(fate.rank) if fate.rank is not None else None
    log, lines = _log_tail(log_dir, fate.rank, started)
    mistake = output.mistakes[-1] if output and output.mistakes else None
    if log is None and output is not None and mistake is None:
        lines = list(output.tail)
    return Failure(*fate, log, lines, mistake)


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


def _readers(process: subprocess.Popen, ranks: Ranks) -> list[threading.Thread]:
    """Threads, begun, that read what the launcher's ranks say."""
    readers = [
        threading.Thread(target=ranks.read, args=(process.stdout, False), daemon=True),
        threading.Thread(target=ranks.read, args=(process.stderr, True), daemon=True),
    ]
    for reader in readers:
        reader.start()
    return readers


def _attend(process: subprocess.Popen, ranks: Ranks, guard: Guard, forwarding: Forwarding, farewell: float) -> bool:
    """Wait for the launcher's end; whether it had to be ended, for ranks that could not leave MPI."""
    lingered = False
    while process.poll() is None:
        if not lingered and ranks.linger(farewell):
            lingered = True
            forwarding.end()
        forwarding.enforce()
        guard.keep()
        time.sleep(0.05)
    return lingered


def _tell_of_the_lost(ranks: Ranks, learners: int) -> None:
    if back := {rank: output.came_back for rank, output in sorted(ranks.ranks.items()) if output.came_back}:
        who = ", ".join(f"rank {rank}{f' {n} times' if n > 1 else ''}" for rank, n in back.items())
        ranks.write(ranks.err, f"asrpar: lost on the way, and back: {who}")
    if lost := ranks.lost():
        who = f"rank {lost[0]} was" if len(lost) == 1 else f"ranks {', '.join(map(str, lost))} were"
        ranks.write(ranks.err, f"asrpar: {who} lost on the way; the other {learners - len(lost)} went on without")


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
