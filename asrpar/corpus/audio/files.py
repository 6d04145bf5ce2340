"""Audio files: the one way in which they are opened, what their headers say, and copies as wav.

Whatever reads audio goes through `open_audio`: it takes plain files only, decodes with libsndfile alone, and refuses
what is cut short.
"""

import io
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import soundfile

from asrpar.corpus.audio.lengths import (
    is_chained_ogg,
    is_cut_short,
    sample_bytes,
    unclaimed_bytes,
    wav_without_length,
)
from asrpar.corpus.audio.sphere import MAGIC, check_header, compressed_info, counts_both_channels, decompressed
from asrpar.corpus.audio.streams import is_flac_without_length, read_mpeg, with_flac_length, with_mpeg_length
from asrpar.errors import DataError
from asrpar.files.paths import check_opens
from asrpar.files.replacing import replacing

if TYPE_CHECKING:
    from lhotse import Recording

FLOAT_SUBTYPES = {"FLOAT", "DOUBLE"}
FULL_SCALE = 8.0  # float samples are -1 to 1; processing may pass that by a few times, another unit by thousands
MPEG_SLACK = 2  # frames that a header may leave out: encoders count themselves in or not
_COMPRESSED = b"compressed"  # in place of the content of a file that has to be decoded
_BROKEN = (RuntimeError, OSError, TypeError, ValueError)  # libsndfile's are RuntimeErrors


@dataclass(frozen=True)
class AudioInfo:
    """What an audio file is: Hz, samples of a channel, channels."""

    sampling_rate: int
    num_samples: int
    channels: int

    @property
    def seconds(self) -> float:
        """Length in seconds."""
        return self.num_samples / self.sampling_rate


def open_audio(path: str | Path) -> soundfile.SoundFile:
    """Open a file for reading; its ``frames`` are right also where the header does not say a length.

    Raises:
        DataError: no plain file, not readable as audio, without samples, cut short, or coded in a way not read here.
        PermissionError: the file may not be read.
    """
    path = Path(path)
    try:
        stat = path.stat()
        if not path.is_file():
            raise DataError(f"{path} is not a file but a folder, a pipe or a device, which are not read as audio")
        if stat.st_size == 0:
            raise DataError(f"audio file {path} is empty (0 bytes)")
        mended = _mended(str(path), stat.st_mtime_ns, stat.st_size)
        if mended is _COMPRESSED:
            mended = _decompressed(str(path), stat.st_mtime_ns, stat.st_size)
        file = soundfile.SoundFile(io.BytesIO(mended) if mended else str(path))
    except FileNotFoundError as e:
        raise DataError(f"no audio file {path}") from e
    except PermissionError:
        raise
    except _BROKEN as e:
        check_opens(path)  # libsndfile says "System error" alone
        raise DataError(f"{path} is not readable as audio: {_reason(e)}") from e
    fault = None
    if file.format == "RAW":  # the kind of samples would be a guess by the file's name: .au, .snd, .vox or .gsm
        fault = f"{path} is not readable as audio: it has no header that says what its samples are"
    elif file.frames <= 0:
        fault = f"audio file {path} holds no samples (zero length)"
    if fault:
        file.close()
        raise DataError(fault)
    return file


def inspect(path: str | Path) -> AudioInfo:
    """Read a header; of compressed Sphere no more than that. Raises `DataError` as `open_audio`."""
    compressed = compressed_info(Path(path))
    if compressed is not None:
        return AudioInfo(*compressed)
    with open_audio(path) as file:
        return AudioInfo(file.samplerate, file.frames, file.channels)


def scale_fault(peak: float) -> str | None:
    """What is wrong with samples whose largest magnitude is ``peak``, where full scale is 1; None if nothing is."""
    if not peak > FULL_SCALE:
        return None
    # Of integers even a whisper has more than a hundred; what has less was amplified too much.
    bits = next((b for b in (16, 24, 32) if 100 <= peak <= 2 ** (b - 1)), None)
    seems = f": they seem to be those of {bits}-bit integers; divide them by {2 ** (bits - 1)}" if bits else ""
    return f"has samples up to {peak:.6g}, where full scale is 1{seems}"


def probe(path: str | Path, recording_id: str, info: AudioInfo | None = None) -> "Recording":
    """Read a header into a Lhotse recording with an absolute path; every channel is listed.

    Args:
        path: the file.
        recording_id: names the recording.
        info: what `inspect` says of the file, where it has been asked already.

    Raises:
        DataError: as `open_audio`; the message names the recording.
    """
    from lhotse import Recording
    from lhotse.audio import AudioSource

    path = Path(path).absolute()
    if info is None:
        try:
            info = inspect(path)
        except DataError as e:
            raise DataError(f"{e} (recording {recording_id})") from e
    return Recording(
        id=recording_id,
        sources=[AudioSource(type="file", channels=list(range(info.channels)), source=str(path))],
        sampling_rate=info.sampling_rate,
        num_samples=info.num_samples,
        duration=info.seconds,
    )


