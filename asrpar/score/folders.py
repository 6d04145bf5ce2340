"""Where the results of a decoded set lie."""

import re
from pathlib import Path

from asrpar.errors import ConfigError


def check_suffix(suffix: str) -> None:
    """Raise `ConfigError` unless it can be the end of a folder's name."""
    if suffix and not re.fullmatch(r"[\w.+-]+", suffix):
        raise ConfigError(f"--suffix {suffix!r}: letters, digits, '.', '_', '+' and '-' are possible")


def results_folder(exp: Path, name: str, suffix: str = "") -> Path:
    """Where the results of a set go."""
    return exp / (f"decode_{name}_{suffix}" if suffix else f"decode_{name}")
