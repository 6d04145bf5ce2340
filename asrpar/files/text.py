"""Text files that come from outside: what is wrong with one is a single line that names it.

Two ways to write a letter, such as é as one code point or as e with an accent, are two words to a program. All text of
a language (transcripts, lexicon, language model, references and hypotheses) is therefore brought to one form, composed
(NFC), where it comes in: `nfc`. NFC and not NFKC, which would make other words of full-width letters and ligatures.
"""

import gzip
import re
import unicodedata
import zlib
from collections.abc import Iterator
from pathlib import Path

from asrpar.errors import DataError, MissingInputError

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
MARK = BYTE_ORDER_MARK.decode()
_NO_CHARACTER = re.compile("[\0\ud800-\udfff]")
# Control characters, those that turn the direction of text, and halves of characters.
_ODD = re.compile("[\0-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_GZIP = b"\x1f\x8b"
# First bytes of files that are no text, and what to do with them.
_NO_TEXT = (
    ((b"\xff\xfe", b"\xfe\xff"), "is UTF-16 text: convert it (iconv -f UTF-16 -t UTF-8)"),
    ((b"\xfd7zXZ\x00", b"BZh", b"PK\x03\x04", b"\x28\xb5\x2f\xfd", _GZIP), "is compressed: unpack it"),
)


def one_line(text: str) -> str:
    """``text``, which may hold names from data, as one line that does nothing to a terminal."""
    return _ODD.sub(lambda m: m[0].encode("unicode_escape").decode(), " ".join(text.split()))


def nfc(text: str) -> str:
    """``text`` in the one form in which words are compared: composed Unicode (NFC)."""
    return unicodedata.normalize("NFC", text)


def odd_character(text: str) -> str | None:
    """A character that JSON can have and no text has, such as ``U+D800``: half of a pair (a surrogate), or a zero."""
    found = _NO_CHARACTER.search(text)
    return f"U+{ord(found[0]):04X}" if found else None


def foreign_bytes(raw: bytes, first_line: int = 1) -> str | None:
    """What is wrong with ``raw``, which begins with line ``first_line`` of a file, if it is no UTF-8 text."""
    for beginnings, what in _NO_TEXT if first_line == 1 else ():
        if raw.startswith(beginnings):
            return what
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError as e:
        line = first_line + raw.count(b"\n", 0, e.start)
        how = "convert it (iconv -f LATIN1 -t UTF-8, or the like)"
        return f"is not UTF-8 text (line {line}, byte 0x{raw[e.start]:02x}): {how}"
    if b"\0" in raw:
        line = first_line + raw[: raw.index(b"\0")].count(b"\n")
        return f"has a zero byte in line {line}: convert it if it is UTF-16 text; otherwise it is no text"
    return None


def read_text(path: str | Path, missing: str = "") -> str:
    """The content of a UTF-8 file, line ends as ``\\n``, without byte-order marks, also where files were joined.

    Args:
        path: the file.
        missing: what to do if it is not there, the end of the message.

    Raises:
        MissingInputError: no such file. DataError: not UTF-8; the message has the line.
    """
    raw = _existing(path, missing).read_bytes()
    fault = foreign_bytes(raw)
    if fault is not None:
        raise DataError(f"{path} {fault}")
    text = raw.decode("utf-8").replace("\r\n", "\n").replace("\r", "\n")
    return text.removeprefix(MARK).replace(f"\n{MARK}", "\n")


def text_lines(path: str | Path, missing: str = "") -> list[tuple[int, str]]:
    """(line number from 1, line without its end) of the lines that hold something. Raises as `read_text` does."""
    # Not splitlines(), which would part lines at characters that belong to words as well.
    return [(n, line) for n, line in enumerate(read_text(path, missing).split("\n"), 1) if line.strip()]


def read_lines(path: str | Path, missing: str = "") -> Iterator[tuple[int, str]]:
    """(line number from 1, line without its end, composed) of a large file, gzipped if its first bytes say so.

    Raises:
        MissingInputError, DataError: as `read_text`; a damaged gzip file.
    """
    path = _existing(path, missing)
    with path.open("rb") as file:
        packed = file.read(2) == _GZIP
    number = 0
    try:
        with gzip.open(path, "rb") if packed else path.open("rb") as file:
            for raw in file:
                fault = foreign_bytes(raw, number + 1)
                if fault is not None:
                    raise DataError(f"{path} {fault}")
                text = raw.removeprefix(BYTE_ORDER_MARK).decode("utf-8")
                for line in text.rstrip("\r\n").split("\r"):
                    number += 1
                    yield number, nfc(line)
    except (EOFError, zlib.error, gzip.BadGzipFile) as e:
        raise DataError(f"{path}: damaged gzip file after line {number}") from e


def read_pieces(path: str | Path, size: int = 1 << 22, missing: str = "") -> Iterator[tuple[int, str]]:
    """(lines before it, whole lines with their ends, composed) of a file of any size, about ``size`` bytes at once.

    What `read_lines` gives, for files of so many lines that each by itself would take too long. Raises as it does.
    """
    path = _existing(path, missing)
    with path.open("rb") as file:
        packed = file.read(2) == _GZIP
    number, rest, more = 0, b"", True
    try:
        with gzip.open(path, "rb") if packed else path.open("rb") as file:
            while more:
                raw = file.read(size)
                more = bool(raw)
                raw = rest + raw
                cut = raw.rfind(b"\n") + 1 if more else len(raw)
                raw, rest = raw[:cut], raw[cut:]
                if raw:
                    fault = foreign_bytes(raw, number + 1)
                    if fault is not None:
                        raise DataError(f"{path} {fault}")
                    text = raw.decode("utf-8").replace("\r\n", "\n").replace("\r", "\n")
                    yield number, nfc(text.removeprefix(MARK).replace(f"\n{MARK}", "\n"))
                    number += text.count("\n")
    except (EOFError, zlib.error, gzip.BadGzipFile) as e:
        raise DataError(f"{path}: damaged gzip file after line {number}") from e


def ends_with_newline(path: str | Path) -> bool:
    """Whether the last line of a file is a whole one; True for gzip, which tells itself where it ends."""
    with _existing(path, "").open("rb") as file:
        if file.read(2) == _GZIP:
            return True
        file.seek(0, 2)
        if file.tell() == 0:
            return True
        file.seek(-1, 2)
        return file.read(1) in b"\r\n"


def _existing(path: str | Path, missing: str) -> Path:
    if not Path(path).is_file():
        raise MissingInputError(f"{path} is missing" + (f": {missing}" if missing else ""))
    return Path(path)
