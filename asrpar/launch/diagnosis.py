"""Which rank of a job has failed, and why: from the launcher's words, the ranks' own, and who told of no end."""

import signal

from asrpar.launch.fate import Fate, exited
from asrpar.launch.forward import Forwarding
from asrpar.launch.output import Ranks

KILLED = "gone without an exit code (killed?)"


def failed(ranks: Ranks, returncode: int) -> Fate | None:
    """The first rank that failed; None if all went well.

    Args:
        ranks: what they have said, to the end.
        returncode: of the launcher.
    """
    done = {rank: output for rank, output in sorted(ranks.ranks.items()) if output.done}
    if ranks.survive and returncode == 0 and done:
        # mpirun --with-ft mpi ends with 0 also where the last rank had an error to tell.
        return exited(min(done), 1) if all(output.mistakes for output in done.values()) else None
    # A killed rank comes first: its neighbours may then abort because it is gone.
    killed = ranks.launcher.killed(ranks.noise, ranks.ranks)
    mistaken = [rank for rank, output in ranks.ranks.items() if output.mistakes]
    # Where others go on, what has ended the job is what they say.
    if killed and not (ranks.survive and (ranks.aborted or mistaken)):
        return killed
    lost = ranks.lost()
    gone = [rank for rank in lost if rank not in ranks.aborted]
    if ranks.aborted:
        rank = ranks.aborted[0]
        if gone and any("MPI_ERR_PROC_FAILED" in line for line in ranks.ranks[rank].tail):
            return Fate(gone[0], KILLED, returncode or 1)
        return exited(rank, ranks.ranks[rank].abort_code or 1)
    if ended := ranks.launcher.ended(ranks.noise, returncode):
        return ended
    if returncode and mistaken:
        return exited(mistaken[0], returncode)
    # An abort notice may be lost: the rank that got as far as Python's exit is then the one that ended the job.
    ended = [rank for rank, output in sorted(ranks.ranks.items()) if output.done]
    if returncode and ended and lost:
        return exited(ended[0], returncode)
    # mpirun --with-ft mpi ends with 0 when a rank was killed: what counts is who reported its end.
    if lost and (returncode == 0 or len(lost) < ranks.learners):
        return Fate(lost[0], KILLED, returncode or 1)
    if returncode:
        return Fate(None, f"its launcher ended with exit code {returncode}", returncode)
    # What has survived tells of its end.
    return Fate(None, "no rank came to its end", 1) if ranks.survive else None


def stuck(ranks: Ranks) -> Fate | None:
    """What a job came to whose ranks had told of their end, and were ended because they could not leave MPI."""
    mistaken = [rank for rank, output in sorted(ranks.ranks.items()) if output.mistakes]
    if mistaken:
        return exited(mistaken[0], 1)
    return exited(None, 128 + signal.SIGUSR1) if any(output.stopped for output in ranks.ranks.values()) else None


def stopped(ranks: Ranks, forwarding: Forwarding, code: int) -> tuple[str, int] | None:
    """How a job was stopped that was asked to, with its exit code: 128 + the signal. None if it ended by itself."""
    told = next((r.stopped for _, r in sorted(ranks.ranks.items()) if r.stopped), None)
    codes = [128 + s for s in (signal.SIGUSR1, signal.SIGTERM, signal.SIGUSR2, signal.SIGHUP)]
    if told and ranks.survive and code > 128 and code not in codes:
        # Of a rank that was killed, and that the others went on without until they stopped.
        code = codes[0]
    asked = code in codes
    if forwarding.received and (asked or forwarding.forced):
        name, code = signal.Signals(forwarding.received).name, 128 + forwarding.received
    elif told and asked:
        name = told[0]
    else:
        return None
    if told:
        return f"stopped by {name} {told[1]}", code
    return f"stopped by {name}{', before the ranks had ended by themselves' if forwarding.forced else ''}", code
