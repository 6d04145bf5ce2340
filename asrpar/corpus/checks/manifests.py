"""Checks of a folder of Lhotse manifests: ``{recordings,supervisions,cuts}_<split>.jsonl.gz``.

The records are read as JSON, not with Lhotse, which would stop at the first bad one.
"""

import gzip
import json
import math
import re
import sys
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

from asrpar.corpus.audio.files import AudioInfo
from asrpar.corpus.audio.sources import source_fault, source_records
from asrpar.corpus.checks.audio import check_audio, check_rates
from asrpar.corpus.checks.feats import check_feats
from asrpar.corpus.checks.report import DataSet, Limits
from asrpar.corpus.checks.text import Texts
from asrpar.corpus.kaldi.tables import read_table
from asrpar.corpus.lines import read_lines
from asrpar.corpus.problems import Place, Seen
from asrpar.files.text import odd_character

KINDS = ("recordings", "supervisions", "cuts")
_BLOCK = 1 << 20  # bytes at once
_FILE = re.compile(r"(recordings|supervisions|cuts)_(.+)\.jsonl\.gz")

_HUGE = 10**15  # more than any samples or seconds, and still a float

_TEXT = (str,)
_NUMBER = (int, float)
_WANTED: dict[str, dict[str, tuple[type, ...]]] = {
    "recordings": {
        "id": _TEXT, "sources": (list,), "sampling_rate": (int,), "num_samples": (int,), "duration": _NUMBER,
    },
    "supervisions": {
        "id": _TEXT, "recording_id": _TEXT, "start": _NUMBER, "duration": _NUMBER, "text": _TEXT, "speaker": _TEXT,
    },
    "cuts": {"id": _TEXT, "start": _NUMBER, "duration": _NUMBER, "supervisions": (list,)},
}  # fmt: skip

_SAME = ("sources", "sampling_rate", "num_samples", "transforms")  # of a cut's recording and the recordings'

Record = dict[str, Any]
Records = dict[str, tuple[Record, Place]]


class Said(NamedTuple):
    """What is kept of a supervision, to compare its cut with: of texts, which are long, what tells them apart."""

    text: int
    speaker: str
    place: Place


def find_splits(folder: Path) -> list[str]:
    """Names of the splits that ``folder`` has any manifest of, sorted."""
    names = {m[2] for path in folder.iterdir() if (m := _FILE.fullmatch(path.name)) and not path.name.startswith(".")}
    return sorted(names)


def check_split(folder: Path, split: str, limits: Limits) -> DataSet:
    """Check the three manifests of one split, and that they agree."""
    data = DataSet(name=split, where=str(folder))
    paths = {kind: folder / f"{kind}_{split}.jsonl.gz" for kind in KINDS}
    there = {kind for kind, path in paths.items() if path.is_file()}
    for kind in (kind for kind in KINDS if kind not in there):
        data.error(paths[kind], "is missing: asrpar prepare-manifests or import-kaldi makes it")
    recordings: Records = {}
    for name, record, place in _read(data, paths["recordings"], "recordings") if "recordings" in there else ():
        recordings.setdefault(name, (record, place))
    lengths = _check_recordings(data, recordings, limits)
    said: dict[str, Said] = {}
    used: set[str] = set()
    if "supervisions" in there:
        spoken = _read(data, paths["supervisions"], "supervisions")
        said, used = _check_supervisions(data, spoken, recordings, lengths if "recordings" in there else None, limits)
    feats = folder / f"feats_{split}.scp"
    if feats.is_file():
        check_feats(data, feats, read_table(data, feats, "utterance archive:offset", most=2), limits)
    for recording in recordings.keys() - used:
        data.warn(recordings[recording][1], f"recording '{recording}' has no supervision")
    if "cuts" in there:
        cuts = _read(data, paths["cuts"], "cuts")
        _check_cuts(data, cuts, said if "supervisions" in there else None, recordings, lengths, limits)
    return data


def _read(data: DataSet, path: Path, kind: str) -> Iterator[tuple[str, Record, Place]]:
    """Id, record and place of each record that has what it needs, one by one, as they may be millions."""
    try:
        with gzip.open(path) as packed:
            while packed.read(_BLOCK):
                pass
    except (OSError, EOFError, zlib.error) as e:
        data.error(path, f"is not readable gzip: {e}")
        return
    seen = Seen(data)  # in any order
    for place, line in read_lines(data, path, cast(BinaryIO, gzip.open(path))):  # noqa: SIM115 - it is closed there
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as e:
            data.error(place, f"malformed: not a JSON record ({e})")
            continue
        fault = _fault(record, kind)
        if fault:
            data.error(place, f"malformed: {fault}")
        if isinstance(record, dict) and isinstance(record.get("id"), str) and not odd_character(record["id"]):
            seen.add(record["id"], place)
            if not fault:
                yield record["id"], record, place
    seen.close()


