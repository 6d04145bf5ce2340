"""One utterance's audio: speed copies, loading, and what may be wrong with it."""

from pathlib import Path

import numpy as np
import soundfile
from lhotse import MonoCut
from lhotse.utils import fastcopy

from asrpar.errors import DataError

UNPERTURBED = 1.0


def speed_copy(cut: MonoCut, factor: float) -> MonoCut:
    """The cut ``factor`` times as fast; all its ids get the prefix ``sp<factor>-``, text and speaker stay."""
    if factor == UNPERTURBED:
        return cut
    prefix = f"sp{factor:g}-"
    fast = cut.perturb_speed(factor, affix_id=False)
    recording = fastcopy(fast.recording, id=prefix + fast.recording.id)
    supervisions = [fastcopy(s, id=prefix + s.id, recording_id=recording.id) for s in fast.supervisions]
    return fastcopy(fast, id=prefix + cut.id, recording=recording, supervisions=supervisions)


def check_file_rate(cut: MonoCut) -> None:
    """Raise DataError if a file's own header contradicts the sampling rate in its manifest."""
    for source in cut.recording.sources:
        if source.type != "file" or Path(source.source).suffix.lower() not in (".wav", ".flac"):
            continue
        try:
            found = soundfile.info(str(source.source)).samplerate
        except (OSError, RuntimeError):
            return  # loading will report it
        if found != cut.recording.sampling_rate:
            raise DataError(
                f"recording {cut.recording.id}: {source.source} has {found} Hz but the manifest says "
                f"{cut.recording.sampling_rate} Hz; prepare the manifests again"
            )


def load_samples(cut: MonoCut) -> tuple[np.ndarray | None, str]:
    """Read a cut's audio.

    Returns:
        (samples, "") with samples of shape (1, num_samples) float32 in -1 to 1, or (None, why they cannot be used).
    """
    try:
        samples = cut.load_audio()
    except Exception as e:  # every reader of audio files raises its own kinds
        lines = [line.strip() for line in str(e).splitlines() if line.strip()]
        return None, f"unreadable: {lines[0] if lines else type(e).__name__}"
    samples = np.asarray(samples, dtype=np.float32)
    if samples.size == 0:
        return None, "empty"
    bad = samples.size - int(np.isfinite(samples).sum())
    if bad:
        return None, f"{bad} samples are NaN or infinite"
    return samples, ""


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
