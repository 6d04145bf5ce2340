"""Kaldi's objects in files: tokens, numbers and vectors of them, as text or in binary form."""

import re
import struct
from pathlib import Path

import numpy as np

from asrpar.errors import DataError
from asrpar.files.paths import require_file

BINARY = b"\0B"
_WORD = re.compile(rb"\S+")


class Stream:
    """Reads the objects of a file one after the other; whether it is text or binary its first bytes say.

    What does not fit raises `DataError` with the file and the place.
    """

    def __init__(self, data: bytes, name: str) -> None:
        self._data, self._name = data, name
        self._binary = data.startswith(BINARY)
        self._at = len(BINARY) if self._binary else 0

    @classmethod
    def of_file(cls, path: str | Path, made_by: str = "") -> "Stream":
        """Of a whole file, which is held in memory.

        Raises:
            MissingInputError: there is no such file.
        """
        require_file(Path(path), made_by)
        return cls(Path(path).read_bytes(), str(path))

    def error(self, wanted: str) -> DataError:
        """What to raise where something else was ``wanted``."""
        line = 1 + self._data.count(b"\n", 0, self._at)
        where = f"byte {self._at}" if self._binary else f"line {line}"
        found = self._data[self._at : self._at + 20].split(b"\n")[0]
        what = "it ends" if self._at >= len(self._data) else repr(found.decode("ascii", "replace"))
        return DataError(f"{self._name}: expected {wanted} at {where}, where {what}")

    def peek(self) -> str:
        """The next token, which stays the next one; empty at the end."""
        found = _WORD.search(self._data, self._at)
        return found[0].decode("utf-8", "replace") if found else ""

    def token(self) -> str:
        """The next token."""
        found = _WORD.search(self._data, self._at)
        if found is None:
            raise self.error("more")
        self._at = found.end() + 1  # white space behind it belongs to it, and is one byte in binary form
        return found[0].decode("utf-8", "replace")

    def expect(self, *tokens: str) -> None:
        """Read tokens that have to be there."""
        for token in tokens:
            if self.peek() != token:
                raise self.error(token)
            self.token()

    def integer(self) -> int:
        """An integer."""
        if self._binary:
            return int(self._number("an integer", {4: "<i", -4: "<I", 1: "<b", 2: "<h", 8: "<q"}))
        return self._parse(int, "an integer")

    def real(self) -> float:
        """A number."""
        if self._binary:
            return float(self._number("a number", {4: "<f", 8: "<d"}))
        return self._parse(float, "a number")

    def _parse(self, kind: type, what: str) -> int | float:
        try:
            found = kind(self.peek())
        except ValueError as e:
            raise self.error(what) from e
        self.token()
        return found

    def _number(self, what: str, kinds: dict[int, str]) -> int | float:
        size = struct.unpack_from("<b", self._data, self._at)[0] if self._at < len(self._data) else 0
        kind = kinds.get(size)
        if kind is None or self._at + 1 + abs(size) > len(self._data):
            raise self.error(what)
        found = struct.unpack_from(kind, self._data, self._at + 1)[0]
        self._at += 1 + abs(size)
        return found

    def integers(self) -> np.ndarray:
        """A vector of integers, such as those of phones."""
        if self._binary:
            if self._data[self._at : self._at + 1] != b"\4":
                raise self.error("a vector of integers")
            self._at += 1
            return self._array("<i4", "a vector of integers")
        return np.array(self._bracketed(int, "a vector of integers"), np.int64)

    def reals(self) -> np.ndarray:
        """A vector of numbers, in float64."""
        if self._binary:
            kinds = {"FV": "<f4", "DV": "<f8"}
            if self.peek() not in kinds:
                raise self.error("a vector")
            kind = kinds[self.token()]
            if self._data[self._at : self._at + 1] != b"\4":
                raise self.error("the size of a vector")
            self._at += 1
            return self._array(kind, "a vector").astype(np.float64)
        return np.array(self._bracketed(float, "a vector"), np.float64)

    def _array(self, kind: str, what: str) -> np.ndarray:
        size = np.dtype(kind).itemsize
        count = struct.unpack_from("<i", self._data, self._at)[0] if self._at + 4 <= len(self._data) else -1
        if count < 0 or self._at + 4 + count * size > len(self._data):
            raise self.error(what)
        found = np.frombuffer(self._data, kind, count, self._at + 4)
        self._at += 4 + count * size
        return found.astype(np.int64) if kind == "<i4" else found

    def _bracketed(self, kind: type, what: str) -> list:
        if self.peek() != "[":
            raise self.error(what)
        self.token()
        found = []
        while self.peek() != "]":
            found.append(self._parse(kind, f"{what}, or its ]"))
        self.token()
        return found
