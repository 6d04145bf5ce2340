"""Compressed audio without a length in its header, given one, so that libsndfile reads all of it.

Of an mp3 file libsndfile reads as many samples as its header says, and without such a header as many as the first
frame's bit rate would give: with a variable bit rate that is too much or too little. A flac file of unknown length it
cannot read at all. Here the frames are counted, and the number is put in.
"""

import io
import struct
from dataclasses import dataclass

import soundfile

# Of layer III, by the header's number: MPEG-1, and MPEG-2 and 2.5.
_KBITS = (
    (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
)
_RATES = (44100, 48000, 32000)
_TRAILERS = (b"TAG", b"APETAGEX", b"LYRICSBEGIN", b"3DI")


@dataclass(frozen=True)
class Mpeg:
    """The frames of an mp3 file: how many are whole, how many a Xing or VBRI header promises (None without one)."""

    first: int  # byte
    frames: int  # that hold audio
    samples: int  # of a frame
    promised: int | None


def read_mpeg(data: bytes) -> Mpeg | None:
    """Count the frames of an mp3 file; None if it is not a plain row of layer III frames."""
    at = _after_tags(data)
    first, frames = at, 0
    size = _frame(data, at)
    if size is None:
        return None
    second_generation = not data[first + 1] & 8
    promised = _promise(data[first : first + size], second_generation)
    rest = 0
    while (size := _frame(data, at)) is not None:
        if at + size > len(data):
            rest = len(data) - at  # the file ends inside a frame
            break
        at, frames = at + size, frames + 1
    tail = data[at : at + 16]
    if at < len(data) and not rest and len(data) - at > 4 and not tail.startswith(_TRAILERS) and any(data[at:]):
        return None
    return Mpeg(first, frames - (promised is not None), 576 if second_generation else 1152, promised)


def with_mpeg_length(data: bytes, mpeg: Mpeg) -> bytes:
    """An mp3 file without a header of its own, with a Xing header before it that says its number of frames."""
    old = struct.unpack(">I", data[mpeg.first : mpeg.first + 4])[0]
    second_generation = mpeg.samples == 576
    # The same kind of frame, without checksum (bit 16) and padding (bit 9), at 64 kbit/s.
    header = struct.pack(">I", (old & ~0xF200) | 1 << 16 | (8 if second_generation else 5) << 12)
    size = _frame(header, 0)
    assert size is not None  # the bits that were kept are those of a frame
    frame = header + bytes(_side_info(header, second_generation)) + b"Xing" + struct.pack(">II", 1, mpeg.frames)
    return frame.ljust(size, b"\0") + data[mpeg.first :]


def is_flac_without_length(data: bytes) -> bool:
    """Whether a flac file's header, the beginning of ``data``, leaves its length open (0)."""
    place = _flac_length(data)
    return place is not None and not data[place] & 0x0F and not any(data[place + 1 : place + 5])


def with_flac_length(data: bytes) -> bytes:
    """A flac file whose header leaves its length open, with the length. Raises what libsndfile does of damaged ones."""
    place = _flac_length(data)
    assert place is not None  # what `is_flac_without_length` tells

    def told(count: int) -> bytes:
        return data[:place] + ((data[place] >> 4) << 36 | count).to_bytes(5, "big") + data[place + 5 :]

    count = 0
    with _Forward(io.BytesIO(told((1 << 36) - 1))) as file:  # long enough to read to the end
        while len(block := file.read(1 << 16, dtype="int32")):
            count += len(block)
    return told(count)


def _flac_length(data: bytes) -> int | None:
    """Where the length stands: the lower half of this byte and the four after it."""
    at = _after_tags(data)
    return at + 21 if data[at : at + 4] == b"fLaC" and len(data) >= at + 26 else None


class _Forward(soundfile.SoundFile):
    """Read from beginning to end only: soundfile seeks after each read, which is impossible at an unknown end."""

    def seekable(self) -> bool:
        return False


def _after_tags(data: bytes) -> int:
    """Where the first frame begins: behind ID3v2 tags, whose length has seven bits a byte."""
    at = 0
    while data[at : at + 3] == b"ID3" and len(data) >= at + 10:
        a, b, c, d = data[at + 6 : at + 10]
        at += 10 + (a << 21 | b << 14 | c << 7 | d) + (10 if data[at + 5] & 0x10 else 0)
    return at


def _frame(data: bytes, at: int) -> int | None:
    """Bytes of the layer III frame that begins at ``at``; None if none does."""
    if len(data) < at + 4:
        return None
    header = struct.unpack_from(">I", data, at)[0]
    version, layer, kbit, rate = header >> 19 & 3, header >> 17 & 3, header >> 12 & 15, header >> 10 & 3
    if header >> 21 != 0x7FF or version == 1 or layer != 1 or kbit in (0, 15) or rate == 3:
        return None
    first_generation = version == 3
    hertz = _RATES[rate] >> (0 if first_generation else 1 if version == 2 else 2)
    bits = 1000 * _KBITS[0 if first_generation else 1][kbit]
    return (144 if first_generation else 72) * bits // hertz + (header >> 9 & 1)


def _side_info(header: bytes, second_generation: bool) -> int:
    mono = header[3] >> 6 == 3
    return (9 if mono else 17) if second_generation else (17 if mono else 32)


def _promise(frame: bytes, second_generation: bool) -> int | None:
    """Frames that a Xing (or Info, with a constant bit rate) or a VBRI header says follow it."""
    at = 4 + _side_info(frame, second_generation)
    if frame[at : at + 4] in (b"Xing", b"Info") and len(frame) >= at + 12:
        flags, count = struct.unpack_from(">II", frame, at + 4)
        return count if flags & 1 else None
    if frame[36:40] == b"VBRI" and len(frame) >= 54:
        return struct.unpack_from(">I", frame, 50)[0]
    return None
