"""NIST Sphere files: what their headers may say, and samples that shorten has compressed, as in all of Fisher.

libsndfile reads plain Sphere files and trusts their headers: one byte a sample without a coding is PCM to it, which
makes noise of mu-law. So headers are checked here first. What is compressed is decoded by `desphere`.
"""

import io
import logging
from pathlib import Path

from asrpar.corpus.audio.lengths import sphere_header
from asrpar.errors import DataError

log = logging.getLogger("asrpar.corpus")

MAGIC = b"NIST_1A"
_SHORTEN_MAGIC = b"ajkg"
SHORTEN = "embedded-shorten-v2.00"
_CODINGS = ("pcm", "ulaw", "mu-law", "mulaw", "alaw", "a-law")
_told: set[str] = set()  # warnings of this process


def is_sphere(path: Path) -> bool:
    """Whether a file begins as Sphere files do; False if it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


def check_header(path: Path) -> bool:
    """Refuse a header that leaves open what the samples are, or names what is not read here.

    Returns:
        Whether the samples are compressed.

    Raises:
        DataError: no coding for one byte a sample, an unknown coding or compression, a number that cannot be, or
            compressed data where the header does not say so, or none where it does.
    """
    fields = sphere_header(path)
    coding, _, packing = (part.strip() for part in fields.get("sample_coding", "").lower().partition(","))
    if packing and packing != SHORTEN:
        raise DataError(
            f"audio file {path} is compressed Sphere ({fields['sample_coding']}), which is not read, as "
            f"{SHORTEN} would be: convert it, for example with sph2pipe -f wav"
        )
    if not coding and fields.get("sample_n_bytes") == "1":
        raise DataError(
            f"audio file {path} does not say how its one byte a sample is coded (sample_coding): convert it, naming "
            "its coding (mostly mu-law)"
        )
    if coding and coding not in _CODINGS:
        raise DataError(
            f"audio file {path} is coded as {fields['sample_coding']}, which is not read; {', '.join(_CODINGS)} are"
        )
    with path.open("rb") as file:
        file.seek(int(fields[""]))
        compressed = file.read(len(_SHORTEN_MAGIC)) == _SHORTEN_MAGIC
    if compressed and not packing:
        raise DataError(
            f"audio file {path} is compressed by shorten, and its header does not say so: read as {coding or 'pcm'} it "
            f"would be noise; its sample_coding should end in ,{SHORTEN}"
        )
    if packing and not compressed:
        raise DataError(
            f"audio file {path} says that it is compressed ({fields['sample_coding']}), and no such data follow: it is "
            "damaged, or was unpacked and kept its header"
        )
    if packing:
        for name in ("sample_count", "sample_rate", "channel_count"):
            if not fields.get(name, "").isdigit() or int(fields[name]) == 0:
                raise DataError(f"audio file {path} does not say its {name}: its header is damaged")
    return bool(packing)


def compressed_info(path: Path) -> tuple[int, int, int] | None:
    """(Hz, samples of a channel, channels) by the header of a compressed file; None for any other file.

    To decode such a file takes as long as to compute its features, so whoever wants to know no more reads the header.

    Raises:
        DataError: as `check_header`.
    """
    if not is_sphere(path) or not check_header(path):
        return None
    fields = sphere_header(path)
    return int(fields["sample_rate"]), int(fields["sample_count"]), int(fields["channel_count"])


def counts_both_channels(path: Path, promised: int, there: int) -> bool:
    """Whether a header counts the samples of both channels together, as Switchboard's first pressing does.

    Args:
        path: the file.
        promised: bytes of samples by its header.
        there: bytes of samples in it.
    """
    fields = sphere_header(path)
    return fields.get("channel_count") == "2" and promised == 2 * there


def decompressed(path: Path) -> bytes:
    """The samples of a compressed file as a wav file of 16 bits.

    Raises:
        DataError: the stream is damaged, cut short, or of a kind that is not read.
    """
    import desphere

    if not desphere.native_available() and "slow" not in _told:
        _told.add("slow")
        log.warning(
            "compressed Sphere files are decoded in Python, about 15 s for a call of ten minutes: pip install "
            "desphere-native, which takes less than 1 s"
        )
    out = io.BytesIO()
    try:
        header, data = desphere.read_sphere(path)
        desphere.transcode(header, data, out)
    except desphere.DesphereError as e:
        raise DataError(f"{path} is not readable as audio: {' '.join(str(e).split())}") from e
    return out.getvalue()
