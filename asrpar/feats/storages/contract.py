"""What a kind of storage can do."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from lhotse.features.io import FeaturesWriter


class FeatureStorage(ABC):
    """A kind of storage, with its settings.

    Attributes:
        kind: what Lhotse calls it, as the cuts say.
        lossy: what is read is not what was written.
    """

    kind: ClassVar[str]
    lossy: ClassVar[bool] = False

    def __init__(self, settings: Any) -> None:
        self.settings = settings

    @property
    def dtype(self) -> str:
        """Type of the values on disk."""
        return "float32"

    def check(self) -> None:
        """Raise `ConfigError` if what it takes to write it is not installed."""

    def check_id(self, key: str) -> None:
        """Raise `DataError` if a cut cannot be called ``key`` here."""

    @abstractmethod
    def writer(self, folder: Path, final_folder: Path, shard: int) -> FeaturesWriter:
        """The writer of shard number ``shard`` in ``folder``, which will be renamed to ``final_folder``."""

    def finish(self, folder: Path) -> None:
        """Called when all shards of a set are in ``folder``."""

    @staticmethod
    @abstractmethod
    def read(path: str, key: str) -> np.ndarray:
        """One matrix (T, C), float32 or as it is on disk. Of damaged files raises whatever its reader raises."""


def plain(path: str | Path) -> str:
    """``path``, which leads to a file; `ValueError` if not."""
    if not Path(path).is_file():
        raise ValueError(f"no file {path}")
    return str(path)
