"""Manifests on disk: recordings, supervisions and cuts of each split, written whole or not at all."""

import gzip
import json
import logging
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lhotse import MonoCut, Recording, RecordingSet, SupervisionSegment, SupervisionSet
from lhotse.utils import fastcopy

from asrpar.corpus.ids import id_fault
from asrpar.errors import ConfigError, DataError
from asrpar.files.paths import check_opens, naming, require_file
from asrpar.files.replacing import replacing
from asrpar.files.text import nfc

log = logging.getLogger("asrpar.corpus")


@dataclass
class Split:
    """One split: recordings, and supervisions that refer to them. The id of a supervision is the utterance's.

    Attributes:
        files: what scoring needs besides, text by name: that of ``stm.stm`` is written as ``stm_<split>.stm``.
    """

    recordings: list[Recording]
    supervisions: list[SupervisionSegment]
    files: dict[str, str] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """Speech in seconds: the sum of the supervisions' durations."""
        return sum(s.duration for s in self.supervisions)

    @property
    def speakers(self) -> set[str]:
        """The speakers of the split."""
        return {str(s.speaker) for s in self.supervisions}


def check_split_name(name: str) -> None:
    """Raises `ConfigError` unless ``name`` can be part of a file name: letters, digits, dots, dashes, underscores."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise ConfigError(f"split '{name}': use letters, digits, '.', '-' and '_' only")


def make_cuts(split: Split) -> list[MonoCut]:
    """One cut for each supervision, of the same id, ordered by id.

    Raises:
        DataError: see `check_consistent`.
    """
    check_consistent(split)
    recordings = {r.id: r for r in split.recordings}
    return [_cut(s, recordings[s.recording_id]) for s in sorted(split.supervisions, key=lambda s: s.id)]


def check_consistent(split: Split) -> None:
    """Raise `DataError` unless there can be a cut of each supervision.

    Raises:
        DataError: an id occurs twice, a supervision refers to no recording, reaches outside of it, or has no
            speaker, text or duration.
    """
    recordings = {r.id: r for r in split.recordings}
    if len(recordings) < len(split.recordings):
        raise DataError(f"recording id {_first_twice(split.recordings)} occurs twice")
    if len({s.id for s in split.supervisions}) < len(split.supervisions):
        raise DataError(f"utterance id {_first_twice(split.supervisions)} occurs twice")
    for s in sorted(split.supervisions, key=lambda s: s.id):
        recording = recordings.get(s.recording_id)
        if recording is None:
            raise DataError(f"utterance {s.id}: there is no recording {s.recording_id}")
        fault = id_fault(s.id)
        if fault:
            raise DataError(f"the utterance id {s.id!r} {fault}, which files of transcripts, 'WORDS (id)', cannot hold")
        if not s.speaker or s.text is None:
            raise DataError(f"utterance {s.id} has no {'text' if s.speaker else 'speaker'}")
        if s.start < 0 or s.duration <= 0 or s.end > recording.duration + 0.5 / recording.sampling_rate:
            raise DataError(
                f"utterance {s.id} ({s.start:.3f} to {s.end:.3f} s) is not inside recording {recording.id} "
                f"(0 to {recording.duration:.3f} s)"
            )
        one_channel(s)


def _cut(s: SupervisionSegment, recording: Recording | None) -> MonoCut:
    return MonoCut(
        id=s.id,
        start=s.start,
        duration=s.duration,
        channel=one_channel(s),
        supervisions=[fastcopy(s, start=0.0)],
        recording=recording,
    )


def cut_lines(split: Split) -> Iterator[str]:
    """The cuts of a split as lines of JSON, one by one: a recording of many is put into words once."""
    recordings = {r.id: _json(r) for r in split.recordings}
    for s in sorted(split.supervisions, key=lambda s: s.id):
        line = _json(_cut(s, None))
        yield f'{line.removesuffix(_TYPE)}, "recording": {recordings[s.recording_id]}{_TYPE}'


_TYPE = ', "type": "MonoCut"}'


def one_channel(supervision: SupervisionSegment) -> int:
    """The channel of an utterance. Raises `DataError` if it has several, of which one would have to be chosen."""
    channel = supervision.channel
    if isinstance(channel, int):
        return channel
    if len(channel) != 1:
        raise DataError(f"utterance {supervision.id} is on the channels {list(channel)}: choose one")
    return channel[0]


def write_manifests(output: str | Path, splits: Mapping[str, Split]) -> None:
    """Write ``{recordings,supervisions,cuts}_<split>.jsonl.gz`` of every split; each byte follows from the content.

    Texts are written composed (see `asrpar.files.text.nfc`). The split's ``files`` are written beside.

    Raises:
        DataError: a split is empty, or `check_consistent` refuses it.
    """
    output, splits = Path(output), dict(splits)
    for name, split in splits.items():
        if not split.supervisions:
            raise DataError(f"split {name} has no utterances")
        splits[name] = split = replace(split, supervisions=[_composed(s) for s in split.supervisions])
        try:
            check_consistent(split)
        except DataError as e:
            raise DataError(f"split {name}: {e}") from e
    output.mkdir(parents=True, exist_ok=True)
    with ExitStack() as renamed_together:
        for name, split in splits.items():
            # One by one: the cuts of millions of utterances take more memory than all else.
            lines = {"cuts": cut_lines(split)}
            lines["recordings"] = map(_json, sorted(split.recordings, key=lambda r: r.id))
            lines["supervisions"] = map(_json, sorted(split.supervisions, key=lambda s: s.id))
            for kind, items in lines.items():
                path = output / f"{kind}_{name}.jsonl.gz"
                _write_lines(renamed_together.enter_context(replacing(path)), items)
        for name, split in splits.items():
            for file, content in split.files.items():
                path = output / f"{Path(file).stem}_{name}{Path(file).suffix}"
                renamed_together.enter_context(replacing(path)).write_text(content, encoding="utf-8")
    for name, split in splits.items():
        log.info(
            "%s: %d utterances, %.1f min, %d speakers",
            name,
            len(split.supervisions),
            split.seconds / 60,
            len(split.speakers),
        )


def read_split(manifests: str | Path, name: str) -> Split:
    """Read recordings and supervisions of one split, eagerly.

    Raises:
        MissingInputError: the split is not there. DataError: its files are damaged.
    """
    manifests = Path(manifests)
    for kind in ("recordings", "supervisions"):
        require_file(manifests / f"{kind}_{name}.jsonl.gz", "stage 1 (asrpar prepare-manifests or import-kaldi)")
    return Split(
        recordings=read_manifest(RecordingSet, manifests / f"recordings_{name}.jsonl.gz"),
        supervisions=read_manifest(SupervisionSet, manifests / f"supervisions_{name}.jsonl.gz"),
    )


def read_manifest(kind: Any, path: Path) -> list[Any]:
    """All entries of a manifest of Lhotse's class ``kind``. Raises `DataError` if the file is damaged."""
    try:
        return list(kind.from_file(path))
    except Exception as e:  # damaged gzip, JSON and manifests: each raises its own
        check_opens(path)
        raise DataError(f"{path} is not readable as a manifest ({type(e).__name__}): make it again") from e


