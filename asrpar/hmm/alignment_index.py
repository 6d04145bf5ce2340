"""Where each utterance's labels lie in the arrays of an ALI folder, so that one of millions opens at once.

The index, ``index_SET.npz``, is written with the arrays. It holds digests of what it points to, too, so that arrays
need not be read as a whole to be trusted: an utterance's rows are compared when they are used.
"""

import gzip
import hashlib
import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from asrpar.files.columns import GrowingStrings, Strings, read_columns, write_columns
from asrpar.files.finder import Finder

FORMAT = 1


def index_of(folder: Path, name: str) -> Path:
    """Where the index of a set lies."""
    return folder / f"index_{name}.npz"


def fingerprint(labels: np.ndarray) -> bytes:
    """32 bytes that tell the labels of an utterance from others."""
    return hashlib.sha256(np.ascontiguousarray(labels, np.int32)).digest()


def checksum(*rows: np.ndarray | None) -> int:
    """Of an utterance's phones and pdf classes, None where there are none."""
    found = 0
    for one in rows:
        if one is not None:
            found = zlib.crc32(np.ascontiguousarray(one, np.int32), found)
    return found


class Places:
    """Of each utterance of a set, in their order, where its rows are.

    Attributes:
        ids: of the utterances.
        frames: (n,) int32, labels of each.
        phones: (n,) int32, likewise.
        fingerprints: (n, 32) uint8 of the labels; None where they were not written down.
        checksums: (n,) uint32 of phones and pdf classes; likewise.
        finder: of ids.
    """

    def __init__(
        self,
        ids: Strings,
        frames: np.ndarray,
        phones: np.ndarray,
        fingerprints: np.ndarray | None = None,
        checksums: np.ndarray | None = None,
        finder: Finder | None = None,
    ) -> None:
        self.ids, self.frames, self.phones = ids, frames, phones
        self.fingerprints, self.checksums = fingerprints, checksums
        self.finder = finder or Finder(ids)
        self._frame_ends, self._phone_ends = np.cumsum(frames, dtype=np.int64), np.cumsum(phones, dtype=np.int64)

    @property
    def totals(self) -> tuple[int, int]:
        """Labels, and phones, of all utterances."""
        return (int(self._frame_ends[-1]), int(self._phone_ends[-1])) if len(self.ids) else (0, 0)

    def labels_at(self, row: int) -> tuple[int, int]:
        """The first of an utterance's labels, and how many they are."""
        count = self.frames.item(row)
        return self._frame_ends.item(row) - count, count

    def phones_at(self, row: int) -> tuple[int, int]:
        """Likewise its phones."""
        count = self.phones.item(row)
        return self._phone_ends.item(row) - count, count


class Growing:
    """Places that are collected while the arrays are written."""

    def __init__(self) -> None:
        self._ids, self._numbers, self._prints = GrowingStrings(), [], bytearray()
        self._blocks = [np.zeros((0, 3), np.uint32)]

    def add(self, name: str, labels: np.ndarray, phones: np.ndarray | None, classes: np.ndarray | None) -> None:
        """One more utterance."""
        self._ids.append(name)
        self._numbers.append((len(labels), 0 if phones is None else len(phones), checksum(phones, classes)))
        self._prints += fingerprint(labels)
        if len(self._numbers) > 4096:
            self._pack()

    def _pack(self) -> None:
        self._blocks.append(np.array(self._numbers, np.uint32).reshape(-1, 3))
        self._numbers = []

    def write(self, path: Path) -> None:
        """Write the index."""
        self._pack()
        ids, numbers = self._ids.done(), np.concatenate(self._blocks)
        finder = Finder(ids)
        columns: dict[str, Any] = {
            "facts": np.frombuffer(json.dumps({"format": FORMAT}).encode(), np.uint8),
            "ids": ids,
        }
        columns |= {"frames": numbers[:, 0].astype(np.int32), "phones": numbers[:, 1].astype(np.int32)}
        columns |= {"checksums": numbers[:, 2], "sums": finder.sums, "rows": finder.rows}
        columns["fingerprints"] = np.frombuffer(self._prints, np.uint8).reshape(-1, 32)
        write_columns(path, columns)


def read_index(path: Path) -> Places | None:
    """The places that were written; None if a version wrote them that this one does not know.

    Raises:
        OSError, ValueError, KeyError, zipfile.BadZipFile: it is damaged.
    """
    columns = read_columns(path)
    if json.loads(bytes(columns["facts"]))["format"] != FORMAT:
        return None
    finder = Finder(columns["ids"], columns["sums"], columns["rows"])
    numbers = (columns[name] for name in ("frames", "phones", "fingerprints", "checksums"))
    return Places(columns["ids"], *numbers, finder)


def read_supervisions(path: Path) -> Places:
    """Places as the supervisions of a set tell them, for folders that have no index.

    Raises:
        OSError, EOFError, ValueError, KeyError, TypeError, zlib.error: it is damaged.
    """
    ids, numbers, expected = GrowingStrings(), [], 0
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for line in file:
            entry = json.loads(line)
            first, count = map(int, entry["custom"]["pdfs"]["array"]["storage_key"].split(":"))
            if first != expected:
                raise ValueError(f"labels of {entry['id']} are not behind those before it")
            expected += count
            ids.append(entry["id"])
            numbers.append((count, len((entry.get("alignment") or {}).get("phone", ()))))
    found, names = np.array(numbers, np.int32).reshape(-1, 2), ids.done()
    if (twice := names.repeated()) is not None:
        raise ValueError(f"{twice} is there twice")
    return Places(names, found[:, 0], found[:, 1])
