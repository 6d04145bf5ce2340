"""How many bytes of samples an audio file's header promises, and how many are there.

libsndfile reduces the length of a file that was cut short to what is left, without a word, so its figure cannot be
compared with the samples. Programs that write to a pipe do not know the length beforehand: their headers say 0, or
nearly the largest number there is, and promise nothing.
"""

import os
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

_UNKNOWN = 0x7FFF0000  # from here on a RIFF length is no length but "unknown": sox, ffmpeg, lame and others differ
_W64_DATA = b"data\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a"
_SLACK = 64  # bytes; some programs count their own header in

Lengths = tuple[int, int]


def sample_bytes(path: Path) -> Lengths | None:
    """(bytes of samples promised, bytes there); None where the format or the header does not say.

    Knows wav (RIFF, RF64, BW64, Wave64), AIFF, AU and NIST Sphere. In an Ogg file the last page stands for all.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        magic = file.read(16)
        if len(magic) < 16:
            return None  # no format has so little, and libsndfile says so
        if magic[:4] in (b"RIFF", b"RF64", b"BW64") and magic[8:12] == b"WAVE":
            return _riff(file, size)
        if magic[:4] == b"riff":
            found = next(((n, there) for name, n, there in _wave64(file, size) if name == _W64_DATA), None)
            return found if found and found[0] < 1 << 62 else None
        if magic[:4] == b"FORM" and magic[8:12] in (b"AIFF", b"AIFC"):
            return next(((n - 8, size - at - 8) for name, n, at in _chunks(file, size, ">I") if name == b"SSND"), None)
        if magic[:4] in (b".snd", b"dns."):
            begin, length = struct.unpack(">II" if magic[:4] == b".snd" else "<II", magic[4:12])
            return None if length == 0xFFFFFFFF else (length, size - begin)
        if magic[:7] == b"NIST_1A":
            fields = sphere_header(path)
            width = _number(fields, "sample_n_bytes") * (_number(fields, "channel_count") or 1)
            return _number(fields, "sample_count") * width, size - _number(fields, "")
        return _ogg(file, size) if magic[:4] == b"OggS" else None


def is_cut_short(lengths: Lengths | None) -> bool:
    """Whether fewer bytes are there than promised."""
    return lengths is not None and lengths[0] - lengths[1] > _SLACK


def sphere_header(path: Path) -> dict[str, str]:
    """The fields of a NIST Sphere header; the field "" is the header's own length in bytes."""
    with path.open("rb") as file:
        first = file.read(16).decode("latin-1").split()
        length = int(first[1]) if len(first) > 1 and first[1].isdigit() else 1024
        lines = file.read(min(length, 1 << 16)).decode("latin-1").split("\n")
    fields = {"": str(length)}
    for line in lines:
        name, _, rest = line.strip().partition(" ")
        if name == "end_head":
            break
        fields.setdefault(name, rest.partition(" ")[2])
    return fields


def wav_without_length(path: Path) -> bytes | None:
    """A wav file whose header says 0 bytes though samples follow, with the true length put in; None for any other."""
    size = path.stat().st_size
    with path.open("rb") as file:
        magic = file.read(12)
        if magic[:4] != b"RIFF" or magic[8:] != b"WAVE":
            return None
        chunks = list(_chunks(file, size, "<I"))
        at = next((at for name, n, at in chunks if name == b"data" and n == 0), size)
        _, n, last = chunks[-1] if chunks else (b"", 0, size)
        if at >= size or (last > at and last + n + n % 2 == size):  # whole chunks follow: it is really empty
            return None
        file.seek(0)
        content = bytearray(file.read())
    content[at - 4 : at] = struct.pack("<I", min(size - at, 0xFFFFFFFF))
    return bytes(content)


def _riff(file: BinaryIO, size: int) -> Lengths | None:
    wide = None
    for name, n, at in _chunks(file, size, "<I"):
        if name == b"ds64" and at + 16 <= size:
            file.seek(at + 8)
            wide = struct.unpack("<Q", file.read(8))[0]
        elif name == b"data":
            promised = wide if wide is not None and n == 0xFFFFFFFF else n
            unknown = promised == 0 or (wide is None and n >= _UNKNOWN) or promised >= 1 << 62
            return None if unknown else (promised, size - at)
    return None


def _chunks(file: BinaryIO, size: int, number: str) -> Iterator[tuple[bytes, int, int]]:
    """(name, length as written, where the content begins) of the chunks of a RIFF or AIFF file."""
    at = 12
    while at + 8 <= size:
        file.seek(at)
        name, n = file.read(4), struct.unpack(number, file.read(4))[0]
        yield name, n, at + 8
        at += 8 + n + n % 2


def _wave64(file: BinaryIO, size: int) -> Iterator[tuple[bytes, int, int]]:
    """(name, bytes promised, bytes there) of the chunks of a Wave64 file."""
    at = 40
    while at + 24 <= size:
        file.seek(at)
        name, n = file.read(16), struct.unpack("<Q", file.read(8))[0]
        yield name, n - 24, size - at - 24
        at += max(24, n + -n % 8)


def unclaimed_bytes(path: Path) -> int:
    """Bytes behind the samples that a wav file's header promises which are in no chunk, not zero and no tag.

    Programs that were interrupted leave the length of the beginning in the header, and libsndfile believes it.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        magic = file.read(12)
        if magic[:4] != b"RIFF" or magic[8:] != b"WAVE":
            return 0
        end = next((at + n + n % 2 for name, n, at in _chunks(file, size, "<I") if name == b"data" and n), size)
        while end + 8 <= size:
            file.seek(end)
            name, n = file.read(4), struct.unpack("<I", file.read(4))[0]
            if not re.fullmatch(rb"[ -~]{4}", name) or end + 8 + n > size:
                break
            end += 8 + n + n % 2
        file.seek(min(end, size))
        rest = file.read(1 << 16)
    return size - end if any(rest) and not rest.startswith((b"ID3", b"TAG", b"APETAGEX")) else 0


def is_chained_ogg(path: Path) -> bool:
    """Whether an Ogg file ends with another stream than it begins with, which libsndfile would not read."""
    with path.open("rb") as file:
        begin = file.read(18)
        _, tail = _last_page(file, path.stat().st_size)
    return begin[:4] == b"OggS" and len(tail) >= 18 and tail[14:18] != begin[14:18]


def _last_page(file: BinaryIO, size: int) -> tuple[int, bytes]:
    """Where the last page of an Ogg file begins, and the file from there on; nothing if there is none."""
    start = max(0, size - (1 << 17))  # a page has at most 65,307 bytes
    file.seek(start, os.SEEK_SET)
    tail = file.read()
    at = tail.rfind(b"OggS")
    return (start + at, tail[at:]) if at >= 0 else (size, b"")


def _ogg(file: BinaryIO, size: int) -> Lengths | None:
    start, page = _last_page(file, size)
    if len(page) < 27:
        return (27, len(page)) if page else None
    table = page[27 : 27 + page[26]]
    return start + 27 + page[26] + sum(table), size


def _number(fields: dict[str, str], name: str) -> int:
    text = fields.get(name, "").strip()
    return int(text) if text.isdigit() else 0
