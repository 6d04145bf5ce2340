"""Alignments as Kaldi's recipes leave them: ``ali.*.gz``, ark and scp files, in binary form or as text."""

import gzip
import io
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
from kaldiio import matio

from asrpar.corpus.kaldi.ark import read_alignments, read_array_at, read_key
from asrpar.corpus.kaldi.tables import check_key
from asrpar.errors import DataError, MissingInputError
from asrpar.files.replacing import replacing

_GZIP = b"\x1f\x8b"


def label_files(path: str | Path) -> list[Path]:
    """The files of an alignment: ``ali.1.gz``, ``ali.2.gz``... of a folder in the order of their numbers, or one file.

    Raises:
        MissingInputError: there is none.
    """
    path = Path(path)
    if path.is_file():
        return [path]
    found = [p for p in path.glob("ali.*") if re.fullmatch(r"ali(\.\d+)?(\.ark|\.gz|\.ark\.gz|)", p.name)]
    numbered = {int(re.search(r"\.(\d+)", p.name)[1]) for p in found if re.search(r"\.\d+", p.name)}
    missing = set(range(1, max(numbered, default=0) + 1)) - numbered
    if not found or missing:
        which = f"ali.{min(missing)}.gz" if missing else "ali.1.gz, ali.2.gz..."
        raise MissingInputError(f"{path} has no {which}: give a folder of Kaldi's with an alignment, or an ark file")
    return sorted(found, key=lambda p: ([int(n) for n in re.findall(r"\d+", p.name)], p.name))


def read_labels(path: str | Path) -> Iterator[tuple[str, np.ndarray]]:
    """Labels of utterances, one a frame: (id, int32 (T,)), in the order of the files.

    Args:
        path: see `label_files`; gzipped files are unpacked one at a time.

    Raises:
        MissingInputError: there is no such file.
        DataError: a damaged file, one of other things, or an utterance that occurs twice.
    """
    seen: set[str] = set()
    for file in label_files(path):
        for key, labels in _read(file):
            if key in seen:
                raise DataError(f"{file}: {key} occurs twice")
            seen.add(key)
            yield key, labels


def _read(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    if path.suffix == ".scp":
        yield from read_alignments(path)
        return
    with path.open("rb") as file:
        packed = file.read(2) == _GZIP
    if packed:
        try:
            with gzip.open(path) as file:
                whole = io.BytesIO(file.read())  # kaldiio goes back and forth, which unpacks from the beginning again
        except (EOFError, zlib.error, gzip.BadGzipFile) as e:
            raise DataError(f"{path} is cut short or damaged") from e
        yield from _read_open(whole, path)
    else:
        with path.open("rb") as file:
            yield from _read_open(file, path)


def _read_open(file: BinaryIO, path: Path) -> Iterator[tuple[str, np.ndarray]]:
    begin = file.read(4096)
    file.seek(0)
    rest = begin.partition(b" ")[2]
    if rest[:2] == b"\0B" or not begin:
        while (key := read_key(file, path)) is not None:
            labels = read_array_at(file, path, key)
            if labels.ndim != 1 or labels.dtype != np.int32:
                raise DataError(f"{path}: {key} is no vector of int32, but {labels.dtype} {labels.shape}")
            yield key, labels
        return
    for number, line in enumerate(file, 1):
        try:
            key, *labels = line.decode("utf-8").split()
            yield key, np.array([int(x) for x in labels], np.int32)
        except (ValueError, OverflowError) as e:
            raise DataError(f"{path}:{number}: expected an utterance and its labels, whole numbers") from e


def write_labels(path: str | Path, items: Iterator[tuple[str, np.ndarray]]) -> None:
    """Write ``ali.1.gz`` as Kaldi's scripts do: int32 vectors by utterance, in the order of ``items``.

    Raises:
        DataError: an impossible id.
    """
    # Without a time in it, so that the same alignment is the same file.
    with replacing(path) as temporary, temporary.open("wb") as raw, gzip.GzipFile("", "wb", 6, raw, mtime=0) as file:
        for key, labels in items:
            check_key(key)
            file.write(key.encode() + b" ")
            matio.write_array(file, np.ascontiguousarray(labels, np.int32))
