"""In which row a string stands, among millions that are not in memory."""

import zlib
from collections.abc import Sequence
from itertools import islice
from typing import Any

import numpy as np

from asrpar.files.columns import Strings

# Strings that are looked for at once.
_BLOCK = 2**16


class Finder:
    """Finds strings by their checksums, without a dict of them, which would take 200 bytes for each.

    Args:
        strings: all different.
        sums: (n,) uint32, their checksums in ascending order; None to make them.
        rows: (n,) int32, whose they are.
    """

    def __init__(self, strings: Strings, sums: np.ndarray | None = None, rows: np.ndarray | None = None) -> None:
        if sums is None or rows is None:
            own = np.fromiter((zlib.crc32(one.encode()) for one in strings), np.uint32, len(strings))
            rows = np.argsort(own, kind="stable").astype(np.int32)
            sums = own[rows]
        if not len(strings) == len(sums) == len(rows):
            raise ValueError(f"{len(sums)} checksums of {len(strings)} strings")
        self.strings, self.sums, self.rows = strings, sums, rows
        self._kept: tuple[Any, np.ndarray] | None = None

    def row(self, one: str) -> int:
        """Where a string stands; -1 if it is not there."""
        wanted = np.uint32(zlib.crc32(one.encode()))
        at = int(np.searchsorted(self.sums, wanted))
        while at < len(self.sums) and self.sums[at] == wanted:
            row = self.rows.item(at)
            if self.strings[row] == one:
                return row
            at += 1
        return -1

    def rows_of(self, others: Sequence[str]) -> np.ndarray:
        """(n,) int32, where each of others stands, -1 for those that do not.

        The answer to the longest question is kept, so that who asks again with the same object need not wait.
        """
        if self._kept is not None and self._kept[0] is others:
            return self._kept[1]
        found, names = np.full(len(others), -1, np.int32), iter(others)
        for first in range(0, len(others) if len(self.strings) else 0, _BLOCK):
            block = [one.encode() for one in islice(names, _BLOCK)]
            found[first : first + len(block)] = self._rows(block)
        if self._kept is None or len(others) >= len(self._kept[1]):
            self._kept = others, found
        return found

    def _rows(self, names: list[bytes]) -> np.ndarray:
        wanted = np.fromiter(map(zlib.crc32, names), np.uint32, len(names))
        at = np.minimum(np.searchsorted(self.sums, wanted), len(self.sums) - 1)
        rows = self.rows[at]
        there = self.strings.equal(rows, names)
        found = np.where(there, rows, -1)
        # Another string of the same checksum may stand before it.
        for number in np.flatnonzero(~there & (self.sums[at] == wanted)).tolist():
            found[number] = self.row(names[number].decode())
        return found
