"""Samples of Lhotse's recordings and cuts, read from plain files only.

Lhotse would run a source of type "command" in a shell, download a "url", and put the path of a ``.sph`` file into a
shell's command line. Manifests come with the data, so none of that may happen: the sources are checked, and Lhotse
is given a backend that opens files as `asrpar.corpus.audio.files` does.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from lhotse import Recording
from lhotse.audio.backend import AudioBackend, get_current_audio_backend, set_current_audio_backend
from lhotse.cut import Cut
from lhotse.cut.data import DataCut
from lhotse.utils import compute_num_samples

from asrpar.corpus.audio.files import cut_short, open_audio
from asrpar.corpus.audio.sources import source_fault, source_records
from asrpar.errors import DataError


class PlainFiles(AudioBackend):
    """Reads plain files with libsndfile, and nothing else."""

    def read_audio(
        self,
        path_or_fd: Any,
        offset: float = 0.0,
        duration: float | None = None,
        force_opus_sampling_rate: int | None = None,
    ) -> tuple[np.ndarray, int]:
        """Samples (channels, n) float32 and their rate in Hz; times in seconds. Raises `DataError`."""
        if not isinstance(path_or_fd, (str, Path)):
            raise DataError("audio is read from files only")
        try:
            with open_audio(path_or_fd) as file:
                rate = int(file.samplerate)
                if offset > 0:
                    file.seek(compute_num_samples(offset, rate))
                wanted = compute_num_samples(duration, rate) if duration is not None else -1
                samples = file.read(frames=wanted, dtype="float32", always_2d=True).T
                if wanted < 0 and offset <= 0 and samples.shape[1] < file.frames:
                    raise DataError(f"audio file {path_or_fd} {cut_short(samples.shape[1], file.frames)}")
                return samples, rate
        except RuntimeError as e:  # Lhotse makes errors anew from their text, which libsndfile's do not stand
            raise DataError(f"{path_or_fd} is not readable as audio: {' '.join(str(e).split())}") from e


@contextlib.contextmanager
def plain_files() -> Iterator[None]:
    """Let Lhotse read all audio through `PlainFiles`."""
    before = get_current_audio_backend()
    set_current_audio_backend(PlainFiles())
    try:
        yield
    finally:
        set_current_audio_backend(before)


def check_sources(recording: Recording) -> None:
    """Raise `DataError` unless all audio of a recording, that of its transforms too, is to be read from files."""
    found = [{"type": s.type, "source": s.source} for s in recording.sources]
    if recording.transforms:
        found += source_records([t if isinstance(t, dict) else t.to_dict() for t in recording.transforms])
    fault = source_fault(found)
    if fault:
        raise DataError(f"recording {recording.id}: {fault}")


def load_samples(audio: Recording | Cut) -> np.ndarray:
    """The samples of a recording or a cut, (channels, n) float32 with full scale 1.

    Raises:
        DataError: a source that is no plain file, or a file that cannot be used. Of Lhotse's own errors, whatever it
            raises, for instance where a recording is shorter than its manifest says.
    """
    recording = audio.recording if isinstance(audio, DataCut) else audio
    if not isinstance(recording, Recording):  # mixed cuts and padding
        raise DataError(f"{audio.id} is not audio of one recording")
    check_sources(recording)
    with plain_files():
        return np.asarray(audio.load_audio(), dtype=np.float32)