def _check_supervisions(
    data: DataSet,
    spoken: Iterable[tuple[str, Record, Place]],
    recordings: Records,
    lengths: dict[str, float] | None,
    limits: Limits,
) -> tuple[dict[str, Said], set[str]]:
    """Check each supervision; returns what cuts are compared with, and the recordings that they are of."""
    said: dict[str, Said] = {}
    used: set[str] = set()
    texts = Texts(data)
    for utterance, record, place in spoken:
        if utterance in said:
            continue
        speaker = record["speaker"] = sys.intern(record["speaker"])
        said[utterance] = Said(hash(record["text"]), speaker, place)
        _check_supervision(data, utterance, record, place, lengths, limits)
        texts.add(place, utterance, record["text"])
        _check_channel(data, utterance, record, place, recordings)
        used.add(record["recording_id"])
    texts.close()
    return said, used


def _fault(record: Any, kind: str) -> str | None:
    if not isinstance(record, dict):
        return "not a record of fields"
    for name, types in _WANTED[kind].items():
        value = record.get(name)
        if value is None:
            return f"'{record.get('id', '?')}' has no {name}"
        if not isinstance(value, types) or isinstance(value, bool):
            return f"{name} of '{record.get('id', '?')}' is {type(value).__name__}, not {types[0].__name__}"
        odd = odd_character(value) if isinstance(value, str) else None
        if odd:
            return f"{name} of {record.get('id')!r} has the character {odd}, which no text has"
        if isinstance(value, float) and not math.isfinite(value):
            return f"{name} of '{record.get('id', '?')}' is {value}"
        if isinstance(value, (int, float)) and abs(value) > _HUGE:
            return f"{name} of '{record.get('id', '?')}' is beyond {_HUGE:.0e}"
    return None


def _check_recordings(data: DataSet, recordings: Records, limits: Limits) -> dict[str, float]:
    """Check declared and real audio; returns each recording's length in seconds (the real one where known)."""
    files: dict[str, tuple[Path, Place]] = {}
    more: dict[str, tuple[Path, Place]] = {}
    for recording, (record, place) in recordings.items():
        rate, samples, duration = record["sampling_rate"], record["num_samples"], record["duration"]
        if duration <= 0 or samples <= 0 or rate <= 0:
            data.error(place, f"'{recording}' has zero length ({samples} samples, {duration:g} s)")
        elif abs(samples / rate - duration) > limits.tolerance:
            data.error(place, f"'{recording}': {samples} samples at {rate} Hz are not {duration:g} s")
        sources = source_records(record)
        fault = source_fault(sources) if record["sources"] else "it has no audio source"
        if fault:
            data.error(place, f"'{recording}' cannot be read: {fault}")
        else:
            files[recording] = (Path(record["sources"][0]["source"]), place)
            for number, source in enumerate(record["sources"][1:], 2):
                more[f"{recording}, source {number}"] = (Path(source["source"]), place)
    # By what the manifest says: behind a transform (resampling) the file's own rate may differ.
    check_rates(data, {k: (r["sampling_rate"], p) for k, (r, p) in recordings.items()}, limits)
    audio = check_audio(data, files, limits)
    check_audio(data, more, limits)
    lengths = {k: float(record["duration"]) for k, (record, _) in recordings.items()}
    for recording, found in audio.items():
        record, place = recordings[recording]
        if not record.get("transforms"):
            _compare_with_file(data, recording, record, place, found)
            lengths[recording] = found.seconds
    return lengths


def _compare_with_file(data: DataSet, recording: str, record: dict[str, Any], place: Place, found: AudioInfo) -> None:
    if found.sampling_rate != record["sampling_rate"]:
        data.error(
            place,
            f"'{recording}' is said to have {record['sampling_rate']} Hz, its file has {found.sampling_rate} Hz",
        )
    elif found.num_samples != record["num_samples"]:
        data.error(
            place,
            f"'{recording}' is said to have {record['num_samples']} samples, its file has {found.num_samples}",
        )


