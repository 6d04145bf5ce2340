"""Where feature matrices lie on disk: a choice, one kind a file.

Training reads them without Lhotse's cuts, by what those say of their storage; `register` lets Lhotse read them, too, so
that ``cut.load_features()`` works.
"""

from collections.abc import Callable
from functools import cache

import numpy as np

from asrpar.choices import Family
from asrpar.errors import DataError

# Modules with `Settings` and `Storage` (see `asrpar.feats.storages.contract`).
STORAGES = Family("asrpar.feats.storages", "storage", "Storage")


@cache
def register() -> dict[str, Callable[[str, str], np.ndarray]]:
    """Make Lhotse know every kind; Lhotse's name of it → how a matrix is read."""
    return {STORAGES.load(name).kind: STORAGES.load(name).read for name in STORAGES}


def read_stored(kind: str, path: str, key: str) -> np.ndarray:
    """One matrix (T, C) from a storage of stage 2, by Lhotse's name for its kind.

    Raises:
        DataError: another kind: some of Lhotse's unpickle what they find, or fetch it from an address.
        Of damaged files, whatever their reader raises.
    """
    read = register().get(kind)
    if read is None:
        raise DataError(
            f"features in storage '{kind}' are not read, only those of stage 2 (asrpar extract-features): "
            f"{', '.join(register())}"
        )
    return read(path, key)
