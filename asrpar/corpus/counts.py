"""Counts that a corpus is known by: a copy that lost something on its way is told from the whole one."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from asrpar.errors import DataError


@dataclass(frozen=True)
class Count:
    """One number that was counted, and what it is in the whole corpus.

    Attributes:
        what: is counted, as a message says it: ``utterances of train``, ``hours``.
        found: here.
        expected: in the corpus as distributed; several where editions differ.
        tolerance: how far off it may be, for what is measured (hours) or depends on the version of a file.
    """

    what: str
    found: float
    expected: float | tuple[float, ...]
    tolerance: float = 0.0

    @property
    def difference(self) -> float:
        """How many more there are than in the nearest of the expected numbers; 0.0 within the tolerance."""
        several = self.expected if isinstance(self.expected, tuple) else (self.expected,)
        off = min((self.found - n for n in several), key=abs)
        return off if abs(off) > self.tolerance else 0.0

    def __str__(self) -> str:
        several = self.expected if isinstance(self.expected, tuple) else (self.expected,)
        off = self.difference
        wanted = " or ".join(map(_number, several))
        return f"{self.what}: {_number(self.found)} instead of {wanted} ({_number(abs(off))} too {_way(off)})"


def check_counts(corpus: str, folder: Path, counts: Iterable[Count]) -> None:
    """Compare all ``counts`` with those of the whole corpus.

    Args:
        corpus: its name, for the message.
        folder: what was counted.
        counts: each of them is told if it is off.

    Raises:
        DataError: naming each count that differs, and by how much.
    """
    counts = list(counts)
    wrong = [str(count) for count in counts if count.difference]
    if wrong:
        raise DataError(
            f"{folder}: {len(wrong)} of {len(counts)} counts are not those of {corpus}: {'; '.join(wrong)}. If it "
            "holds a part of the corpus on purpose, say so with --partial"
        )


def _number(value: float) -> str:
    return f"{int(value):,}" if value == int(value) else f"{value:,.2f}"


def _way(off: float) -> str:
    return "many" if off > 0 else "few"
