"""What was left out or mended on the way, with how often and of whom: nothing is dropped without being counted."""

from collections import Counter
from pathlib import Path

from asrpar.files.replacing import replacing_text
from asrpar.files.text import one_line

SHOWN = 10  # of each kind, in the report


class Tally:
    """Counts what happened to utterances, sides and calls, and remembers the first of each kind."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._notes: Counter[str] = Counter()
        self._first: dict[str, list[str]] = {}

    def add(self, what: str, who: str, count: int = 1) -> None:
        """Note that ``what``, such as "utterances dropped, ...", happened to ``who``, ``count`` times."""
        self.counts[what] += count
        self._notes[what] += 1
        who = f"{count} of {who}" if count > 1 else who
        first = self._first.setdefault(what, [])
        if len(first) < SHOWN:
            first.append(who)

    def lines(self) -> list[str]:
        """A line for each kind, in the order in which they came up."""
        found = []
        for what, count in self.counts.items():
            first = self._first[what]
            more = ", ..." if self._notes[what] > len(first) else ""
            found.append(one_line(f"{what}: {count:,} ({', '.join(first)}{more})"))
        return found

    def write(self, path: Path) -> None:
        """Write the lines into a file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing_text(path) as file:
            file.writelines(f"{line}\n" for line in self.lines())
