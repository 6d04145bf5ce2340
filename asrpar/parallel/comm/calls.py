"""Starting learners in the places of lost ones, as the first rank does it, beside its own work."""

import os
import shutil
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from mpi4py import MPI

from asrpar.errors import TrainingError
from asrpar.launch import standby
from asrpar.launch.guard import JOB, members
from asrpar.launch.rank import REJOIN, SEAT
from asrpar.log import get_logger
from asrpar.parallel.comm.base import Invitation
from asrpar.parallel.comm.door import COME, GO, HERE, READY

log = get_logger(__name__)

# Open MPI ends a job whose process cannot begin MPI, unless it has this variable; then it says so to that process.
RETURN_ERRORS = "OMPI_MCA_mpi_initial_errhandler=mpi_errors_return"
# So often in a row may a learner fail to come back, or be lost again within so many seconds.
TRIES, SOON = 5, 10.0
# Seconds that a start may take: imports from a slow disk, data, on a busy machine.
START = 300.0
_PAUSE = 0.02
# Starts one after the other, but none waits longer than so many seconds for one that hangs.
_spawning, _PATIENCE = threading.Lock(), 10.0


class Call:
    """A newcomer on its way.

    Attributes:
        ready: whether it waits to be let in.
        failed: whether it ended before.
    """

    def __init__(self, invitation: Invitation) -> None:
        self.invitation, self.begun = invitation, time.monotonic()
        self.seen, self.looked = False, self.begun
        self.ready = self.failed = self.dismissed = False
        self.bridge: MPI.Intracomm | None = None
        self.thread = threading.Thread(target=self._run, name=f"call {invitation.seat}", daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            alone = _spawning.acquire(timeout=_PATIENCE)
            try:
                if self.dismissed:
                    return
                bridge = MPI.COMM_SELF.Dup().Spawn(*command(self.invitation.seat), maxprocs=1).Merge(high=False)
            finally:
                if alone:
                    _spawning.release()
            bridge.Set_errhandler(MPI.ERRORS_RETURN)
            self.bridge = bridge
            if self.dismissed or self.failed:
                bridge.send(None, 1)
                return
            bridge.send(self.invitation, 1)
            ready = self.answer() == READY
            self.ready, self.failed = ready, not ready
        except MPI.Exception as e:
            log.warning("learner %d could not be started again: %s", self.invitation.seat, e)
            self.failed = True

    def lost(self) -> bool:
        """Whether there will be no newcomer. One that dies before it has begun MPI lets its start hang for ever."""
        now = time.monotonic()
        if self.bridge is None and now - self.looked > 1.0:
            self.looked, there = now, is_here(self.invitation.seat)
            self.failed = self.failed or (self.seen and not there) or now - self.begun > START
            self.seen = there
        return self.failed

    def answer(self) -> str | None:
        """What it says next; None if it has ended, or is silent for too long."""
        until = time.monotonic() + START
        try:
            while not self.bridge.Iprobe(1):
                if self.dismissed or time.monotonic() > until or self.bridge.Get_failed().Get_size():
                    return None
                time.sleep(_PAUSE)
            return self.bridge.recv(source=1)
        except MPI.Exception:
            return None

    def tell(self, word: Any) -> None:
        """Say something to it, if it is there."""
        try:
            self.bridge.send(word, 1)
        except MPI.Exception:
            return

    def comes(self) -> bool:
        """Ask it to come; whether it is there."""
        self.tell(COME)
        self.ready = self.answer() == HERE
        self.failed = not self.ready
        return self.ready

    def dismiss(self) -> None:
        """It is not needed any more."""
        self.dismissed = True
        if self.bridge is not None:
            self.tell(None)


class Calls:
    """All that are on their way. A process has one, which learners need only where they are the first rank.

    Attributes:
        coming: those that are being let in.
    """

    def __init__(self) -> None:
        self.under_way: dict[int, Call] = {}
        self.coming: list[Call] = []
        # By seat: how often in a row it went wrong; when a newcomer was let in last; since when somebody is missing.
        self.wrong: dict[int, int] = {}
        self.since: dict[int, float] = {}
        self.gone: dict[int, float] = {}

    def begin(self, seats: list[int], brief: Any) -> None:
        """See `Comm.call_back`."""
        for seat in seats:
            if seat not in self.under_way:
                if time.monotonic() - self.since.pop(seat, -SOON) < SOON:
                    self._went_wrong(seat)
                else:
                    self.wrong.pop(seat, None)
                self.gone[seat] = time.monotonic()
                self.under_way[seat] = Call(Invitation(seat, brief))

    def _went_wrong(self, seat: int) -> None:
        self.wrong[seat] = self.wrong.get(seat, 0) + 1
        if self.wrong[seat] >= TRIES:
            raise TrainingError(
                f"learner {seat} could not come back: {TRIES} times in a row it ended before it was among the others, "
                f"or within {SOON:g} s; its log tells more. Run again to resume"
            )

    def ready(self) -> list[int]:
        """See `Comm.newcomers`; who has failed is started once more."""
        for seat, call in list(self.under_way.items()):
            if call.lost():
                self._went_wrong(seat)
                self.under_way[seat] = Call(call.invitation)
        return [seat for seat, call in self.under_way.items() if call.ready]

    def come(self) -> list[Call]:
        """Those that are ready, and there: they are let in now."""
        self.coming = [self.under_way[seat] for seat in self.ready() if self.under_way[seat].comes()]
        return self.coming

    def came(self, well: bool) -> None:
        """They are among the others; or else are sent away, and others will be called."""
        for call in self.coming:
            call.tell(GO if well else None)
            seat = call.invitation.seat
            del self.under_way[seat]
            if well:
                now = self.since[seat] = time.monotonic()
                log.info("learner %d is back after %.1f s", seat, now - self.gone[seat])
        self.coming = []

    def close(self) -> None:
        """The run is over: send everybody away who is on the way."""
        for call in self.under_way.values():
            call.dismiss()
        for call in self.under_way.values():
            call.thread.join(timeout=SOON)
        self.under_way = {}


def command(seat: int) -> tuple[str, list[str]]:
    """The program that starts a newcomer, and its arguments: this process's own command line and variables.

    Who is on standby on this host does that; elsewhere, MPI's own daemon.
    """
    names = [name for name in os.environ.get(REJOIN, "").split(",") if name in os.environ]
    variables = [*(f"{name}={os.environ[name]}" for name in names), RETURN_ERRORS, f"{SEAT}={seat}"]
    words = sys.orig_argv[1:]
    here = os.path.join(os.environ[JOB], standby.PLACE) if JOB in os.environ else ""
    python = standby.program(here, *words) if here else [sys.executable, *words]
    return shutil.which("env") or "env", [*variables, *python]


def is_here(seat: int) -> bool:
    """Whether a process of this job is on this host that is to come in the place of learner ``seat``."""
    word = f"{SEAT}={seat}".encode()
    for pid in members(os.environ.get(JOB, "")):
        with suppress(OSError):
            if word in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                return True
    return False


def called_back() -> bool:
    """Whether lost learners are to come back."""
    return REJOIN in os.environ
