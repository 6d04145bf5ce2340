"""One set of an ALI folder: what is in its arrays about each utterance, read when it is asked for."""

import gzip
import json
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from asrpar.errors import DataError
from asrpar.files.paths import check_opens, require_file
from asrpar.files.rows import Rows
from asrpar.hmm.alignment_index import Places, checksum, fingerprint, index_of, read_index, read_supervisions

T = TypeVar("T")
MADE_BY = "asrpar align (stage 4)"
_BLOCK, _ROWS = 1 << 20, 1 << 12  # labels, and utterances, at once
_DAMAGE = (
    OSError, EOFError, ValueError, KeyError, TypeError, AttributeError, OverflowError, zlib.error, zipfile.BadZipFile,
)  # fmt: skip


class AlignedSet:
    """The files of one set.

    Args:
        folder: ALI.
        name: of the set.
        num_pdfs: all labels are below it.
        indexed: whether its index is to be used: not where files may have been changed since.

    Raises:
        MissingInputError, DataError: files that are missing or damaged.
    """

    def __init__(self, folder: Path, name: str, num_pdfs: int, indexed: bool) -> None:
        self.folder, self.name = folder, name
        self.supervisions = folder / f"supervisions_{name}.jsonl.gz"
        require_file(self.supervisions, MADE_BY)
        try:
            places = read_index(index_of(folder, name)) if indexed else None
            self.places: Places = places or read_supervisions(self.supervisions)
            self.pdfs = Rows(folder / f"pdfs_{name}.npy")
            self.phones, self.classes = self._rows("phones"), self._rows("classes")
            self._check(num_pdfs)
        except _DAMAGE as e:
            check_opens(self.supervisions)
            raise self.damaged(str(e)) from e

    def damaged(self, what: str) -> DataError:
        """To be raised where a file is not as it should be."""
        return DataError(f"the alignment of {self.name} in {self.folder} is damaged ({what}): run {MADE_BY} again")

    def labels(self, row: int) -> np.ndarray:
        """(T,) int32 pdfs of an utterance."""
        found = self._read(self.pdfs, *self.places.labels_at(row))
        prints = self.places.fingerprints
        if prints is not None and fingerprint(found) != prints[row].tobytes():
            raise self.damaged(f"the labels of {self.places.ids[row]} are others than were written")
        return found

    def phones_of(self, row: int) -> tuple[np.ndarray, np.ndarray | None]:
        """(n, 3) int32 phones of an utterance, and (T,) int32 their pdf classes where there is a file of them."""
        phones = self._read(self.phones, *self.places.phones_at(row))
        classes = None if self.classes is None else self._read(self.classes, *self.places.labels_at(row))
        sums = self.places.checksums
        if sums is not None and checksum(phones, classes) != sums[row]:
            raise self.damaged(f"the phones of {self.places.ids[row]} are others than were written")
        return phones, classes

    def fingerprints(self, ids: Sequence[str]) -> Iterator[str]:
        """What tells labels from others, for each of these utterances; empty where it has none."""
        prints, rows = self.places.fingerprints, self.places.finder.rows_of(ids)
        for first in range(0, len(rows), _ROWS):
            some = rows[first : first + _ROWS]
            if prints is None or not len(prints):
                yield from ("" if row < 0 else fingerprint(self.labels(row)).hex() for row in some.tolist())
                continue
            # Of all at once: one by one they take a second for each million.
            digits, width = prints[some].tobytes().hex(), 2 * prints.shape[1]
            for at, row in enumerate(some.tolist()):
                yield digits[at * width : (at + 1) * width] if row >= 0 else ""

    def entries(self) -> Iterator[dict[str, Any]]:
        """Supervisions, in their order."""
        try:
            with gzip.open(self.supervisions, "rt", encoding="utf-8") as file:
                for name, line in zip(self.places.ids, file, strict=True):
                    entry = json.loads(line)
                    if entry["id"] != name:
                        raise ValueError(f"{entry['id']} is where {name} was written")
                    yield entry
        except _DAMAGE as e:
            check_opens(self.supervisions)
            raise self.damaged(str(e)) from e

    def _rows(self, kind: str) -> Rows | None:
        path = self.folder / f"{kind}_{self.name}.npy"
        return Rows(path) if path.exists() else None

    def _read(self, rows: Rows, first: int, count: int) -> np.ndarray:
        try:
            return rows.read(first, count)
        except (OSError, ValueError) as e:
            raise self.damaged(str(e)) from e

    def _check(self, num_pdfs: int) -> None:
        """Raises ValueError."""
        name, (frames, phones) = self.name, self.places.totals
        if len(self.pdfs.shape) != 1 or self.pdfs.dtype != np.int32:
            raise ValueError(f"pdfs_{name}.npy is no vector of int32")
        if self.classes is not None and self.classes.shape != self.pdfs.shape:
            raise ValueError(f"classes_{name}.npy has other frames than pdfs_{name}.npy")
        if frames != len(self.pdfs):
            raise ValueError(f"pdfs_{name}.npy has {len(self.pdfs)} frames")
        if self.phones is not None and self.phones.shape != (phones, 3):
            raise ValueError(f"phones_{name}.npy is not ({phones}, 3)")
        if self.places.fingerprints is not None:
            return  # what was written was looked at
        for at in range(0, frames, _BLOCK):
            labels = self.pdfs.read(at, min(_BLOCK, frames - at))
            if not 0 <= labels.min() <= labels.max() < num_pdfs:
                raise ValueError(f"pdfs_{name}.npy has pdfs beyond the {num_pdfs} of the tree")


class OfUtterances(Mapping[str, T]):
    """What is known of the utterances of a set, made when it is asked for.

    Args:
        places: of the utterances.
        make: of a row.
    """

    def __init__(self, places: Places, make: Callable[[int], T]) -> None:
        self._places, self._make = places, make

    def __getitem__(self, utterance: str) -> T:
        row = self._places.finder.row(utterance)
        if row < 0:
            raise KeyError(utterance)
        return self._make(row)

    def __contains__(self, utterance: object) -> bool:
        return isinstance(utterance, str) and self._places.finder.row(utterance) >= 0

    def __iter__(self) -> Iterator[str]:
        return iter(self._places.ids)

    def __len__(self) -> int:
        return len(self._places.ids)
