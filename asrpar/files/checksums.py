"""Digests of files, so that one that was cut short or exchanged is not used without a word."""

import hashlib
from collections.abc import Collection, Sequence
from pathlib import Path

from asrpar.errors import DataError
from asrpar.files.replacing import replacing
from asrpar.files.text import text_lines

NAME = "files.sha256"  # as `sha256sum --check` reads it


def write_checksums(folder: Path, names: Sequence[str]) -> None:
    """Write ``files.sha256`` with the digests of those of ``names`` that are in ``folder``."""
    lines = [f"{file_digest(folder / name)}  {name}\n" for name in names if (folder / name).is_file()]
    with replacing(folder / NAME) as temporary:
        temporary.write_text("".join(lines), encoding="utf-8")


def checked_files(folder: Path) -> dict[str, str]:
    """Digests by name of file, as ``files.sha256`` has them; empty where there is none."""
    if not (folder / NAME).is_file():
        return {}
    lines = (line.partition("  ") for _, line in text_lines(folder / NAME))
    return {name: digest for digest, _, name in lines}


def check_checksums(folder: Path, made_by: str, later: Collection[str] = ()) -> None:
    """Raise `DataError` for a file that is not as ``made_by`` wrote it.

    Folders of before there were digests are taken as they are; files that are looked at ``later`` need only be there.
    """
    for name, digest in checked_files(folder).items():
        if not (folder / name).is_file() or (name not in later and file_digest(folder / name) != digest):
            raise DataError(
                f"{folder / name} is not as it was made: cut short, or changed. Run {made_by} again; if the change is "
                f"yours and all files of the folder agree, remove {NAME} there"
            )


def file_digest(path: str | Path, algorithm: str = "sha256") -> str:
    """The digest of a file in hexadecimal; ``algorithm`` is ``md5`` or ``sha256``."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()
