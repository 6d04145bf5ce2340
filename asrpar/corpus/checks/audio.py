"""Checks of audio files."""

from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
from tqdm import tqdm

from asrpar.corpus.audio.files import FLOAT_SUBTYPES, AudioInfo, cut_short, open_audio, scale_fault
from asrpar.corpus.audio.sphere import compressed_info
from asrpar.corpus.checks.report import DataSet, Limits
from asrpar.corpus.problems import Place, Problems
from asrpar.errors import DataError
from asrpar.workers import Workers

_BLOCK = 1 << 20
# Files that a process reads at a time.
FEW = 32


class Probed(NamedTuple):
    """What an audio file is, None where it cannot be opened, and what is wrong with it, if anything."""

    info: AudioInfo | None
    fault: str | None


def probe_audio(path: Path, read_audio: bool = False) -> Probed:
    """Look at one file; its samples are read if they are floats, which can be anything, or if ``read_audio``."""
    try:
        if not read_audio and (compressed := compressed_info(path)) is not None:
            return Probed(AudioInfo(*compressed), None)
        with open_audio(path) as file:
            info = AudioInfo(file.samplerate, file.frames, file.channels)
            fault = _read_through(file) if file.subtype in FLOAT_SUBTYPES or read_audio else None
    except DataError as e:
        return Probed(None, str(e))
    except OSError as e:
        return Probed(None, f"audio file {path} is not readable: {e.strerror}")
    except RuntimeError as e:
        return Probed(None, f"audio file {path} is not readable: {' '.join(str(e).split())}")
    return Probed(info, f"audio file {path} {fault}" if fault else None)


def _read_through(file: soundfile.SoundFile) -> str | None:
    done = bad = 0
    peak = 0.0
    while len(block := file.read(_BLOCK, dtype="float32", always_2d=True)):
        done += len(block)
        finite = np.isfinite(block)
        bad += int(np.count_nonzero(~finite.all(axis=1)))
        peak = max(peak, float(np.abs(block).max(initial=0, where=finite)))
    if bad:
        return f"has {bad} samples that are NaN or infinite"
    return cut_short(done, file.frames) if done < file.frames else scale_fault(peak)


def _probe(paths: list[Path], limits: Limits, where: str) -> list[Probed]:
    """Look at files, with a bar on a terminal: at headers in threads, and at all samples in processes."""
    # disable=None: a bar only on a terminal.
    with tqdm(total=len(paths), desc=f"audio of {where}", unit="file", disable=None) as bar:
        if not limits.read_audio or limits.jobs == 1 or len(paths) < FEW:
            with ThreadPoolExecutor(8) as pool:
                look = pool.map(lambda path: probe_audio(path, limits.read_audio), paths)
                return [bar.update() or one for one in look]
        found: list[list[Probed]] = []
        with Workers(limits.jobs, "forkserver", preload=[__name__]) as pool:
            tasks = [pool.submit(_probe_some, paths[i : i + FEW]) for i in range(0, len(paths), FEW)]
            for task in tasks:
                found.append(pool.result(task, "reading audio"))
                bar.update(len(found[-1]))
        return [one for some in found for one in some]


def _probe_some(paths: list[Path]) -> list[Probed]:
    return [probe_audio(path, read_audio=True) for path in paths]


def check_audio(problems: Problems, files: Mapping[str, tuple[Path, Place]], limits: Limits) -> dict[str, AudioInfo]:
    """Probe ``files`` (recording id: path and where it is named), and note those that cannot be used.

    Returns:
        The recordings whose length is known.
    """
    probed = _probe([path for path, _ in files.values()], limits, problems.where)
    for (recording, (_, place)), (_, fault) in zip(files.items(), probed, strict=True):
        if fault:
            problems.error(place, f"'{recording}': {fault}")
    first: dict[Path, str] = {}
    for recording, (path, place) in files.items():
        other = first.setdefault(path, recording)
        if other != recording:
            problems.warn(place, f"'{recording}' is the same file as '{other}': {path}")
    return {recording: info for recording, (info, _) in zip(files, probed, strict=True) if info is not None}


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
            data.error(place, f"'{recording}' has {rate} Hz, not the {wanted} Hz {why}")
