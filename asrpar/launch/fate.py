"""What became of a rank, as far as it shows in what it said, and how a whole job has failed."""

import signal
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

TAIL = 20  # lines of a failed rank's log that are shown


@dataclass
class RankOutput:
    """What one rank has said on stderr, and its fate as far as it shows there."""

    tail: deque[str] = field(default_factory=lambda: deque(maxlen=TAIL))
    mistakes: list[str] = field(default_factory=list)
    pid: int | None = None
    earlier: list[int] = field(default_factory=list)  # processes in whose place it came
    came_back: int = 0
    done: bool = False
    stopped: tuple[str, str] | None = None  # cause and outcome of a planned stop
    abort_code: int | None = None
    in_abort_notice: bool = False


class Fate(NamedTuple):
    """How a job ended: the rank that ended it (None if it cannot be told), why, and its exit code."""

    rank: int | None
    reason: str
    code: int


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


def exited(rank: int | None, code: int) -> Fate:
    """A rank that ended by itself."""
    return Fate(rank, f"exit code {code}", code)


def signalled(rank: int | None, number: int) -> Fate:
    """A rank that a signal ended."""
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = "?"
    hint = "; out of memory?" if number == signal.SIGKILL else ""
    return Fate(rank, f"killed by signal {number} ({name}{hint})", 128 + number)
