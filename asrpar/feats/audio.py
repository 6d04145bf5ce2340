"""One utterance's audio: speed copies, loading, and what may be wrong with it."""

import contextlib
import re
import warnings
from collections.abc import Iterator

import numpy as np
from lhotse import MonoCut
from lhotse.audio import get_audio_duration_mismatch_tolerance, set_audio_duration_mismatch_tolerance
from lhotse.utils import fastcopy

from asrpar.corpus.audio import samples as plain
from asrpar.corpus.audio.files import inspect, scale_fault
from asrpar.errors import DataError

UNPERTURBED = 1.0
MISMATCH = 0.025  # s between a recording and its manifest; perturbed lengths are rounded by a sample or two


def speed_prefix(factor: float) -> str:
    """What stands before the ids of copies that are ``factor`` times as fast."""
    return "" if factor == UNPERTURBED else f"sp{factor:g}-"


def speed_copy(cut: MonoCut, factor: float) -> MonoCut:
    """The cut ``factor`` times as fast; all its ids get the prefix of `speed_prefix`, text and speaker stay."""
    if factor == UNPERTURBED:
        return cut
    prefix = speed_prefix(factor)
    fast = cut.perturb_speed(factor, affix_id=False)
    recording = fastcopy(fast.recording, id=prefix + fast.recording.id)
    supervisions = [fastcopy(s, id=prefix + s.id, recording_id=recording.id) for s in fast.supervisions]
    return fastcopy(fast, id=prefix + cut.id, recording=recording, supervisions=supervisions)


def check_file_rate(cut: MonoCut) -> None:
    """Raise DataError if audio is not in files, or a file's header contradicts the sampling rate in its manifest."""
    plain.check_sources(cut.recording)
    if cut.recording.transforms:
        return  # they may change the rate
    for source in cut.recording.sources:
        try:
            found = inspect(source.source).sampling_rate
        except (DataError, OSError):
            return  # loading will report it
        if found != cut.recording.sampling_rate:
            raise DataError(
                f"recording {cut.recording.id}: {source.source} has {found} Hz but the manifest says "
                f"{cut.recording.sampling_rate} Hz; prepare the manifests again"
            )


@contextlib.contextmanager
def strict_durations() -> Iterator[None]:
    """Let Lhotse pad only what rounding explains: by itself it fills up to half a second with mirrored audio."""
    before = get_audio_duration_mismatch_tolerance()
    _set_tolerance(MISMATCH)
    try:
        yield
    finally:
        _set_tolerance(before)


def _set_tolerance(seconds: float) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Lhotse warns of each change
        set_audio_duration_mismatch_tolerance(seconds)


def load_samples(cut: MonoCut) -> tuple[np.ndarray | None, str]:
    """Read a cut's audio, inside `strict_durations`.

    Returns:
        (samples, "") with samples of shape (1, num_samples) float32 in -1 to 1, or (None, why they cannot be used).

    Raises:
        DataError: the audio is not in files.
    """
    plain.check_sources(cut.recording)
    try:
        samples = plain.load_samples(cut)
    except Exception as e:  # every reader of audio files raises its own kinds
        return None, f"unreadable: {_reason(e)}"
    if samples.size == 0:
        return None, "empty"
    bad = samples.size - int(np.isfinite(samples).sum())
    if bad:
        return None, f"{bad} samples are NaN or infinite"
    fault = scale_fault(float(np.abs(samples).max()))
    return (None, fault) if fault else (samples, "")


def _reason(error: Exception) -> str:
    """The telling part of Lhotse's long messages."""
    text = str(error)
    missing = re.search(r"diff=(-?\d+), audio\.shape", text)
    if missing:
        count = int(missing[1])
        return f"{abs(count)} samples {'fewer' if count > 0 else 'more'} than its manifest says"
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if len(lines) > 1 and lines[0].endswith("Details:"):
        return lines[1].rpartition("'>: ")[2]
    return lines[0] if lines else type(error).__name__


def suspicion(samples: np.ndarray, silence_range: float, clip_fraction: float) -> str:
    """What makes usable samples (1, n) suspicious: "silent...", "clipped...", or "" for nothing."""
    low, high = float(samples.min()), float(samples.max())
    if high - low < silence_range:
        return f"silent: samples span {high - low:.1e} of full scale"
    # Files that were attenuated after clipping stick at some lower level, hence not at full scale but at the extremes.
    stuck = float(np.mean((samples >= 0.9995 * high) if high > 0 else False)) + float(
        np.mean((samples <= 0.9995 * low) if low < 0 else False)
    )
    if stuck > clip_fraction:
        return f"clipped: {stuck:.1%} of the samples stick at the extremes"
    return ""
