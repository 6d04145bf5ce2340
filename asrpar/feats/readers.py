"""Reading stored matrices without Lhotse, which training would otherwise import for nothing else."""

import os
from functools import lru_cache
from pathlib import Path

import numpy as np


@lru_cache(maxsize=4096)
def _open_shard(path: str, changed: int) -> np.ndarray:
    return np.load(path, mmap_mode="r", allow_pickle=False)


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
    with open(path, encoding="utf-8") as f:
        return dict(line.rstrip("\n").split(maxsplit=1) for line in f)


def read_kaldi(scp: str, key: str) -> np.ndarray:
    """One matrix (T, C) of a Kaldi scp file; the archive is looked for beside the scp first, so folders may move."""
    import kaldiio

    archive, _, offset = _open_scp(scp, os.stat(scp).st_mtime_ns)[key].rpartition(":")
    beside = Path(scp).with_name(Path(archive).name)
    # Opened here and not by kaldiio, which would run what ends in "|" as a command and unpickle other contents.
    with open(beside if beside.exists() else archive, "rb") as f:
        f.seek(int(offset))
        if f.read(2) != b"\0B":
            raise ValueError(f"no binary Kaldi matrix at {archive}:{offset}")
        f.seek(int(offset))
        return kaldiio.matio.read_kaldi(f)