def check_recordings(split: Split, sampling_rate: int | None, channels: int = 1) -> None:
    """Every recording has so many channels and the corpus's sampling rate (Hz; None: that of most recordings).

    Raises:
        DataError: with the number of bad recordings and the first of them.
    """
    if sampling_rate is None:
        sampling_rate = Counter(r.sampling_rate for r in split.recordings).most_common(1)[0][0]
    bad = [r for r in split.recordings if r.sampling_rate != sampling_rate or r.num_channels != channels]
    if bad:
        r = bad[0]
        wanted = "mono" if channels == 1 else f"with {channels} channels"
        raise DataError(
            f"{len(bad)} of {len(split.recordings)} recordings are not {sampling_rate} Hz {wanted}; the first is "
            f"{r.sources[0].source} ({r.sampling_rate} Hz, {r.num_channels} channels)"
        )


def _composed(supervision: SupervisionSegment) -> SupervisionSegment:
    text = supervision.text
    return supervision if text is None or nfc(text) == text else fastcopy(supervision, text=nfc(text))


def _json(item: Any) -> str:
    return json.dumps(item.to_dict(), ensure_ascii=False)


def _write_lines(path: Path, lines: Iterable[str]) -> None:
    # No name and no time in the gzip header, so that the same manifests give the same bytes.
    with naming(path), path.open("wb") as raw, gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as file:
        for line in lines:
            file.write(f"{line}\n".encode())


def _first_twice(items: Iterable[Any]) -> str:
    seen: set[str] = set()
    return next(i.id for i in items if i.id in seen or seen.add(i.id))
