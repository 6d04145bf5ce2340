"""What is wrong with data. Whoever reads data collects problems and goes on, so that one run tells them all."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

from asrpar.corpus.ids import UNLIKE
from asrpar.errors import DataError
from asrpar.files.text import nfc, one_line


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with data.

    Attributes:
        file: as the user named its folder.
        line: counted from 1; for ``.jsonl.gz`` the record's number; 0 for the file as a whole.
        message: what is wrong, and where that is not plain, what to do.
        warning: True if the data can be used all the same.
    """

    file: str
    line: int
    message: str
    warning: bool = False

    def __str__(self) -> str:
        return one_line(f"{self.file}:{self.line}: {'warning: ' if self.warning else ''}{self.message}")


@dataclass(frozen=True, slots=True)
class Place:
    """Where an entry stands."""

    file: str
    line: int


@dataclass
class Problems:
    """Collects problems.

    Attributes:
        where: the folder, as the user named it.
        problems: in the order in which they were found.
        unread: files that are missing, or have lines that could not be read: what others seem to have too many is a
            consequence of that, and not told.
    """

    where: str
    problems: list[Problem] = field(default_factory=list, kw_only=True)
    unread: set[str] = field(default_factory=set, kw_only=True)

    def error(self, place: Place | Path, message: str) -> None:
        """Note a problem that makes the data unusable, of a line or of a whole file."""
        self._add(place, message, warning=False)

    def warn(self, place: Place | Path, message: str) -> None:
        """Note a problem that the data can be used with."""
        self._add(place, message, warning=True)

    def unreadable(self, place: Place | Path, message: str) -> None:
        """Note an error that hides what a file holds."""
        self.error(place, message)
        self.unread.add(place.file if isinstance(place, Place) else str(place))

    def read(self, path: Path) -> bool:
        """Whether all of a file could be read."""
        return str(path) not in self.unread

    def check_order(self, entries: Sequence[tuple[str, Place]], ordered: bool = True) -> None:
        """Note ids that occur twice or look alike and, if they have to be ``ordered``, not by bytes (LC_ALL=C)."""
        seen = Seen(self)
        for key, place in entries:
            seen.add(key, place)
        seen.close()
        for (before, _), (key, place) in pairwise(entries) if ordered else ():
            if key < before:  # the order of code points is that of UTF-8 bytes
                self.error(place, f"unsorted: '{key}' comes after '{before}'; sort with LC_ALL=C sort -k1,1")

    def refuse(self, show: int = 3, more: str = "") -> None:
        """Raise a `DataError` with the number of errors and the first few, if there are any.

        Args:
            show: how many are told.
            more: what tells the others.
        """
        errors = [p for p in self.problems if not p.warning]
        if not errors:
            return
        told = "; ".join(f"{self._place(p)}{p.message}" for p in errors[:show])
        rest = f" (and {len(errors) - show} more{more})" if len(errors) > show else ""
        raise DataError(f"{self.where}: {len(errors)} problem{'s' * (len(errors) > 1)}: {told}{rest}")

    def _place(self, problem: Problem) -> str:
        if problem.file == self.where:
            return ""
        return f"{Path(problem.file).name}{f':{problem.line}' if problem.line else ''}: "

    def _add(self, place: Place | Path, message: str, warning: bool) -> None:
        place = place if isinstance(place, Place) else Place(str(place), 0)
        self.problems.append(Problem(place.file, place.line, message, warning))


class Seen:
    """Ids that come one by one; those that occur twice or look alike are noted.

    Args:
        problems: takes what is wrong.
    """

    def __init__(self, problems: Problems) -> None:
        self._problems = problems
        self._lines: dict[str, int] = {}
        self._odd: list[tuple[str, Place]] = []  # what only others than ASCII can look like

    def add(self, key: str, place: Place) -> None:
        """One more."""
        first = self._lines.setdefault(key, place.line)
        if first != place.line:
            self._problems.error(place, f"'{key}' is a duplicate of line {first}")
        if not key.isascii():
            self._odd.append((key, place))

    def close(self) -> None:
        """There are no more."""
        alike: dict[str, list[tuple[str, Place]]] = {}
        for key, place in self._odd:
            alike.setdefault(nfc(key), []).append((key, place))
        for plain, found in alike.items():
            if plain.isascii() and plain in self._lines:
                found.append((plain, Place(found[0][1].file, self._lines[plain])))
            found.sort(key=lambda one: one[1].line)
            other, there = found[0]
            for key, place in found:
                if key != other:
                    message = f"'{key}' looks like '{other}' of line {there.line}, but {UNLIKE}"
                    self._problems.warn(place, message)


def sort_problems(problems: Iterable[Problem]) -> list[Problem]:
    """By file, line and message, each once."""
    return sorted(set(problems), key=lambda p: (p.file, p.line, p.warning, p.message))


def grouped(problems: Iterable[Problem], most: int) -> list[Problem]:
    """The problems in their order, where many of one file say the same of different entries: the first few of them.

    Args:
        problems: sorted by file and line.
        most: errors of a kind that are kept; of a kind's warnings, from three on, the first one is kept. The last that
            is kept names how many more there are, and some of them.
    """
    kinds: dict[tuple[str, bool, str], list[Problem]] = {}
    kept = list(problems)
    for problem in kept:
        kinds.setdefault((problem.file, problem.warning, _kind(problem.message)), []).append(problem)
    short: dict[Problem, Problem | None] = {}
    for same in kinds.values():
        keep = (1 if len(same) > 2 else 2) if same[0].warning else most
        rest = same[keep:]
        if rest:
            last = same[keep - 1]
            named = ", ".join(dict.fromkeys(q[0] for p in rest[:3] if (q := _QUOTED.findall(p.message))))
            more = f"(and {len(rest)} more like this" + (f": {named}" if named else "")
            short |= dict.fromkeys(rest)
            short[last] = replace(last, message=f"{last.message} {more}{', ...)' if len(rest) > 3 and named else ')'}")
    return [found for p in kept if (found := short.get(p, p)) is not None]


_QUOTED = re.compile(r"'[^']*'")


def _kind(message: str) -> str:
    """A message without the names and numbers in it."""
    return re.sub(r"\d+", "0", _QUOTED.sub("''", message))
