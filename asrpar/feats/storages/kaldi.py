"""Kaldi archives, with one feats.scp for each set, as Kaldi's tools read them."""

import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

import kaldiio
import numpy as np
from lhotse.features.io import FeaturesReader, FeaturesWriter, register_reader
from lhotse.utils import is_module_available

from asrpar.corpus.kaldi.tables import check_key
from asrpar.feats.storages.contract import FeatureStorage, plain


@dataclass
class Settings:
    """Kaldi's archives have none."""


class KaldiArkWriter(FeaturesWriter):
    """Writes ``x.ark`` and ``x.scp`` with the kaldiio package. Lhotse's name for the format is "kaldiio" too."""

    name = "kaldiio"

    def __init__(self, ark: Path, final_ark: Path) -> None:
        """Write to ``ark``; the scp already says ``final_ark``, where it will be when the folder is complete."""
        self._scp, self._final_ark = ark.with_suffix(".scp"), final_ark
        self._lines: list[str] = []
        self._file: BinaryIO = open(ark, "wb")  # noqa: SIM115 - closed by __exit__

    @property
    def storage_path(self) -> str:
        return str(self._scp)

    def write(self, key: str, value: np.ndarray) -> str:
        offset = self._file.tell() + len(key.encode()) + 1
        kaldiio.save_ark(self._file, {key: np.ascontiguousarray(value, dtype=np.float32)})
        self._lines.append(f"{key} {self._final_ark}:{offset}\n")
        return key

    def __exit__(self, *args: object) -> None:
        self._file.close()
        self._scp.write_text("".join(self._lines), encoding="utf-8")


@lru_cache(maxsize=64)
def _open_scp(path: str, changed: int) -> dict[str, str]:
    with open(plain(path), encoding="utf-8") as f:
        return dict(line.rstrip("\n").split(maxsplit=1) for line in f)


class Storage(FeatureStorage):
    """An archive a shard."""

    kind = KaldiArkWriter.name

    def check_id(self, key: str) -> None:
        check_key(key)

    def writer(self, folder: Path, final_folder: Path, shard: int) -> FeaturesWriter:
        return KaldiArkWriter(folder / f"{shard:05d}.ark", final_folder / f"{shard:05d}.ark")

    def finish(self, folder: Path) -> None:
        # Kaldi's tools expect one sorted scp file.
        lines = [line for scp in sorted(folder.glob("*.scp")) for line in scp.read_text("utf-8").splitlines(True)]
        (folder / "feats.scp").write_text("".join(sorted(lines, key=lambda x: x.split(" ", 1)[0])), encoding="utf-8")

    @staticmethod
    def read(path: str, key: str) -> np.ndarray:
        archive, _, offset = _open_scp(path, os.stat(path).st_mtime_ns)[key].rpartition(":")
        beside = Path(path).with_name(Path(archive).name)  # folders may move
        # Opened here and not by kaldiio, which would run what ends in "|" as a command and unpickle other contents.
        with open(plain(beside if beside.exists() else archive), "rb") as f:
            f.seek(int(offset))
            if f.read(2) != b"\0B":
                raise ValueError(f"no binary Kaldi matrix at {archive}:{offset}")
            f.seek(int(offset))
            return kaldiio.matio.read_kaldi(f)


class KaldiArkReader(FeaturesReader):
    """Reads Kaldi archives through an scp file."""

    name = KaldiArkWriter.name

    def __init__(self, storage_path: str | Path, *args: object) -> None:
        self._path = str(storage_path)

    def read(self, key: str, left_offset_frames: int = 0, right_offset_frames: int | None = None) -> np.ndarray:
        return Storage.read(self._path, key)[left_offset_frames:right_offset_frames]


if not is_module_available("kaldi_native_io"):
    # Lhotse's own reader of this name needs kaldi_native_io, which this project does not.
    register_reader(KaldiArkReader)
