"""Reading stored matrices without Lhotse, which training would otherwise import for nothing else."""

import os
from functools import lru_cache
from pathlib import Path

import numpy as np

from asrpar.errors import DataError


@lru_cache(maxsize=4096)
def _open_shard(path: str, changed: int) -> np.ndarray:
    return np.load(_plain(path), mmap_mode="r", allow_pickle=False)


def read_shard(path: str, key: str) -> np.ndarray:
    """The rows ``key`` ("first:count") of a shard as a memory-mapped view, (T, C) float32 or float16.

    Raises ValueError if the shard does not hold them.
    """
    first, rows = (int(x) for x in key.split(":"))
    # The time of the last change is part of the cache's key: features may be extracted again.
    found = _open_shard(path, os.stat(path).st_mtime_ns)[first : first + rows]
    if len(found) != rows:
        raise ValueError(f"{path} ends before row {first + rows}")
    return found


@lru_cache(maxsize=64)
def _open_scp(path: str, changed: int) -> dict[str, str]:
    with open(_plain(path), encoding="utf-8") as f:
        return dict(line.rstrip("\n").split(maxsplit=1) for line in f)


def read_kaldi(scp: str, key: str) -> np.ndarray:
    """One matrix (T, C) of a Kaldi scp file; the archive is looked for beside the scp first, so folders may move."""
    import kaldiio

    archive, _, offset = _open_scp(scp, os.stat(scp).st_mtime_ns)[key].rpartition(":")
    beside = Path(scp).with_name(Path(archive).name)
    # Opened here and not by kaldiio, which would run what ends in "|" as a command and unpickle other contents.
    with open(_plain(beside if beside.exists() else archive), "rb") as f:
        f.seek(int(offset))
        if f.read(2) != b"\0B":
            raise ValueError(f"no binary Kaldi matrix at {archive}:{offset}")
        f.seek(int(offset))
        return kaldiio.matio.read_kaldi(f)


def read_stored(kind: str, path: str, key: str) -> np.ndarray:
    """One matrix (T, C) from a storage of stage 2, by Lhotse's name for its kind.

    Raises:
        DataError: another kind: some of Lhotse's unpickle what they find, or fetch it from an address.
        Of damaged files, whatever their reader raises.
    """
    if kind == "asrpar_shard":
        return read_shard(path, key)
    if kind == "kaldiio":
        return read_kaldi(path, key)
    if kind == "numpy_files":
        return np.load(_plain(Path(path) / key), allow_pickle=False)
    if kind == "lilcom_chunky":
        from lhotse.features.io import LilcomChunkyReader

        return LilcomChunkyReader(_plain(path)).read(key)
    raise DataError(
        f"features in storage '{kind}' are not read, only those of stage 2 (asrpar extract-features): asrpar_shard, "
        "kaldiio, numpy_files, lilcom_chunky"
    )


def _plain(path: str | Path) -> str:
    if not Path(path).is_file():
        raise ValueError(f"no file {path}")
    return str(path)
