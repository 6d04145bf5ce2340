"""Features and alignments in Kaldi's archives (``.ark`` with ``.scp``), through kaldiio.

kaldiio would also unpickle data and start commands named in an scp file; both are refused here before it sees them.
"""

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from kaldiio import matio

from asrpar.corpus.kaldi.tables import Table, check_key, read_table
from asrpar.corpus.matrices import damage
from asrpar.corpus.problems import Problems
from asrpar.errors import DataError
from asrpar.files.replacing import replacing

Items = Iterable[tuple[str, np.ndarray]]
_BROKEN = (ValueError, AssertionError, EOFError, RuntimeError, OSError, MemoryError, TypeError)


def write_matrices(ark: str | Path, items: Items, compression: int | None = None) -> Path:
    """Write features; ``items`` may be a generator. Both files appear whole or not at all.

    Args:
        ark: the archive; the scp file is beside it, with the ending ``.scp`` and absolute paths.
        items: (utterance id, float32 (T, C)), in the order they are to have; Kaldi wants them sorted.
        compression: None, or Kaldi's method 1 (automatic: about one byte a value) to 7.

    Returns:
        The scp file.

    Raises:
        DataError: nothing to write, a double or impossible id, an array that is empty, not float32 (T, C), of another
            C than the first, or not finite.
    """
    if compression is not None and compression not in range(1, 8):
        raise DataError(f"compression {compression}: Kaldi has the methods 1 to 7")
    width: list[int] = []

    def check(key: str, array: np.ndarray) -> np.ndarray:
        _check(key, array, np.float32, 2)
        if not np.isfinite(array).all():
            raise DataError(f"{key}: the features hold NaN or infinity")
        if width and array.shape[1] != width[0]:
            raise DataError(f"{key}: {array.shape[1]} features a frame, the others have {width[0]}")
        width.append(array.shape[1])
        del width[1:]
        return np.ascontiguousarray(array)

    return _write(Path(ark), items, check, compression)


def write_alignments(ark: str | Path, items: Items) -> Path:
    """Write alignments: one label a frame, int32 (T,). Otherwise as `write_matrices`.

    Kaldi's form of alignments is what the alignment stage of hybrid models reads and writes; CTC needs none.

    Raises:
        DataError: nothing to write, a double or impossible id, an array that is empty or not int32 (T,).
    """

    def check(key: str, array: np.ndarray) -> np.ndarray:
        _check(key, array, np.int32, 1)
        return array

    return _write(Path(ark), items, check, None)


def read_matrices(path: str | Path) -> Iterator[tuple[str, np.ndarray]]:
    """Read features, one at a time, in the order of the file.

    Args:
        path: an ``.ark`` file, or a ``.scp`` file (relative paths in it are relative to the current folder).

    Yields:
        (utterance id, float32 (T, C)); double precision and compressed matrices are converted.

    Raises:
        DataError: a missing or damaged file, an entry that is a command or no matrix, NaN or infinity.
    """
    for key, array in _read(Path(path)):
        yield key, _as_matrix(key, array, Path(path))


def read_alignments(path: str | Path) -> Iterator[tuple[str, np.ndarray]]:
    """Read alignments, one at a time: (utterance id, int32 (T,)). Otherwise as `read_matrices`.

    For the alignment stage of hybrid models, as `write_alignments`.

    Raises:
        DataError: a missing or damaged file, an entry that is a command or no vector of whole numbers.
    """
    for key, array in _read(Path(path)):
        if array.ndim != 1 or array.size == 0 or array.dtype != np.int32:
            raise DataError(f"{path}: {key} is no vector of int32, but {array.dtype} {array.shape}")
        yield key, array


def _as_matrix(key: str, array: np.ndarray, path: Path) -> np.ndarray:
    if array.ndim != 2 or array.size == 0:
        raise DataError(f"{path}: {key} is no matrix (T, C) with frames, its shape is {array.shape}")
    array = array.astype(np.float32, copy=False)
    if not np.isfinite(array).all():
        raise DataError(f"{path}: {key} holds NaN or infinity")
    return array


def _check(key: str, array: Any, dtype: type, ndim: int) -> None:
    wanted = f"{np.dtype(dtype)} ({'T, C' if ndim == 2 else 'T,'})"
    if not isinstance(array, np.ndarray) or array.dtype != dtype or array.ndim != ndim:
        got = f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else type(array).__name__
        raise DataError(f"{key}: expected {wanted}, got {got}")
    if array.size == 0:
        raise DataError(f"{key}: there is nothing in it, its shape is {array.shape}")


