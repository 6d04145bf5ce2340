"""Whether results are those of the model that lies beside them."""

import hashlib
from pathlib import Path
from typing import Any

from asrpar.errors import DataError


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_origin(exp: Path, facts: dict[str, Any], folder: Path) -> None:
    """Raise `DataError` if an experiment has been trained anew since ``folder`` was decoded.

    Args:
        exp: the experiment.
        facts: of the decoding; those of earlier versions do not say which model it was, and pass.
        folder: of its results.
    """
    model = exp / Path(facts.get("model") or "").name
    digest = facts.get("model_sha256")
    if digest and model.is_file() and file_digest(model) != digest:
        raise DataError(f"{folder} has the words of an earlier {model.name}: decode again (asrpar decode, stage 7)")
