"""In which row a string stands, among millions that are not in memory."""

import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from asrpar.files.columns import Strings


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
        self._latest: tuple[Any, np.ndarray] | None = None

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
        """(n,) where each of others stands, -1 for those that do not; quick if most are in the same order.

        The answer to the latest question is kept, so that who asks again with the same object need not wait.
        """
        if self._latest is not None and self._latest[0] is others:
            return self._latest[1]
        found, expected, count = np.empty(len(others), np.int32), 0, len(self.strings)
        for number, one in enumerate(others):
            row = expected if expected < count and self.strings[expected] == one else self.row(one)
            found[number] = row
            expected = row + 1 if row >= 0 else expected
        self._latest = others, found
        return found
