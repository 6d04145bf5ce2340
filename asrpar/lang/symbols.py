"""Symbol tables: lines of a symbol and its number, as OpenFst and k2 read them."""

from collections.abc import Sequence
from pathlib import Path

from asrpar.errors import DataError
from asrpar.files.paths import require_file
from asrpar.files.replacing import replacing_text
from asrpar.files.text import read_lines

MADE_BY = "stage 3 (asrpar prepare-lang)"


def read_symbols(path: str | Path, made_by: str = MADE_BY) -> list[str]:
    """Read ``symbol id`` lines; ids must count up from 0. ``made_by`` names the stage that writes the file.

    Raises:
        MissingInputError: no such file. DataError: no symbols, or another format or order, with file and line.
    """
    require_file(path, made_by)
    symbols: list[str] = []
    for number, line in read_lines(path):
        fields = line.split()
        if len(fields) != 2 or fields[1] != str(len(symbols)):
            raise DataError(f"{path}:{number}: expected 'SYMBOL {len(symbols)}', found '{line}'")
        symbols.append(fields[0])
    if not symbols:
        raise DataError(f"{path} holds no symbols: run {made_by} again")
    return symbols


def write_symbols(path: str | Path, symbols: Sequence[str]) -> None:
    """Write ``symbol id`` lines, ids from 0."""
    with replacing_text(path) as f:
        f.writelines(f"{s} {i}\n" for i, s in enumerate(symbols))
