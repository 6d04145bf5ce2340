"""Where the arrays of a language model lie: in memory, or on disk, mapped, so that models need not fit into memory.

What was looked at of mapped arrays is given back after each piece of work, so that it does not count as memory of the
process; the kernel keeps what it has room for.
"""

import mmap
import os
import tempfile
import weakref
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

PIECE = 1 << 20  # values at once


class Shelf(ABC):
    """Makes arrays."""

    @abstractmethod
    def zeros(self, size: int, dtype: np.dtype | type = np.float64) -> np.ndarray:
        """(size,) of zeros."""

    @abstractmethod
    def growing(self, dtype: np.dtype | type) -> "Growing":
        """An array that is not there yet."""

    def parts(self, size: int) -> Iterator[slice]:
        """Slices of so many values that are worked on at once."""
        for at in range(0, size, PIECE):
            yield slice(at, min(at + PIECE, size))
            self.release()

    def release(self) -> None:
        """Give back what was only looked at."""

    def keep(self, array: np.ndarray) -> np.ndarray:
        """``array`` as one of these."""
        found = self.growing(array.dtype)
        found.append(array)
        return found.done()


class Growing(ABC):
    """An array that pieces are appended to."""

    @abstractmethod
    def append(self, piece: np.ndarray) -> None:
        """Put values to its end."""

    @abstractmethod
    def done(self) -> np.ndarray:
        """All of them."""


class Memory(Shelf):
    """Arrays in memory."""

    def zeros(self, size: int, dtype: np.dtype | type = np.float64) -> np.ndarray:
        return np.zeros(size, dtype)

    def growing(self, dtype: np.dtype | type) -> Growing:
        return _InMemory(dtype)

    def keep(self, array: np.ndarray) -> np.ndarray:
        return array


class _InMemory(Growing):
    def __init__(self, dtype: np.dtype | type) -> None:
        self._pieces = [np.zeros(0, dtype)]

    def append(self, piece: np.ndarray) -> None:
        self._pieces.append(np.asarray(piece, self._pieces[0].dtype))

    def done(self) -> np.ndarray:
        return np.concatenate(self._pieces)


class Disk(Shelf):
    """Arrays in files without names, of which nothing is left when nobody has them any more, or the process is killed.

    Args:
        folder: on a disk with room for them; it is made.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._maps: list[weakref.ref[mmap.mmap]] = []

    def zeros(self, size: int, dtype: np.dtype | type = np.float64) -> np.ndarray:
        if not size:
            return np.zeros(0, dtype)
        with self._file() as file:
            # All of it now: writing to a mapped file on a full disk ends the process without a word.
            os.posix_fallocate(file.fileno(), 0, size * np.dtype(dtype).itemsize)
            return self.mapped(file, dtype, size)

    def growing(self, dtype: np.dtype | type) -> Growing:
        return _OnDisk(self, self._file(), np.dtype(dtype))

    def release(self) -> None:
        self._maps = [one for one in self._maps if one() is not None]
        for one in self._maps:
            # Of a shared mapping nothing is lost by it.
            if (found := one()) is not None:
                found.madvise(mmap.MADV_DONTNEED)

    def mapped(self, file: BinaryIO, dtype: np.dtype | type, size: int) -> np.ndarray:
        """The first ``size`` values of a file."""
        found = np.memmap(file, dtype, "r+", shape=(size,))
        self._maps.append(weakref.ref(found._mmap))
        return found

    def _file(self) -> BinaryIO:
        return tempfile.TemporaryFile(dir=self._folder)


class _OnDisk(Growing):
    def __init__(self, shelf: Disk, file: BinaryIO, dtype: np.dtype) -> None:
        self._shelf, self._file, self._dtype, self._size = shelf, file, dtype, 0

    def append(self, piece: np.ndarray) -> None:
        self._file.write(np.ascontiguousarray(piece, self._dtype).data)
        self._size += len(piece)

    def done(self) -> np.ndarray:
        with self._file:
            self._file.flush()
            if not self._size:
                return np.zeros(0, self._dtype)
            return self._shelf.mapped(self._file, self._dtype, self._size)


MEMORY = Memory()
