"""Pieces of a .npy file, read when they are asked for.

Not mapped: pages of a mapped file that was read all over count as memory of each process that has it.
"""

import os
from math import prod
from pathlib import Path

import numpy as np


class Rows:
    """A .npy file of integers.

    Attributes:
        shape: of the whole array.
        dtype: of its values.

    Raises:
        OSError, ValueError: it is missing, or no such file.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")  # closed with the last who has it
        version = np.lib.format.read_magic(self._file)
        if version != (1, 0):
            raise ValueError(f"{path.name} is of numpy's format {version}")
        self.shape, in_columns, self.dtype = np.lib.format.read_array_header_1_0(self._file)
        if in_columns or self.dtype.kind not in "iu" or not self.shape:
            raise ValueError(f"{path.name} holds no rows of integers")
        self._begin, self._row = self._file.tell(), self.dtype.itemsize * prod(self.shape[1:])
        if self._begin + len(self) * self._row > os.fstat(self._file.fileno()).st_size:
            raise ValueError(f"{path.name} is cut short")

    def __len__(self) -> int:
        return self.shape[0]

    def read(self, first: int, count: int) -> np.ndarray:
        """``count`` rows from ``first`` on, which are there."""
        # With its own place in the file, as threads read at the same time.
        data = os.pread(self._file.fileno(), count * self._row, self._begin + first * self._row)
        return np.frombuffer(data, self.dtype).reshape(count, *self.shape[1:])
