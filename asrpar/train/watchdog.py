"""Finds out that a training stands still: which rank is behind, and where all threads of all ranks are.

Every rank has one in a thread. The first that sees no progress for the stated time makes a file, ``EXP/log/stalled``,
for which the others look each second. Each then writes the stacks of its threads into its log, and tells in a file of
its own how far it has come; the first one finds out who is behind, writes that down, and has that rank end its process,
and so the job, with a message that names it. Until then nobody ends, however long it has waited: the launcher would
take the first that does for the one to blame. All this goes past the transport, which may be what hangs.

Where learners can go on without one that died (``asrpar launch --survive``), whoever is to blame ends by SIGKILL, and
only it: as a learner that was lost. One that does not answer is killed by any other on its host.
"""

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from asrpar.launch.rank import say
from asrpar.log import get_logger
from asrpar.parallel.comm import Comm
from asrpar.parallel.comm.threads import Thread
from asrpar.parallel.trace import RecordingTrace
from asrpar.train.neighbours import Neighbours
from asrpar.train.notices import Notices
from asrpar.train.patience import Patience
from asrpar.train.stall import places, ranks, stacks

log = get_logger(__name__)

# Seconds in which every rank that can will have answered: they look each second.
ANSWER = 5.0
# In which those who are left have gone on without one that was ended.
LEAVE = 15.0
# In these a learner does not wait for another.
BUSY = ("", "compute", "apply", "data", "straggle")


