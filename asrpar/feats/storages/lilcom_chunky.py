"""Lhotse's lossy compression; needs the package lilcom."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from lhotse.features.io import FeaturesWriter, LilcomChunkyReader, available_storage_backends, get_writer

from asrpar.errors import ConfigError
from asrpar.feats.storages.contract import FeatureStorage, plain


@dataclass
class Settings:
    """These files have none."""


class Storage(FeatureStorage):
    """A file a shard."""

    kind = "lilcom_chunky"
    lossy = True

    def check(self) -> None:
        if self.kind not in available_storage_backends():
            raise ConfigError(
                "storage: lilcom_chunky needs the package lilcom (pip install lilcom), or use storage: shards"
            )

    def writer(self, folder: Path, final_folder: Path, shard: int) -> FeaturesWriter:
        return get_writer(self.kind)(folder / f"{shard:05d}.lca")

    @staticmethod
    def read(path: str, key: str) -> np.ndarray:
        return LilcomChunkyReader(plain(path)).read(key)
