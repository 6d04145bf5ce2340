"""Long columns of numbers and strings in one file, which millions of rows do not fill the memory with.

A file is what `numpy.savez` writes, so ``numpy.load`` reads it anywhere. Here strings stay in the file, mapped into
memory, and processes of one machine share their pages.
"""

import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, overload

import numpy as np

from asrpar.files.replacing import replacing

_BLOCK, _ROWS = 2**20, 4096


class Strings(Sequence[str]):
    """Many strings in one array of bytes.

    Args:
        data: (bytes of all,) uint8, UTF-8, one behind the other.
        ends: (n,) int64, where each ends.
    """

    def __init__(self, data: np.ndarray, ends: np.ndarray) -> None:
        self.data, self.ends = data, ends
        self._view = memoryview(data)

    @classmethod
    def of(cls, strings: Iterable[str]) -> "Strings":
        """With these in it."""
        growing = GrowingStrings()
        for one in strings:
            growing.append(one)
        return growing.done()

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        index = range(len(self.ends))[index]
        return str(self._view[self.ends.item(index - 1) if index else 0 : self.ends.item(index)], "utf-8")

    def __len__(self) -> int:
        return len(self.ends)

    def __iter__(self) -> Iterator[str]:
        begin = 0
        for first in range(0, len(self.ends), _ROWS):
            for end in self.ends[first : first + _ROWS].tolist():
                yield str(self._view[begin:end], "utf-8")
                begin = end

    def equal(self, rows: np.ndarray, others: Sequence[bytes]) -> np.ndarray:
        """(n,) bool, whether the string in each of ``rows`` (n,) is what ``others`` have there, in UTF-8."""
        ends = self.ends[rows]
        begins = np.where(rows > 0, self.ends[rows - 1], 0)
        lengths = np.fromiter(map(len, others), np.int64, len(others))
        same = ends - begins == lengths
        asked = np.flatnonzero(same)
        lengths = lengths[asked]
        # Byte by byte, of all at once: whose each is, and where it stands here.
        whose = np.repeat(np.arange(len(asked)), lengths)
        offsets = begins[asked] - (np.cumsum(lengths) - lengths)
        own = self.data[offsets[whose] + np.arange(len(whose))]
        differ = own != np.frombuffer(b"".join(others[i] for i in asked.tolist()), np.uint8)
        same[asked[whose[differ]]] = False
        return same

    def repeated(self) -> str | None:
        """The first string that comes a second time; None if all differ."""
        sums = np.fromiter((zlib.crc32(one.encode()) for one in self), np.uint32, len(self))
        order = np.argsort(sums, kind="stable")
        same = np.flatnonzero(sums[order][1:] == sums[order][:-1])
        # Among millions some differ and have one sum all the same.
        suspects = np.unique(np.concatenate([order[same], order[same + 1]]))
        seen: set[str] = set()
        for one in (self[int(i)] for i in suspects):
            if one in seen:
                return one
            seen.add(one)
        return None


class GrowingStrings:
    """Strings that are collected one by one."""

    def __init__(self) -> None:
        self._data, self._ends, self._blocks = bytearray(), [0], [np.zeros(0, np.int64)]

    def append(self, one: str) -> None:
        """One more. Raises `ValueError` for half of a character."""
        self._data += one.encode()
        self._ends.append(len(self._data))
        if len(self._ends) > _ROWS:
            self._pack()

    def done(self) -> Strings:
        """All of them."""
        self._pack()
        return Strings(np.frombuffer(self._data, np.uint8), np.concatenate(self._blocks))

    def _pack(self) -> None:
        self._blocks.append(np.array(self._ends[1:], np.int64))
        self._ends = self._ends[-1:]


class Codes:
    """Strings of which there are few: each once, and which of them every row has."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def number(self, one: str) -> int:
        """Of a string, in the order in which they came."""
        return self._numbers.setdefault(one, len(self._numbers))

    def done(self) -> Strings:
        """By their numbers."""
        return Strings.of(self._numbers)


def write_columns(path: Path, columns: Mapping[str, np.ndarray | Strings]) -> None:
    """Write a file; strings become two arrays, ``NAME`` and ``NAME.ends``."""
    arrays: dict[str, np.ndarray] = {}
    for name, column in columns.items():
        if isinstance(column, Strings):
            arrays |= {name: column.data, f"{name}.ends": column.ends}
        else:
            arrays[name] = column
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as packed:
        for name, array in arrays.items():
            # A member without a date: the same columns are the same bytes.
            with packed.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.ascontiguousarray(array), (1, 0), allow_pickle=False)


def read_columns(path: Path) -> dict[str, np.ndarray | Strings]:
    """What `write_columns` wrote: numbers in memory, strings in the file.

    Raises:
        OSError, ValueError, zipfile.BadZipFile: it is missing or damaged.
    """
    found: dict[str, np.ndarray | Strings] = {}
    with zipfile.ZipFile(path) as packed, path.open("rb") as file:
        names = [info.filename.removesuffix(".npy") for info in packed.infolist()]
        for info, name in zip(packed.infolist(), names, strict=True):
            if info.compress_type != zipfile.ZIP_STORED:
                raise ValueError(f"{name} is compressed")
            with packed.open(info) as member:
                if f"{name}.ends" not in names:
                    found[name] = np.lib.format.read_array(member, allow_pickle=False)
                    continue
                while member.read(_BLOCK):  # which compares its checksum
                    pass
            found[name] = _mapped(path, file, info)
    for name in names:
        if name.endswith(".ends"):
            of, ends = name.removesuffix(".ends"), found.pop(name)
            if len(ends) and (ends[-1] != len(found[of]) or ends[0] < 0 or (np.diff(ends) < 0).any()):
                raise ValueError(f"{of} does not end where it should")
            found[of] = Strings(found[of], ends)
    return found


def _mapped(path: Path, file: BinaryIO, info: zipfile.ZipInfo) -> np.ndarray:
    """A member of bytes, in its place in the file."""
    file.seek(info.header_offset)
    local = file.read(30)
    file.seek(info.header_offset + 30 + int.from_bytes(local[26:28], "little") + int.from_bytes(local[28:30], "little"))
    np.lib.format.read_magic(file)
    shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    if dtype != np.uint8 or len(shape) != 1:
        raise ValueError(f"{info.filename} holds no strings")
    if not shape[0]:
        return np.zeros(0, np.uint8)
    return np.memmap(path, np.uint8, "r", file.tell(), shape)
