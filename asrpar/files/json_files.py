"""JSON objects that one command writes and others read: ``train.json``, ``decode.json``, ``wer.json``."""

import json
from pathlib import Path
from typing import Any

from asrpar.errors import DataError
from asrpar.files.replacing import replacing
from asrpar.numbers import plain


def read_json(path: str | Path) -> dict[str, Any]:
    """The object in a file that is there.

    Raises:
        DataError: it cannot be read, or is something else.
    """
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as e:
        raise DataError(f"{path} is no JSON ({e}): run the stage that makes it again") from e
    if not isinstance(found, dict):
        raise DataError(f"{path} is no JSON object: run the stage that makes it again")
    return found


def read_json_if_any(path: str | Path) -> dict[str, Any]:
    """The object in a file; empty if there is none, or none that can be read, as after a crash."""
    try:
        return read_json(path)
    except (FileNotFoundError, NotADirectoryError, DataError):
        return {}


def json_text(value: dict[str, Any]) -> str:
    """An object in lines, with null for numbers that JSON does not have."""
    return json.dumps(plain(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def write_json(path: str | Path, value: dict[str, Any]) -> None:
    """Write an object, the file whole or not at all."""
    with replacing(path) as temporary:
        # The bytes of a command line that are no text are half characters, which JSON has and UTF-8 has not.
        temporary.write_text(json_text(value), encoding="utf-8", errors="backslashreplace")