def _write(ark: Path, items: Items, check: Any, compression: int | None) -> Path:
    ark = ark.absolute()
    if ark.suffix != ".ark":
        raise DataError(f"{ark}: an archive's name ends with .ark")
    scp = ark.with_suffix(".scp")
    ark.parent.mkdir(parents=True, exist_ok=True)
    seen: set[str] = set()
    with replacing(scp) as new_scp, replacing(ark) as new_ark:
        with new_ark.open("wb") as data, new_scp.open("w", encoding="utf-8") as index:
            for key, array in items:
                check_key(key)
                if key in seen:
                    raise DataError(f"{key} occurs twice")
                seen.add(key)
                array = check(key, array)
                data.write(key.encode() + b" ")
                index.write(f"{key} {ark}:{data.tell()}\n")
                matio.write_array(data, array, compression_method=compression)
        if not seen:
            raise DataError(f"{ark}: nothing to write")
    return scp


def _read(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    if not path.is_file():
        raise DataError(f"no such file: {path}")
    if path.suffix == ".scp":
        yield from _read_scp(path)
        return
    with path.open("rb") as file:
        while (key := read_key(file, path)) is not None:
            yield key, read_array_at(file, path, key)


def read_key(file: BinaryIO, path: Path) -> str | None:
    """The id of the next entry of an open archive, called ``path`` in messages; None at its end.

    Raises:
        DataError: there is no id.
    """
    try:
        key = matio.read_token(file)
    except UnicodeDecodeError as e:
        raise DataError(f"{path} is damaged or no Kaldi archive (at byte {file.tell()})") from e
    if key is None:
        return None
    key = key.strip()  # an entry in text form ends with a line break
    if not key:
        if file.read(1) == b"":
            return None
        raise DataError(f"{path} is damaged or no Kaldi archive (at byte {file.tell()})")
    return key


def read_scp(path: str | Path) -> dict[str, tuple[str, int]]:
    """Where the entries of an scp file lie: utterance id → (archive, byte offset), in the order of the file.

    Raises:
        DataError: no table, an entry that is a command or a range of rows, or whose archive is not there.
    """
    path = Path(path)
    problems = Problems(str(path.parent))
    rows = read_table(problems, path, "utterance archive:offset", ordered=False)
    problems.refuse()
    return scp_entries(path, rows)


def scp_entries(path: Path, rows: Table) -> dict[str, tuple[str, int]]:
    """What `read_scp` gives, of a table that has been read: ``rows`` of the file ``path``."""
    entries: dict[str, tuple[str, int]] = {}
    there: set[str] = set()
    for key, row in rows.items():
        match = re.fullmatch(r"(?P<ark>.+?)(:(?P<offset>\d{1,18}))?", row.value)
        if match is None or "|" in (row.value[0], row.value[-1]):
            raise DataError(f"{path}:{row.place.line}: '{row.value}' is a command; commands in data are not run")
        if row.value.endswith("]"):
            raise DataError(f"{path}:{row.place.line}: ranges of rows ('{row.value}') are not read")
        if match["ark"] not in there:
            if not Path(match["ark"]).is_file():
                raise DataError(f"{path}:{row.place.line}: no such file: {match['ark']}")
            there.add(match["ark"])
        entries[key] = match["ark"], int(match["offset"] or 0)
    return entries


def read_matrix(key: str, archive: str, offset: int) -> np.ndarray:
    """One entry of `read_scp` as features, float32 (T, C).

    Raises:
        DataError: damaged, no matrix with frames, NaN, infinity or absurd values.
    """
    with open(archive, "rb") as file:
        file.seek(offset)
        array = _as_matrix(key, read_array_at(file, Path(archive), key), Path(archive))
    fault = damage(array)
    if fault:
        raise DataError(f"{archive}: {key} {fault}")
    return array


def _read_scp(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    name, file = "", None
    try:
        for key, (archive, offset) in read_scp(path).items():
            if archive != name or file is None:
                if file:
                    file.close()
                name, file = archive, open(archive, "rb")  # noqa: SIM115 - kept open over many lines
            file.seek(offset)
            yield key, read_array_at(file, path, key)
    finally:
        if file:
            file.close()


def read_array_at(file: BinaryIO, path: Path, key: str) -> np.ndarray:
    """The matrix or vector of entry ``key`` of an open archive, called ``path`` in messages.

    Raises:
        DataError: there is none, or it is damaged.
    """
    begin = file.read(5)
    file.seek(-len(begin), os.SEEK_CUR)
    if not (begin.startswith(b"\0B") or re.match(rb"\s*\[", begin)):
        raise DataError(f"{path}: {key} is no matrix or vector in Kaldi's form")
    try:
        return matio.read_kaldi(file)
    except Exception as e:
        if not isinstance(e, _BROKEN) and type(e).__name__ != "error":  # struct.error
            raise
        raise DataError(f"{path} is cut short or damaged at {key}: {e or type(e).__name__}") from e
