"""What was left out or mended on the way, with how often and of whom: nothing is dropped without being counted."""

import logging
from collections import Counter
from pathlib import Path

from asrpar.files.replacing import replacing_text
from asrpar.files.text import one_line

SHOWN = 10  # of each kind, in the report


class Tally:
    """Counts what happened to utterances, sides and calls, and remembers the first of each kind."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._warnings: set[str] = set()
        self._notes: Counter[str] = Counter()
        self._first: dict[str, list[str]] = {}

    def add(self, what: str, who: str, count: int = 1, warn: bool = False) -> None:
        """Note that ``what``, such as "utterances dropped, ...", happened to ``who``, ``count`` times.

        With ``warn`` it is no property of the corpus, but of this copy of it.
        """
        self.counts[what] += count
        self._notes[what] += 1
        if warn:
            self._warnings.add(what)
        who = f"{count} of {who}" if count > 1 else who
        first = self._first.setdefault(what, [])
        if len(first) < SHOWN:
            first.append(who)

    def lines(self) -> list[str]:
        """A line for each kind, in the order in which they came up."""
        return [self._line(what) for what in self.counts]

    def log(self, log: logging.Logger) -> None:
        """Log the lines, as warnings where they are such."""
        for what in self.counts:
            log.log(logging.WARNING if what in self._warnings else logging.INFO, "%s", self._line(what))

    def first(self, what: str) -> str | None:
        """Whom or what it happened to first; None if it did not happen."""
        return next(iter(self._first.get(what, [])), None)

    def _line(self, what: str) -> str:
        first = self._first[what]
        more = ", ..." if self._notes[what] > len(first) else ""
        return one_line(f"{what}: {self.counts[what]:,} ({', '.join(first)}{more})")

    def write(self, path: Path) -> None:
        """Write the lines into a file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing_text(path) as file:
            file.writelines(f"{line}\n" for line in self.lines())
