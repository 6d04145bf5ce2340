"""Checks of audio files."""

from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from asrpar.corpus.validate_report import DataSet, Limits, Place
from asrpar.errors import check_opens

_FLOAT_SUBTYPES = {"FLOAT", "DOUBLE"}
_BLOCK = 1 << 20


@dataclass(frozen=True)
class Audio:
    """What an audio file is: rate in Hz, length in samples and seconds; ``fault`` if it is unusable."""

    rate: int = 0
    samples: int = 0
    channels: int = 0
    fault: str | None = None

    @property
    def seconds(self) -> float:
        """Length in seconds; 0 for an unusable file."""
        return self.samples / self.rate if self.rate else 0.0


def probe_audio(path: Path, read_audio: bool = False) -> Audio:
    """Look at one file; its samples are read if they are floats, which can be NaN, or if ``read_audio``."""
    if not path.exists():
        return Audio(fault=f"no audio file {path}")
    if not path.is_file():
        return Audio(fault=f"{path} is not a file")
    try:
        if path.stat().st_size == 0:
            return Audio(fault=f"audio file {path} is empty (0 bytes)")
        with soundfile.SoundFile(str(path)) as file:
            audio = Audio(file.samplerate, file.frames, file.channels)
            if file.frames == 0:
                return Audio(fault=f"audio file {path} has zero length: a header without samples")
            if file.subtype in _FLOAT_SUBTYPES or read_audio:
                fault = _read_through(file)
                if fault:
                    return Audio(audio.rate, audio.samples, audio.channels, f"audio file {path} {fault}")
            return audio
    except (soundfile.LibsndfileError, RuntimeError, OSError) as e:
        return Audio(fault=f"audio file {path} is not readable: {_reason(path, e)}")


def _reason(path: Path, error: Exception) -> str:
    try:
        check_opens(path)
    except OSError as e:  # libsndfile calls it "System error"
        return e.strerror
    return " ".join(str(error).split())


def _read_through(file: soundfile.SoundFile) -> str | None:
    done = bad = 0
    while len(block := file.read(_BLOCK, dtype="float32", always_2d=True)):
        done += len(block)
        bad += int(np.count_nonzero(~np.isfinite(block).all(axis=1)))
    if bad:
        return f"has {bad} samples that are NaN or infinite"
    if done < file.frames:
        return f"is cut short: {done} of the {file.frames} samples that its header promises"
    return None


def check_audio(data: DataSet, files: Mapping[str, tuple[Path, Place]], limits: Limits) -> dict[str, Audio]:
    """Probe ``files`` (recording id: path and where it is named), and note those that cannot be used.

    Returns:
        The recordings whose length is known.
    """
    with ThreadPoolExecutor(8) as pool:
        probed = list(pool.map(lambda f: probe_audio(f[0], limits.read_audio), files.values()))
    for (recording, (_, place)), audio in zip(files.items(), probed, strict=True):
        if audio.fault:
            data.error(place.file, place.line, f"'{recording}': {audio.fault}")
    return {recording: audio for recording, audio in zip(files, probed, strict=True) if audio.seconds > 0}


def check_rates(data: DataSet, rates: Mapping[str, tuple[int, Place]], limits: Limits) -> None:
    """Note recordings whose rate (Hz) is not the wanted one, or not that of most others."""
    if not rates:
        return
    usual = Counter(rate for rate, _ in rates.values()).most_common(1)[0][0]
    wanted = limits.sampling_rate or usual
    data.sampling_rate = usual
    for recording, (rate, place) in rates.items():
        if rate != wanted:
            why = "wanted" if limits.sampling_rate else "that most others have"
            data.error(place.file, place.line, f"'{recording}' has {rate} Hz, not the {wanted} Hz {why}")
