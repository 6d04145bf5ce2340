"""Manifests and features as a Kaldi data folder."""

import shlex
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from pathlib import Path

import numpy as np
from lhotse import Recording

from asrpar.corpus.audio.files import open_audio
from asrpar.corpus.kaldi.ark import write_matrices
from asrpar.corpus.kaldi.tables import table_content
from asrpar.corpus.manifests import Split, one_channel
from asrpar.errors import DataError
from asrpar.files.replacing import replacing

OPTIONAL = ("segments", "spk2gender", "utt2lang", "feats.scp")


def export_split(
    split: Split,
    output: str | Path,
    features: Iterable[tuple[str, np.ndarray]] | None = None,
    compression: int | None = None,
) -> None:
    """Write a split as a Kaldi data folder, each file sorted in the C locale; all of it appears, or nothing.

    ``segments`` is written unless every utterance is the whole of a recording of the same name. Flac is decoded in
    ``wav.scp`` by the command of Kaldi's recipes, which `import_split` understands.

    Args:
        split: recordings and utterances.
        output: the data folder.
        features: (utterance id, float32 (T, C)) of all utterances, sorted by id; they become ``feats.ark`` and
            ``feats.scp``.
        compression: as for `asrpar.corpus.kaldi.ark.write_matrices`.

    Raises:
        DataError: something that a data folder cannot hold: a transformed recording, audio in memory, spaces in an id
            or, where there are no features, audio of a kind that Kaldi does not read.
    """
    output = Path(output)
    tables = {name: table_content(name, rows) for name, rows in _tables(split, needs_audio=features is None).items()}
    is_new = not output.exists()
    output.mkdir(parents=True, exist_ok=True)
    try:
        with ExitStack() as renamed_together:
            for name, content in tables.items():
                renamed_together.enter_context(replacing(output / name)).write_bytes(content)
            if features is not None:
                write_matrices(output / "feats.ark", features, compression)
    except BaseException:
        if is_new:
            with suppress(OSError):
                output.rmdir()  # which is empty
        raise
    for name in OPTIONAL:
        if name not in tables and (name != "feats.scp" or features is None):  # of an earlier export
            (output / name).unlink(missing_ok=True)


def _tables(split: Split, needs_audio: bool) -> dict[str, dict[str, str]]:
    recordings = {r.id: r for r in split.recordings}
    wav = {r.id: _scp_entry(r, needs_audio) for r in split.recordings}
    rows: dict[str, dict[str, str]] = {"wav.scp": wav, "text": {}, "utt2spk": {}}
    speakers: dict[str, list[str]] = {}
    genders: dict[str, str] = {}
    languages: dict[str, str] = {}
    segments: dict[str, str] = {}
    plain = True
    for s in sorted(split.supervisions, key=lambda s: s.id):
        recording = recordings.get(s.recording_id)
        if recording is None:
            raise DataError(f"utterance {s.id} is of recording {s.recording_id}, which is not in the recordings")
        channel = one_channel(s)
        speaker = str(s.speaker)
        rows["text"][s.id] = s.text or ""
        rows["utt2spk"][s.id] = speaker
        speakers.setdefault(speaker, []).append(s.id)
        which = f" {channel}" if channel or recording.num_channels > 1 else ""
        segments[s.id] = f"{s.recording_id} {_time(s.start)} {_time(s.end)}{which}"
        whole = s.start == 0 and abs(s.end - recording.duration) < 0.5 / recording.sampling_rate
        plain &= s.id == s.recording_id and whole and channel == 0 and recording.num_channels == 1
        if s.gender:
            genders[speaker] = s.gender
        if s.language:
            languages[s.id] = s.language
    rows["spk2utt"] = {speaker: " ".join(utts) for speaker, utts in speakers.items()}
    if not (plain and len(segments) == len(wav)):
        rows["segments"] = segments
    if genders and genders.keys() == speakers.keys():
        rows["spk2gender"] = genders
    if languages and languages.keys() == segments.keys():
        rows["utt2lang"] = languages
    return rows


def _scp_entry(recording: Recording, needed: bool) -> str:
    if recording.transforms:
        raise DataError(f"recording {recording.id} is transformed on the fly, which wav.scp cannot say")
    if len(recording.sources) != 1 or recording.sources[0].type != "file":
        raise DataError(f"recording {recording.id} is not one audio file, which wav.scp cannot say")
    path = str(recording.sources[0].source)
    if path != path.strip() or path.endswith("|"):
        raise DataError(f"recording {recording.id}: Kaldi would misread the path {path!r}")
    with open_audio(path) as file:  # names of files say nothing
        kind, samples = file.format, file.subtype
    if needed and (samples != "PCM_16" or kind not in ("WAV", "WAVEX", "FLAC")):
        raise DataError(
            f"recording {recording.id}: Kaldi reads 16-bit wav, and 16-bit flac through a command, but not {path} "
            f"({kind} of {samples}): convert it"
        )
    return f"flac -c -d -s {shlex.quote(path)} |" if kind == "FLAC" else path


def _time(seconds: float) -> str:
    text = f"{seconds:.8f}".rstrip("0")
    return text + "0" * (2 - len(text.split(".")[1])) if len(text.split(".")[1]) < 2 else text
