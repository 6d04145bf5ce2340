"""Manifests and features as a Kaldi data folder."""

import shlex
from pathlib import Path

import numpy as np
from lhotse import CutSet, Recording

from asrpar.corpus.kaldi_ark import write_matrices
from asrpar.corpus.kaldi_tables import write_table
from asrpar.corpus.manifests import Split, read_manifest
from asrpar.errors import DataError, require_file


def export_split(split: Split, output: str | Path) -> None:
    """Write a split as a Kaldi data folder, each file sorted in the C locale.

    ``segments`` is written unless every utterance is the whole of a recording of the same name. Flac is decoded in
    ``wav.scp`` by the command of Kaldi's recipes, which `import_split` understands.

    Raises:
        DataError: something that a data folder cannot hold: a transformed recording, audio in memory, blanks in an id.
    """
    output = Path(output)
    recordings = {r.id: r for r in split.recordings}
    wav = {r.id: _scp_entry(r) for r in split.recordings}
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
        channel = s.channel if isinstance(s.channel, int) else s.channel[0]
        speaker = str(s.speaker)
        rows["text"][s.id] = s.text or ""
        rows["utt2spk"][s.id] = speaker
        speakers.setdefault(speaker, []).append(s.id)
        segments[s.id] = f"{s.recording_id} {_time(s.start)} {_time(s.end)}" + (f" {channel}" if channel else "")
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
    output.mkdir(parents=True, exist_ok=True)
    for name in ("segments", "spk2gender", "utt2lang", "feats.scp"):
        if name not in rows:  # of an earlier export
            (output / name).unlink(missing_ok=True)
    for name, table in rows.items():
        write_table(output / name, table)


def export_features(cuts: str | Path, split: Split, output: str | Path, compression: int | None = None) -> None:
    """Write the features of a split's utterances as ``feats.ark`` and ``feats.scp`` into a data folder.

    Args:
        cuts: cuts with features attached (stage 2); speed-perturbed copies are left out.
        split: the utterances wanted.
        output: the data folder.
        compression: as for `asrpar.corpus.kaldi_ark.write_matrices`.

    Raises:
        MissingInputError: there are no such cuts.
        DataError: an utterance has no features.
    """
    require_file(cuts, "stage 2 (asrpar extract-features)")
    by_id = {cut.id: cut for cut in read_manifest(CutSet, cuts)}
    absent = [s.id for s in split.supervisions if s.id not in by_id or not by_id[s.id].has_features]
    if absent:
        raise DataError(f"{cuts}: {len(absent)} of {len(split.supervisions)} utterances have no features ({absent[0]})")
    ids = sorted(s.id for s in split.supervisions)
    write_matrices(
        Path(output) / "feats.ark", ((i, np.asarray(by_id[i].load_features(), np.float32)) for i in ids), compression
    )


def _scp_entry(recording: Recording) -> str:
    if recording.transforms:
        raise DataError(f"recording {recording.id} is transformed on the fly, which wav.scp cannot say")
    if len(recording.sources) != 1 or recording.sources[0].type != "file":
        raise DataError(f"recording {recording.id} is not one audio file, which wav.scp cannot say")
    path = str(recording.sources[0].source)
    if path != path.strip() or path.endswith("|"):
        raise DataError(f"recording {recording.id}: Kaldi would misread the path {path!r}")
    suffix = Path(path).suffix.lower()
    if suffix not in (".wav", ".flac"):
        raise DataError(f"recording {recording.id}: Kaldi reads wav, and flac through a command, but not {path}")
    return path if suffix == ".wav" else f"flac -c -d -s {shlex.quote(path)} |"


def _time(seconds: float) -> str:
    text = f"{seconds:.8f}".rstrip("0")
    return text + "0" * (2 - len(text.split(".")[1])) if len(text.split(".")[1]) < 2 else text