def _check_supervision(
    data: DataSet,
    utterance: str,
    record: dict[str, Any],
    place: Place,
    lengths: dict[str, float] | None,
    limits: Limits,
) -> None:
    data.add_utterance(utterance, record["speaker"], place)
    recording, start, duration = record["recording_id"], record["start"], record["duration"]
    if lengths is not None and recording not in lengths:
        data.error(place, f"'{utterance}' is of recording '{recording}', which is not in the recordings")
    if start < 0:
        data.error(place, f"'{utterance}' starts at {start:g} s, before its recording")
    if duration <= 0:
        data.error(place, f"'{utterance}' has a duration of {duration:g} s")
        return
    data.seconds += duration
    length = (lengths or {}).get(recording)
    if length is not None and start + duration > length + limits.tolerance:
        data.error(
            place,
            f"'{utterance}' ends at {start + duration:.3f} s, beyond its audio of {length:.3f} s",
        )
        duration = max(0.0, length - start)
    data.check_transcript(place, utterance, record["text"], duration, limits)
    text = record["text"]
    if text.strip() and text != " ".join(text.split()):
        data.error(place, f"words of '{utterance}' are not separated by single spaces")


def _check_channel(data: DataSet, utterance: str, record: Record, place: Place, recordings: Records) -> None:
    channel = record.get("channel", 0)
    there = {c for s in recordings.get(record["recording_id"], ({}, None))[0].get("sources", []) for c in _of(s)}
    given = channel if isinstance(channel, list) else [channel]
    if not given or not all(isinstance(c, int) for c in given):
        data.error(place, f"malformed: channel of '{utterance}' is not a number")
    elif isinstance(channel, list) and len(channel) > 1:
        data.error(place, f"'{utterance}' is on the channels {channel}: choose one")
    elif there and given[0] not in there:
        data.error(place, f"'{utterance}' is on channel {channel}, its recording has {sorted(there)}")


def _of(source: Any) -> list[int]:
    channels = source.get("channels") if isinstance(source, dict) else None
    return [c for c in channels if isinstance(c, int)] if isinstance(channels, list) else []


def _check_cuts(
    data: DataSet,
    cuts: Iterable[tuple[str, Record, Place]],
    supervisions: Mapping[str, Said] | None,
    recordings: Records,
    lengths: dict[str, float],
    limits: Limits,
) -> None:
    missing, others = set(supervisions or ()), set()
    for cut, record, place in cuts:
        if cut in missing:
            missing.remove(cut)
        elif cut in (supervisions or ()) or cut in others:
            continue  # a second one
        else:
            others.add(cut)
        inner = record["supervisions"]
        if len(inner) != 1 or not isinstance(inner[0], dict):
            data.error(place, f"cut '{cut}' has {len(inner)} supervisions, not one")
            continue
        if inner[0].get("id") != cut:
            data.error(place, f"cut '{cut}' has the supervision '{inner[0].get('id')}', not its own id")
        if record["duration"] <= 0:
            data.error(place, f"cut '{cut}' has a duration of {record['duration']:g} s")
        recording = record.get("recording")
        owner = recording.get("id") if isinstance(recording, dict) else None
        length = lengths.get(owner) if isinstance(owner, str) else None
        if not isinstance(owner, str):
            data.error(place, f"malformed: cut '{cut}' has no recording with an id")
        elif length is None:
            data.error(place, f"cut '{cut}' is of recording '{owner}', which is unknown")
        elif any(recording.get(name) != recordings[owner][0].get(name) for name in _SAME):
            data.error(place, f"the recording '{owner}' of cut '{cut}' is another in the recordings")
        elif record["start"] + record["duration"] > length + limits.tolerance:
            end = record["start"] + record["duration"]
            data.error(place, f"cut '{cut}' ends at {end:.3f} s, beyond its audio of {length:.3f} s")
        if supervisions is None:
            continue
        if cut not in supervisions:
            data.error(place, f"cut '{cut}' is missing in the supervisions")
        else:
            own, text = supervisions[cut], inner[0].get("text")
            same = {"text": isinstance(text, str) and hash(text) == own.text}
            same["speaker"] = inner[0].get("speaker") == own.speaker
            for name in (name for name, equal in same.items() if not equal):
                data.error(place, f"{name} of cut '{cut}' is not that of its supervision in the supervisions")
    for utterance in missing:
        data.error(supervisions[utterance].place, f"'{utterance}' is missing in the cuts")