def decode_to_wav(source: str | Path, target: str | Path, raw_rate: int | None = None) -> Path:
    """Write ``source`` as 16-bit wav; returns ``target``, which appears whole or not at all.

    Args:
        source: anything libsndfile reads (NIST Sphere, flac...), or headerless samples.
        target: the wav file; its folder is made.
        raw_rate: the source is headerless big-endian 16-bit mono at this many samples per second.

    Raises:
        DataError: the source is missing, unreadable, cut short, or of floats that are no -1 to 1.
    """
    source, target = Path(source), Path(target)
    raw = {"format": "RAW", "subtype": "PCM_16", "endian": "BIG", "samplerate": raw_rate, "channels": 1}
    try:
        source.open("rb").close()  # libsndfile says "System error" of a file that is not there
        with soundfile.SoundFile(str(source), **raw) if raw_rate else open_audio(source) as file:
            rate, promised = file.samplerate, file.frames
            samples = file.read(dtype="float32" if file.subtype in FLOAT_SUBTYPES else "int16")
    except FileNotFoundError as e:
        raise DataError(f"no audio file {source}") from e
    except PermissionError:
        raise
    except _BROKEN as e:
        raise DataError(f"{source} is not readable as audio: {_reason(e)}") from e
    fault = scale_fault(float(np.abs(samples).max(initial=0))) if samples.dtype == np.float32 else None
    if fault or len(samples) < promised:
        raise DataError(f"{source} {fault or cut_short(len(samples), promised)}")
    target.parent.mkdir(parents=True, exist_ok=True)
    with replacing(target) as temporary:
        soundfile.write(str(temporary), samples, rate, format="WAV", subtype="PCM_16")
    return target


def cut_short(there: int, promised: int) -> str:
    """How messages say that samples are missing."""
    return f"is cut short: {there} of the {promised} samples that its header promises"


@lru_cache(maxsize=16)
def _mended(path: str, changed: int, size: int) -> bytes | None:
    """Check a file's header; the content with the length put in where libsndfile needs that, else None.

    Cached, for the segments of a recording come one after the other; ``changed`` and ``size`` tell that it is the same.
    """
    file = Path(path)
    with file.open("rb") as opened:
        magic = opened.read(7)
    if magic == MAGIC and check_header(file):
        return _COMPRESSED
    lengths = sample_bytes(file)
    if magic == MAGIC and lengths is not None and counts_both_channels(file, *lengths):
        lengths = None
    if lengths is not None and is_cut_short(lengths):
        if magic[:4] == b"OggS":
            raise DataError(f"audio file {path} is cut short: it ends in the middle of a page")
        frames = soundfile.info(path).frames if lengths[1] > 0 else 0
        if frames == 0:
            raise DataError(f"audio file {path} holds no samples (zero length), though its header promises some")
        raise DataError(f"audio file {path} {cut_short(frames, round(frames * lengths[0] / lengths[1]))}")
    if magic[:4] == b"OggS" and is_chained_ogg(file):
        raise DataError(
            f"audio file {path} holds several Ogg streams, one after the other, of which only the first would be read: "
            "convert it"
        )
    if lengths is not None and 0 < lengths[0] < 10 * (more := unclaimed_bytes(file)):
        raise DataError(
            f"audio file {path} has {more} bytes more than the {lengths[0]} bytes of samples that its header promises: "
            "it was not finished; write it anew (sox --ignore-length)"
        )
    if magic[:4] == b"RIFF":
        return wav_without_length(file)
    if magic[:4] == b"fLaC" or magic[:3] == b"ID3" or (magic[:1] == b"\xff" and magic[1:2] >= b"\xe0"):
        return _mended_stream(file)
    return None


@lru_cache(maxsize=4)  # of calls that have 20 MB each
def _decompressed(path: str, changed: int, size: int) -> bytes:
    """A compressed Sphere file as wav; cached as above."""
    return decompressed(Path(path))


def _mended_stream(path: Path) -> bytes | None:
    with path.open("rb") as file:
        data = file.read(1 << 16)
        if is_flac_without_length(data):
            return with_flac_length(data + file.read())
        if b"fLaC" in data[:4096]:
            _check_end(path)
            return None  # what most corpora are made of is not read twice
        data += file.read()
    mpeg = read_mpeg(data)
    if mpeg is None:
        return None
    if mpeg.promised is not None:
        if mpeg.promised > mpeg.frames:
            there, promised = mpeg.frames * mpeg.samples, mpeg.promised * mpeg.samples
            raise DataError(f"audio file {path} {cut_short(there, promised)}")
        if mpeg.frames - mpeg.promised <= MPEG_SLACK:
            return None
    guessed = soundfile.info(str(path)).frames
    return with_mpeg_length(data, mpeg) if guessed != mpeg.frames * mpeg.samples else None


def _check_end(path: Path) -> None:
    """Raise `DataError` if the last sample that a flac file's header promises cannot be read."""
    with soundfile.SoundFile(str(path)) as file:
        if file.frames <= 0:
            return
        try:
            file.seek(file.frames - 1)
            if len(file.read(1, dtype="int32")):
                return
        except RuntimeError:
            pass  # that of libsndfile has no text
        raise DataError(
            f"audio file {path} is cut short or damaged: the end of the {file.frames} samples that its "
            "header promises cannot be read"
        )


def _reason(error: Exception) -> str:
    text = error.strerror if isinstance(error, OSError) else None  # such as: Permission denied
    return text or " ".join(str(error).split()) or type(error).__name__
