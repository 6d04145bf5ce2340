"""One memory-mapped file for many utterances, lossless.

A shard is a ``.npy`` file of shape (frames of many utterances, C): loading an utterance is a copy of contiguous memory,
several processes on a machine share one copy of the pages, and a corpus makes tens of files, not millions.
"""

import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

import numpy as np
from lhotse.features.io import FeaturesReader, FeaturesWriter, register_reader, register_writer

from asrpar.feats.storages.contract import FeatureStorage, plain
from asrpar.rules import one_of


@dataclass
class Settings:
    """Settings of shards.

    Attributes:
        dtype: float32, or float16 for half the disk space.
    """

    dtype: str = "float32"

    def validate(self) -> None:
        one_of(self, "dtype", ("float32", "float16"))


@register_writer
class ShardWriter(FeaturesWriter):
    """Appends matrices (T, C) to one .npy file; the key that `write` returns is ``first_row:rows``."""

    name = "asrpar_shard"

    def __init__(self, storage_path: str | Path, dtype: str = "float32") -> None:
        self._path = str(storage_path)
        self._dtype = np.dtype(dtype)
        self._rows = 0
        self._columns: int | None = None
        self._file: BinaryIO = open(self._path, "wb")  # noqa: SIM115 - closed by close()

    @property
    def storage_path(self) -> str:
        return self._path

    def _header(self) -> None:
        header = {"descr": self._dtype.str, "fortran_order": False, "shape": (self._rows, self._columns or 0)}
        # numpy leaves room in the header for the first axis to grow, so it can be written again in place.
        np.lib.format.write_array_header_1_0(self._file, header)

    def write(self, key: str, value: np.ndarray) -> str:
        if self._columns is None:
            self._columns = value.shape[1]
            self._header()
        self._file.write(np.ascontiguousarray(value, dtype=self._dtype).data)
        first, self._rows = self._rows, self._rows + len(value)
        return f"{first}:{len(value)}"

    def close(self) -> None:
        if not self._file.closed:
            self._file.seek(0)
            self._header()
            self._file.close()

    def __exit__(self, *args: object) -> None:
        self.close()


@lru_cache(maxsize=4096)
def _open_shard(path: str, changed: int) -> np.ndarray:
    return np.load(plain(path), mmap_mode="r", allow_pickle=False)


class Storage(FeatureStorage):
    """Shards of some hundred utterances each."""

    kind = ShardWriter.name

    @property
    def dtype(self) -> str:
        return self.settings.dtype

    def writer(self, folder: Path, final_folder: Path, shard: int) -> FeaturesWriter:
        return ShardWriter(folder / f"{shard:05d}.npy", self.dtype)

    @staticmethod
    def read(path: str, key: str) -> np.ndarray:
        first, rows = (int(x) for x in key.split(":"))
        # The time of the last change is part of the cache's key: features may be extracted again.
        found = _open_shard(path, os.stat(path).st_mtime_ns)[first : first + rows]
        if len(found) != rows:
            raise ValueError(f"{path} ends before row {first + rows}")
        return found


@register_reader
class ShardReader(FeaturesReader):
    """Reads what `ShardWriter` wrote."""

    name = ShardWriter.name

    def __init__(self, storage_path: str | Path, *args: object) -> None:
        self._path = str(storage_path)

    def read(self, key: str, left_offset_frames: int = 0, right_offset_frames: int | None = None) -> np.ndarray:
        found = Storage.read(self._path, key)[left_offset_frames:right_offset_frames]
        # Labels of alignments, which lie in such files, too, stay integers.
        return np.array(found, dtype=np.float32 if found.dtype.kind == "f" else found.dtype)
