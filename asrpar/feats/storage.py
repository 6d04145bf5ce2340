"""Where feature matrices lie on disk: memory-mapped shards, or Kaldi archives, beside Lhotse's own formats.

Both classes of readers are registered with Lhotse, so ``cut.load_features()`` works wherever this module was imported.
A shard is one ``.npy`` file of shape (frames of many utterances, C): loading an utterance is a copy of contiguous
memory, several processes on a machine share one copy of the pages, and a corpus makes tens of files, not millions.
"""

from pathlib import Path
from typing import BinaryIO

import kaldiio
import numpy as np
from lhotse.features.io import (
    FeaturesReader,
    FeaturesWriter,
    available_storage_backends,
    get_writer,
    register_reader,
    register_writer,
)
from lhotse.utils import is_module_available

from asrpar.errors import ConfigError
from asrpar.feats.readers import read_kaldi, read_shard


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


@register_reader
class ShardReader(FeaturesReader):
    """Reads what `ShardWriter` wrote."""

    name = "asrpar_shard"

    def __init__(self, storage_path: str | Path, *args: object) -> None:
        self._path = str(storage_path)

    def read(self, key: str, left_offset_frames: int = 0, right_offset_frames: int | None = None) -> np.ndarray:
        return np.array(read_shard(self._path, key)[left_offset_frames:right_offset_frames], dtype=np.float32)


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


class KaldiArkReader(FeaturesReader):
    """Reads Kaldi archives through an scp file."""

    name = "kaldiio"

    def __init__(self, storage_path: str | Path, *args: object) -> None:
        self._path = str(storage_path)

    def read(self, key: str, left_offset_frames: int = 0, right_offset_frames: int | None = None) -> np.ndarray:
        return read_kaldi(self._path, key)[left_offset_frames:right_offset_frames]


if not is_module_available("kaldi_native_io"):
    # Lhotse's own reader of this name needs kaldi_native_io, which this project does not.
    register_reader(KaldiArkReader)


def check_storage(storage: str) -> None:
    """Raise ConfigError if the packages for this kind of storage are not installed."""
    if storage == "lilcom_chunky" and storage not in available_storage_backends():
        raise ConfigError(
            "storage: lilcom_chunky needs the package lilcom (pip install lilcom), or use storage: shards"
        )


def finish_folder(storage: str, folder: Path) -> None:
    """Kaldi's tools expect one sorted scp file: gather those of the shards in ``feats.scp``."""
    if storage == "kaldi":
        lines = [line for scp in sorted(folder.glob("*.scp")) for line in scp.read_text("utf-8").splitlines(True)]
        (folder / "feats.scp").write_text("".join(sorted(lines, key=lambda x: x.split(" ", 1)[0])), encoding="utf-8")


def make_writer(storage: str, dtype: str, folder: Path, final_folder: Path, shard: int) -> FeaturesWriter:
    """The writer of shard number ``shard`` in ``folder``, which will be renamed to ``final_folder``."""
    if storage == "shards":
        return ShardWriter(folder / f"{shard:05d}.npy", dtype)
    if storage == "kaldi":
        return KaldiArkWriter(folder / f"{shard:05d}.ark", final_folder / f"{shard:05d}.ark")
    if storage == "lilcom_chunky":
        return get_writer(storage)(folder / f"{shard:05d}.lca")
    return get_writer(storage)(folder)
