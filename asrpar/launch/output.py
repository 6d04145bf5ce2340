"""What the ranks of a job say: passed on, and looked through for what became of each of them."""

import re
import threading
import time
from contextlib import suppress
from typing import BinaryIO, TextIO

from asrpar.launch.fate import RankOutput
from asrpar.launch.job import Job
from asrpar.launch.rank import RECORD

MISTAKE = "asrpar: error: "


class Ranks:
    """The output of a job's ranks, taken apart by the labels of the launcher."""

    def __init__(self, job: Job, out: TextIO, err: TextIO) -> None:
        self.launcher, self.learners, self.survive = job.launcher, job.learners, job.survive
        self.out, self.err = out, err
        self.ranks: dict[int, RankOutput] = {}
        self.noise: list[str] = []  # the launcher's own words
        self.aborted: list[int] = []  # ranks that called MPI_Abort, in order
        self.last_done: float | None = None  # when a rank last told of its end
        self._lock = threading.Lock()

    def read(self, stream: BinaryIO, is_err: bool) -> None:
        """Take in one of the launcher's streams until it ends."""
        for raw in stream:
            line = raw.decode("utf-8", "replace").rstrip("\n")
            with self._lock:
                self._line(line, is_err)

    def _line(self, line: str, is_err: bool) -> None:
        rank, text = self.launcher.take_apart(line)
        if rank is None:
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
                if output.pid:
                    output.earlier.append(output.pid)
                    output.mistakes.clear()
                output.pid = int(found[1])
            output.came_back += record.startswith("back")
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
        if not self.launcher.frames_aborts:
            return False
        if text.startswith("MPI_ABORT was invoked on rank"):  # Open MPI
            output.in_abort_notice = True
            self.aborted.append(rank)
        elif output.in_abort_notice and (found := re.match(r"\s*Errorcode: (\d+)", text)):
            output.abort_code = int(found[1])
        rule = len(text) > 60 and not text.strip("-")
        notice, output.in_abort_notice = output.in_abort_notice, output.in_abort_notice and not rule
        return rule or notice

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
