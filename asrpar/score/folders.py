"""Where models and results of an experiment lie."""

import re
from pathlib import Path

from asrpar.errors import ConfigError, MissingInputError
from asrpar.files.paths import require_file


def check_suffix(suffix: str) -> None:
    """Raise `ConfigError` unless it can be the end of a folder's name."""
    if suffix and not re.fullmatch(r"[\w.+-]+", suffix):
        raise ConfigError(f"--suffix {suffix!r}: letters, digits, '.', '_', '+' and '-' are possible")


def results_folder(exp: Path, name: str, suffix: str = "") -> Path:
    """Where the results of a set go."""
    return exp / (f"decode_{name}_{suffix}" if suffix else f"decode_{name}")


def check_experiment(exp: Path) -> None:
    """Raise `MissingInputError` if there is no such folder; before a log is written there, which would make it."""
    if not exp.is_dir():
        raise MissingInputError(f"there is no experiment {exp}: run asrpar train (stage 6) first")


def model_file(exp: Path, name: str) -> Path:
    """The model ``name`` of an experiment, or a path elsewhere if it has none of that name.

    Raises:
        MissingInputError: no experiment, or no such file.
    """
    check_experiment(exp)
    path = exp / name if (exp / name).exists() or name == "final.pt" else Path(name)
    require_file(path, "asrpar train (stage 6)")
    return path
