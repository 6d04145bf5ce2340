"""Plain and gzipped text, and files that appear only when they are complete."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

from asrpar.errors import DataError, MissingInputError


def read_lines(path: str | Path) -> Iterator[tuple[int, str]]:
    """(line number from 1, line without its end) of a UTF-8 file, gzipped if its first bytes say so.

    Raises:
        MissingInputError: no such file.
        DataError: not UTF-8, or a damaged gzip file.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingInputError(f"no file {path}")
    with open(path, "rb") as f:
        packed = f.read(2) == b"\x1f\x8b"
    number = 0
    try:
        with gzip.open(path, "rt", encoding="utf-8") if packed else open(path, encoding="utf-8") as f:
            for number, line in enumerate(f, 1):
                yield number, line.rstrip("\r\n")
    except UnicodeDecodeError as e:
        raise DataError(f"{path}: not UTF-8 text after line {number}") from e
    except (EOFError, gzip.BadGzipFile) as e:
        raise DataError(f"{path}: damaged gzip file after line {number}") from e


def map_case(text: str, case: str) -> str:
    """`text` in upper or lower case, or as it is ('keep')."""
    return text.upper() if case == "upper" else text.lower() if case == "lower" else text


def manifest_texts(manifests: str | Path, split: str) -> list[str]:
    """The transcripts in ``supervisions_<split>.jsonl.gz``, in its order.

    Raises:
        MissingInputError: no such manifest (stage 1 makes it).
        DataError: a line that is not a supervision with text.
    """
    path = Path(manifests) / f"supervisions_{split}.jsonl.gz"
    if not path.is_file():
        raise MissingInputError(f"{path} is missing: run stage 1 (asrpar prepare-manifests) first")
    texts = []
    for number, line in read_lines(path):
        try:
            text = json.loads(line)["text"]
        except (json.JSONDecodeError, KeyError, TypeError) as e:
            raise DataError(f"{path}:{number}: not a supervision with a text") from e
        texts.append(text or "")
    return texts
