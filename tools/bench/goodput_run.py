"""One start of a training: ranks of it are killed, it is stopped after a while, and ended where it stands still."""

import os
import random
import signal
import statistics
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import goodput_logs as logs
from left_behind import Job

from asrpar.files.json_files import read_json_if_any

# Seconds for a training to begin, and to end after SIGTERM; in which ranks write their stacks; in which all is gone.
BEGIN, END, STACKS, GONE = 300.0, 120.0, 8.0, 10.0
# Seconds from look to look.
PAUSE = 1.0


class Kills:
    """Who is killed when.

    Args:
        every: seconds from one to the next.
        most: in all.
        seed: of who.
        newcomers: those that are being started are killed as well.
    """

    def __init__(self, every: float, most: int, seed: str, *, newcomers: bool = False) -> None:
        self.every, self.most, self.draw, self.newcomers = every, most, random.Random(seed), newcomers
        self.moments: list[float] = []
        # Too few ranks were there: with none left there would be nothing to go on.
        self.skipped = 0

    def due(self, began: float) -> bool:
        """Whether it is time for the next one."""
        number = len(self.moments) + self.skipped
        return len(self.moments) < self.most and time.time() - began >= self.every * (number + 1)

    def kill(self, job: Job, learners: int) -> None:
        """One rank of a job, at random; ``learners`` of them are among the others already."""
        there = sorted(job.find_all("rank"), key=begun)
        there = there if self.newcomers else there[:learners]
        if len(there) < 2:
            self.skipped += 1
            return
        self.moments.append(time.time())
        with suppress(OSError):
            os.kill(self.draw.choice(there), signal.SIGKILL)


def begun(pid: int) -> int:
    """When a process was started, in ticks; late if it has ended."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19])
    except OSError:
        return sys.maxsize


class Run:
    """One start of a training, watched until it ends.

    Args:
        command: that starts it, or goes on with it.
        exp: its folder.
        seconds: of training after which it is stopped, 0 for never.
        kills: meanwhile.
        hang: seconds without a step after which it has stopped for ever.

    Attributes:
        began, ended: the time that counts.
        hung: why it had to be ended, if so.
    """

    def __init__(
        self, command: list[object], exp: Path, seconds: float, kills: Kills | None = None, hang: float = 60.0
    ) -> None:
        self.exp, self.log, self.seconds, self.kills, self.hang = exp, exp / "log", seconds, kills, hang
        self.start = time.time()
        self.job = Job(command, exp.with_name(f"{exp.name}.job"))
        self.began = self.ended = 0.0
        self.epoch = 0
        self.stopped, self.hung, self.left = False, "", [""]

    def watch(self) -> None:
        """Until it has ended, or has to be."""
        steps: dict[str, int] = {}
        losses: dict[int, float] = {}
        moved, full = self.start, 0
        while self.job.top.poll() is None and not self.hung:
            now, lines = time.time(), logs.read(self.log, self.start)
            if not self.began and (begin := logs.began(lines)):
                self.began, self.epoch, full = begin
                moved = now
            before = steps, losses
            steps, losses = logs.steps(self.log, steps), logs.dev_losses(lines)
            if before != (steps, losses):
                moved = now
            if self.began and not self.stopped:
                self.disturb(now, logs.learners(lines)[-1][1] if logs.learners(lines) else full)
            patience = END if self.stopped else self.hang if self.began else BEGIN
            if now - max(moved, self.ended) > patience:
                self.give_up(now - moved)
            time.sleep(PAUSE)

    def disturb(self, now: float, learners: int) -> None:
        """Stop it, or kill one of so many ranks, where that is due."""
        if self.seconds and now - self.began >= self.seconds:
            self.stopped, self.ended = True, now
            self.job.top.send_signal(signal.SIGTERM)
        elif self.kills is not None and self.kills.due(self.began):
            self.kills.kill(self.job, learners)

    def give_up(self, idle: float) -> None:
        """It does not come on: let the ranks write where they are, which each does that finds such a file, and end."""
        said = "did not begin" if not self.began else "did not stop" if self.stopped else "took no step"
        self.hung = f"{said} for {idle:.0f} s"
        with suppress(OSError):
            (self.log / "stalled").write_text("goodput.py", encoding="utf-8")
        time.sleep(STACKS)
        self.job.top.kill()
        (self.log / "stalled").unlink(missing_ok=True)

    def end(self) -> None:
        """Whatever happened, nothing of it is left after this."""
        self.ended = self.ended or time.time()
        if self.job.top.poll() is None:
            self.job.top.kill()
        _, self.left = self.job.wait(GONE)

    def found(self, before: int, learners: int) -> dict[str, Any]:
        """Frames, seconds and what happened.

        Args:
            before: frames that the training had already.
            learners: that are there when nobody is missing.
        """
        lines = logs.read(self.log, self.start)
        losses = logs.dev_losses(lines)
        after = read_json_if_any(self.exp / "train.json")
        code = self.job.top.returncode
        asked = self.stopped and code == 128 + signal.SIGTERM
        # Without a last word, at least those of the epochs that it has told of.
        frames = after.get("frames", 0) if code == 0 or asked else self.epoch * max(losses, default=0)
        failed = "" if self.hung or code == 0 or asked else f"exit code {code}: {last_line(self.job.output)}"
        found = {"frames": max(0, frames - before), "seconds": round(self.ended - self.began, 1)}
        found |= {"hung": self.hung, "failed": failed, "left": self.left}
        if self.kills is not None:
            times = logs.seconds_until_full(self.kills.moments, logs.learners(lines), learners)
            known = [x for x in times if x is not None]
            found |= {"kills": len(self.kills.moments), "skipped": self.kills.skipped, "never_back": times.count(None)}
            found |= {"back": {"mean": statistics.mean(known), "max": max(known)} if known else {}}
            found |= {"mean_moved": max(logs.mean_moved(lines), default=None)}
            found |= {"moments": [round(x - self.began, 1) for x in self.kills.moments]}
            found |= {"seconds_until_back": [x and round(x, 2) for x in times]}
        return found


def last_line(output: Path) -> str:
    """Of what a command has said."""
    return (output.read_text(encoding="utf-8", errors="replace").strip().splitlines() or [""])[-1]
