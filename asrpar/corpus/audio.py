"""Audio files: what their headers say, and decoding of what Lhotse would start a shell for."""

from pathlib import Path
from typing import TYPE_CHECKING

import soundfile

from asrpar.errors import DataError, check_opens, replacing

if TYPE_CHECKING:
    from lhotse import Recording


def probe(path: str | Path, recording_id: str) -> "Recording":
    """Read a header into a Lhotse recording with an absolute path; every channel is listed.

    Raises:
        DataError: the file is missing, unreadable or holds no samples.
    """
    from lhotse import Recording
    from lhotse.audio import AudioSource

    path = Path(path).absolute()
    if not path.is_file():
        raise DataError(f"no audio file {path} (recording {recording_id})")
    try:
        info = soundfile.info(str(path))
    except (soundfile.LibsndfileError, RuntimeError) as e:
        check_opens(path)  # libsndfile says "System error" alone
        raise DataError(f"{path} is not readable as audio (recording {recording_id}): {e}") from e
    if info.frames <= 0:
        raise DataError(f"{path} holds no samples (recording {recording_id})")
    return Recording(
        id=recording_id,
        sources=[AudioSource(type="file", channels=list(range(info.channels)), source=str(path))],
        sampling_rate=info.samplerate,
        num_samples=info.frames,
        duration=info.frames / info.samplerate,
    )


def decode_to_wav(source: str | Path, target: str | Path, raw_rate: int | None = None) -> Path:
    """Write ``source`` as 16-bit wav; returns ``target``, which appears whole or not at all.

    Args:
        source: anything libsndfile reads (NIST Sphere, flac...), or headerless samples.
        target: the wav file; its folder is made.
        raw_rate: the source is headerless big-endian 16-bit mono at this many samples per second.

    Raises:
        DataError: the source is missing or unreadable.
    """
    source, target = Path(source), Path(target)
    if not source.is_file():
        raise DataError(f"no audio file {source}")
    raw = {"format": "RAW", "subtype": "PCM_16", "endian": "BIG", "samplerate": raw_rate, "channels": 1}
    try:
        samples, rate = soundfile.read(str(source), dtype="int16", **(raw if raw_rate else {}))
    except (soundfile.LibsndfileError, RuntimeError) as e:
        check_opens(source)
        raise DataError(f"{source} is not readable as audio: {e}") from e
    target.parent.mkdir(parents=True, exist_ok=True)
    with replacing(target) as temporary:
        soundfile.write(str(temporary), samples, rate, format="WAV", subtype="PCM_16")
    return target
