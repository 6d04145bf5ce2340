"""One .npy file for each utterance: Lhotse's own format, for programs that import nothing of asrpar."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from lhotse.features.io import FeaturesWriter, get_writer

from asrpar.errors import DataError
from asrpar.feats.storages.contract import FeatureStorage, plain

_FILE_NAME = 250  # bytes; most systems allow 255, and an ending is added


@dataclass
class Settings:
    """These files have none."""


class Storage(FeatureStorage):
    """Files in folders by the beginnings of their names, as Lhotse makes them."""

    kind = "numpy_files"

    def check_id(self, key: str) -> None:
        if "/" in key or key.endswith(".npy") or len(key.encode()) > _FILE_NAME:
            raise DataError(f"cut {key} cannot be the name of a file of storage: numpy_files; use storage: shards")

    def writer(self, folder: Path, final_folder: Path, shard: int) -> FeaturesWriter:
        return get_writer(self.kind)(folder)

    @staticmethod
    def read(path: str, key: str) -> np.ndarray:
        return np.load(plain(Path(path) / key), allow_pickle=False)
