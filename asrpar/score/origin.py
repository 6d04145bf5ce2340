"""Whether results are those of the model that lies beside them."""

from pathlib import Path
from typing import Any

from asrpar.errors import DataError
from asrpar.files.checksums import file_digest


def origin(model: Path, exp: Path) -> dict[str, str]:
    """What to note about the model that an experiment is decoded with; without its place if that is elsewhere."""
    model, exp = model.resolve(), exp.resolve()
    place = {"model_file": str(model.relative_to(exp))} if model.is_relative_to(exp) else {}
    return place | {"model_sha256": file_digest(model)}


def check_origin(exp: Path, facts: dict[str, Any], folder: Path) -> None:
    """Raise `DataError` if an experiment has been trained anew since ``folder`` was decoded.

    Args:
        exp: the experiment.
        facts: of the decoding, with those of `origin` if there were any.
        folder: of its results.
    """
    model = exp / facts.get("model_file", "")
    if model.is_file() and file_digest(model) != facts.get("model_sha256"):
        raise DataError(f"{folder} has the words of an earlier {model.name}: decode again (asrpar decode, stage 7)")