class Watchdog:
    """Watches the learner of this rank; a context, in which it is awake.

    Args:
        folder: of the logs, ``EXP/log``, which all ranks see.
        comm: all learners.
        trace: what the learner does; each gradient is progress.
        timeout: seconds; 0 to sleep; None to learn them from the run, see `Patience`.
        lockstep: nobody gets far while one stands still. Else a learner that waits for others is patient as long as any
            of them comes on.
        on_stall: called when a stall was noticed, for instance to write a trace.
        survives: the others go on without a learner whose process has ended.
    """

    def __init__(
        self,
        folder: Path,
        comm: Comm,
        trace: RecordingTrace,
        timeout: float | None,
        *,
        lockstep: bool = True,
        on_stall: Callable[[], None] | None = None,
        survives: bool = False,
    ) -> None:
        self.comm, self.trace, self.patience = comm, trace, Patience(timeout)
        self.lockstep, self.on_stall, self.survives = lockstep, on_stall, survives
        self._steps = self._before = 0
        self._rank, self._members = comm.seat, list(range(comm.size))
        self.notices, self.neighbours = Notices(folder, self._rank), Neighbours()
        self._beats = 0
        self._waiting = False
        self._answered = ""
        # Seconds since the answer.
        self._since = 0.0
        self._others: dict[int, str] = {}
        self._others_idle = self._silence = self._idle = 0.0
        self._stop = threading.Event()
        self._thread: Thread | None = None

    @property
    def timeout(self) -> float:
        """Seconds without progress after which it is told; 0 for never."""
        return self.patience.seconds

    def __enter__(self) -> "Watchdog":
        """Wake up. Collective."""
        if self.timeout > 0:
            self.notices.open()
            if self._rank == 0 and self.comm.invitation is None:
                with suppress(OSError):
                    self.notices.forget()
            self._members = self.neighbours.meet(self.comm, self._rank)
            self._thread = Thread(self._watch, "watchdog")
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self.notices.close()

    def beat(self, steps: int | None = None) -> None:
        """The learner has come on, other than by a gradient; or has taken a step, and ``steps`` in all."""
        self._beats += 1
        if steps is not None:
            self._steps, self._before = steps, self._gradients()

    def saved(self) -> None:
        """A checkpoint has been written: the learner has come on, and by now has done all that takes its time."""
        self.patience.saved = True
        self.beat()

    def regroup(self, comm: Comm) -> None:
        """Go on among the learners of ``comm`` after others were lost. Collective."""
        self._members = self.neighbours.meet(comm, self._rank)
        self.comm = comm
        self.beat()

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """The learner waits for the others, which may rightly take long."""
        self._waiting = not self.lockstep
        try:
            with self.trace.span("wait"):
                yield
        finally:
            self._waiting = False
            self.beat(self._steps)

    def _watch(self) -> None:
        pause = min(1.0, self.timeout / 4)
        before, then = self._progress(), time.monotonic()
        while not self._stop.wait(pause):
            # A process that was suspended has not been idle meanwhile.
            passed, then = min(time.monotonic() - then, 2 * pause), time.monotonic()
            self._idle += passed
            self._silence += passed
            if (now := self._progress()) != before:
                self.patience.learn(self._idle)
                before, self._idle, self._others_idle, self._answered = now, 0.0, 0.0, ""
            # Others' time-outs may be shorter.
            if not self.lockstep and self._silence > self.patience.least / 8:
                self._tell()
            found = self.notices.noticed()
            if found and found != self._answered:
                self._answer(found)
            elif self._answered:
                self._since += passed
                self._obey(found)
            elif self._idle > self.timeout and (not self._waiting or self._all_idle(passed)):
                self._alarm()

    def _progress(self) -> tuple[int, int]:
        return self._gradients(), self._beats

    def _gradients(self) -> int:
        return self.trace.learner.totals.get("compute", (0,))[0]

    def _step(self) -> int:
        """Steps taken; one that has its gradient and still waits for the others counts."""
        return self._steps + self._gradients() - self._before

    def _all_idle(self, passed: float) -> bool:
        """Whether no other learner has come on for the stated time either, or for what the slowest has learned."""
        others = self.notices.told(self._members)
        self._others_idle = self._others_idle + passed if others == self._others else 0.0
        self._others = others
        return self._others_idle > max([self.timeout, *map(_timeout_in, others.values())])

    def _alarm(self) -> None:
        """Be the first to notice, wait for the others' answers, say what they come to, end."""
        marker = f"rank {self._rank} {time.time():.3f}"
        try:
            self.notices.notice(marker)
        except FileExistsError:
            return  # another was first: its marker is found at the next look
        except OSError as e:
            self._end(
                f"no progress for {self.timeout:g} s, and no stack traces: {self.notices.marker_file}: {e.strerror}"
            )
        before = self._progress()
        self._answer(marker)
        end = time.monotonic() + ANSWER
        while time.monotonic() < end and len(self.notices.answers(self._members, marker)) < len(self._members):
            if self._stop.wait(0.1):
                break
        answers = self.notices.answers(self._members, marker)
        if self._progress() != before or self._stop.is_set():
            self.notices.forget()
            log.warning("no progress for %g s, but then it went on", self.timeout)
            return
        blamed, message = self.diagnosis(answers)
        silent = [r for r in self._members if r not in answers] if self.survives else []
        if silent:
            self._tell_of(message)
            self.notices.call_silent(silent)
            self._end_silent()
        elif blamed != self._rank:
            # The launcher shows the log of the rank that ends the job: that had better be the one that is to blame.
            self.notices.blame(blamed, message)
        if silent or blamed != self._rank:
            end = time.monotonic() + (LEAVE if self.survives else ANSWER)
            while time.monotonic() < end and not self._stop.wait(0.1):
                if self.survives and self._progress() != before:  # without the one that is gone
                    break
            else:
                if self._stop.is_set():
                    return
                self.notices.forget()
                self._end(message, all_of_us=True)
            self.notices.forget()
            return
        self.notices.forget()
        self._end(message)

    def _end_silent(self) -> None:
        """End those who did not answer, if they are on this host."""
        for rank in self.notices.silent():
            self.neighbours.end(rank)

    def _obey(self, marker: str) -> None:
        """After an answer: end if this rank was found to blame, or if whoever noticed first did not end the job."""
        if self.survives:
            self._end_silent()
        rank, message = self.notices.blamed()
        if rank == str(self._rank):
            self._end(message)
        if not (rank or marker):  # a false alarm
            self._answered = ""
        elif self._since > 4 * ANSWER:
            self._end(
                message or f"no progress for {self.timeout:g} s, and no diagnosis from whoever noticed ({marker})",
                all_of_us=True,
            )

    def _end(self, message: str, *, all_of_us: bool = False) -> None:
        if self.survives and not all_of_us and len(self._members) > 1:
            self._tell_of(message)
            os.kill(os.getpid(), signal.SIGKILL)
        self.notices.write(message)
        say(f"asrpar: error: {message}")
        os._exit(1)

    def _tell_of(self, message: str) -> None:
        """Of who is ended, while the others go on."""
        self.notices.write(message)
        say(f"{message}: the others go on without")

    def diagnosis(self, answers: dict[int, dict]) -> tuple[int, str]:
        """A rank to end the job, and one line: who is behind, and where to look.

        Args:
            answers: of those ranks that gave one, ``step``, ``doing`` and ``idle``, seconds without progress.
        """
        blamed = [r for r in self._members if r not in answers]
        if blamed:
            logs = ", ".join(str(self.notices.log(r)) for r in blamed[:3])
            said = f"{ranks(blamed)} did not answer (stopped, or the machine is gone; last words in {logs})"
        else:
            # Whoever waits for others is not to blame, if anybody does not; nor is whoever comes on.
            still = [r for r, a in answers.items() if a["idle"] > self.timeout / 2] or list(answers)
            still = [r for r in still if answers[r]["doing"] in BUSY] or still
            if self.lockstep:
                least = min(answers[r]["step"] for r in still)
                blamed = [r for r in still if answers[r]["step"] == least]
            else:  # whoever has stood still for longest: a slow learner may rightly be behind in steps
                blamed = [max(still, key=lambda r: answers[r]["idle"])]
            said = f"{ranks(blamed)} {'is' if len(blamed) == 1 else 'are'} at {places(answers, blamed)}"
        rest = [r for r in answers if r not in blamed]
        if rest:
            said += f", {'the others' if len(rest) > 1 else ranks(rest)} at {places(answers, rest)}"
        shown = next((r for r in blamed if r in answers), self._rank)
        return shown, f"no progress for {self.timeout:g} s: {said}; stack traces in {self.notices.log(shown)}"

    def _answer(self, marker: str) -> None:
        """Stacks into the log; then how far this rank is."""
        self._answered, self._since = marker, 0.0
        doing = self.trace.doing()
        where = f"rank {self._rank} at step {self._step()} ({doing or 'between spans'})"
        self.notices.write(f"stalled: {marker} noticed; this is {where}")
        self.notices.write(stacks())
        if self.on_stall is not None:
            with suppress(Exception):  # the stacks matter more
                self.on_stall()
        self._tell()

    def _tell(self) -> None:
        self._silence = 0.0
        known = {"step": self._step(), "beats": self._beats, "doing": self.trace.doing(), "timeout": self.timeout}
        if self._answered:
            known |= {"idle": self._idle, "marker": self._answered}
        self.notices.tell(known)


def _timeout_in(record: str) -> float:
    """The time-out of the learner that wrote this; 0 if it says none."""
    try:
        return float(json.loads(record).get("timeout", 0.0))
    except ValueError:
        return 0.0
