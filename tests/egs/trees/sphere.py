"""NIST Sphere files as the telephone corpora have them: mu-law, two sides, plain or compressed by shorten 2."""

import io
from pathlib import Path

import numpy as np

_BLOCK = 256


def mu_law(samples: np.ndarray) -> np.ndarray:
    """Samples float32 of any shape, full scale 1 → bytes (uint8) of G.711 mu-law."""
    import soundfile

    packed = io.BytesIO()
    clipped = np.clip(samples.reshape(-1), -1, 1)
    soundfile.write(packed, clipped, 8000, format="RAW", subtype="ULAW")
    return np.frombuffer(packed.getvalue(), np.uint8).reshape(samples.shape)


def header(fields: dict[str, object]) -> bytes:
    """The 1,024 bytes at the beginning of a Sphere file; whole numbers are marked ``-i``, the rest as text."""
    lines = ["NIST_1A", "   1024"]
    for name, value in fields.items():
        kind = "-i" if isinstance(value, int) else f"-s{len(str(value))}"
        lines.append(f"{name} {kind} {value}")
    return ("\n".join([*lines, "end_head", ""])).encode("ascii").ljust(1024, b"\0")


def write_sphere(path: Path, samples: np.ndarray, *, compressed: bool = False, **fields: object) -> None:
    """A call (2, S) float32 at 8 kHz as mu-law; ``fields`` of the header are added or replaced, or left out if None."""
    data = mu_law(samples)
    coding = "ulaw,embedded-shorten-v2.00" if compressed else "ulaw"
    facts = {
        "conversation_id": path.stem,
        "channel_count": len(data),
        "sample_count": data.shape[1],
        "sample_rate": 8000,
        "sample_n_bytes": 1,
        "sample_sig_bits": 8,
        "sample_coding": coding,
        **fields,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    body = shorten(data) if compressed else data.T.tobytes()
    path.write_bytes(header({k: v for k, v in facts.items() if v is not None}) + body)


def shorten(data: np.ndarray) -> bytes:
    """Bytes of mu-law (C, S) uint8 as a stream of shorten 2: first differences, Rice codes, no mean, no shift.

    Everything in such a stream is a number and a width n: as many zeros as the number has multiples of 2**n, a one, and
    its lowest n bits. A number of the header has its width before it.
    """
    channels, length = data.shape
    values = np.where(data < 128, data.astype(np.int64) - 128, 255 - data.astype(np.int64))
    numbers: list[np.ndarray] = []
    widths: list[np.ndarray] = []

    def put(number: object, width: int) -> None:
        numbers.append(np.atleast_1d(np.asarray(number, np.int64)))
        widths.append(np.full(len(numbers[-1]), width, np.int64))

    def put_with_width(number: int) -> None:
        put(number.bit_length(), 2)
        put(number, number.bit_length())

    # mu-law that loses nothing, channels, block, no linear prediction, no mean, no bytes to skip
    for number in (8, channels, _BLOCK, 0, 0, 0):
        put_with_width(number)
    size = _BLOCK
    for start in range(0, length, _BLOCK):
        if length - start < size:
            size = length - start
            put(5, 2)  # from here on blocks are shorter
            put_with_width(size)
        for channel in values:
            before = channel[start - 1] if start else 0
            steps = np.diff(channel[start : start + size], prepend=before)
            folded = np.where(steps < 0, -2 * steps - 1, 2 * steps)
            width = max(1, min(8, int(np.log2(folded.mean() + 1))))
            put(1, 2)  # a block of first differences
            put(width - 1, 3)
            put(folded, width)
    put(4, 2)  # the end
    return b"ajkg\x02" + _bits(np.concatenate(numbers), np.concatenate(widths))


def _bits(numbers: np.ndarray, widths: np.ndarray) -> bytes:
    zeros = numbers >> widths
    ends = np.cumsum(zeros + 1 + widths)
    bits = np.zeros(-(-int(ends[-1]) // 32) * 32, np.uint8)  # whole words of 32 bits
    bits[ends - widths - 1] = 1
    for place in range(int(widths.max())):
        wide = widths > place
        bits[ends[wide] - 1 - place] = (numbers[wide] >> place) & 1
    return np.packbits(bits).tobytes()
