"""Kaldi data folders: the one reader of their tables, which checks them against each other and collects problems.

A folder has ``wav.scp``, ``text``, ``utt2spk``, ``spk2utt`` and perhaps ``segments``, ``spk2gender``, ``feats.scp`` and
others. What is an error is what Kaldi's own check (``utils/validate_data_dir.sh``) refuses, but for the warnings that
are named where they are made. Nothing here opens audio or archives: see `asrpar.corpus.checks.kaldi`.
"""

import math
import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from asrpar.corpus.kaldi.tables import Row, Table, read_table, same_keys
from asrpar.corpus.problems import Place, Problems

REQUIRED = ("wav.scp", "text", "utt2spk", "spk2utt")

# Of tables: what a line looks like, and how many fields it has at least and at most.
_FORMS: dict[str, tuple[str, int, int | None]] = {
    "wav.scp": ("recording path", 2, None),
    "text": ("utterance word word ...", 1, None),
    "utt2spk": ("utterance speaker", 2, 2),
    "spk2utt": ("speaker utterance utterance ...", 2, None),
    "segments": ("utterance recording start end [channel]", 4, 5),
    "spk2gender": ("speaker m|f", 2, 2),
    "cmvn.scp": ("speaker archive:offset", 2, 2),
    "utt2dur": ("utterance seconds", 2, 2),
    "utt2num_frames": ("utterance frames", 2, 2),
    "utt2lang": ("utterance language", 2, 2),
    "feats.scp": ("utterance archive:offset", 2, 2),
    "reco2dur": ("recording seconds", 2, 2),
    "reco2file_and_channel": ("recording file A|B", 3, 3),
}

# Tables that list exactly the speakers, utterances or recordings.
_LISTS = {
    "speaker": ("spk2gender", "cmvn.scp"),
    "utterance": ("utt2spk", "text", "utt2dur", "utt2num_frames", "utt2lang", "feats.scp"),
    "recording": ("reco2dur", "reco2file_and_channel"),
}

# What others of Kaldi's files are for, which change what a model sees.
NOT_USED = {
    "cmvn.scp": "is not used: stage 2 computes means and variances itself (its setting `normalize`, such as speaker)",
    "vad.scp": "is not used: every frame of an utterance is trained on",
    "spk2warp": "is not used: there is no vocal tract length normalisation",
    "utt2warp": "is not used: there is no vocal tract length normalisation",
    "ivectors.scp": "is not imported: a training reads it where `input.streams` names it",
}


@dataclass
class Segment:
    """A piece of a recording; ``end`` is None for "to its end". Times in seconds; channel None: the only one."""

    recording: str
    start: float
    end: float | None
    channel: int | None = None


@dataclass
class KaldiDir:
    """The content of a data folder. Every mapping is keyed as its file is: by recording, utterance or speaker."""

    wav: dict[str, str]
    text: dict[str, str]
    utt2spk: dict[str, str]
    segments: dict[str, Segment] | None = None
    feats: dict[str, str] | None = None
    spk2gender: dict[str, str] = field(default_factory=dict)
    utt2lang: dict[str, str] = field(default_factory=dict)

    @property
    def spk2utt(self) -> dict[str, list[str]]:
        """Speaker → utterances, sorted."""
        speakers: dict[str, list[str]] = {}
        for utt, speaker in sorted(self.utt2spk.items()):
            speakers.setdefault(speaker, []).append(utt)
        return speakers


@dataclass
class KaldiTables:
    """The tables of a folder, as far as they could be read.

    Attributes:
        path: the folder.
        tables: file name → table, of the files that are there.
        segments: of ``segments``, the lines that are right.
    """

    path: Path
    tables: dict[str, Table]
    segments: dict[str, Segment]

    def __getitem__(self, name: str) -> Table:
        """A table; empty if the file is not there."""
        return self.tables.get(name, {})

    @property
    def listed_in(self) -> str:
        """The file that says which utterances there are."""
        return "segments" if "segments" in self.tables else "wav.scp"

    def content(self) -> KaldiDir:
        """The values of tables without errors."""

        def values(name: str) -> dict[str, str]:
            return {key: row.value for key, row in self[name].items()}

        return KaldiDir(
            wav=values("wav.scp"),
            text={utt: " ".join(row.fields) for utt, row in self["text"].items()},
            utt2spk=values("utt2spk"),
            segments=self.segments if "segments" in self.tables else None,
            feats=values("feats.scp") if "feats.scp" in self.tables else None,
            spk2gender=values("spk2gender"),
            utt2lang=values("utt2lang"),
        )


def read_kaldi_dir(folder: Path, problems: Problems) -> KaldiTables:
    """Read all tables of ``folder`` and check them against each other; what is wrong is added to ``problems``."""
    for name in REQUIRED:
        if not (folder / name).is_file():
            how = " (utils/utt2spk_to_spk2utt.pl makes it)" if name == "spk2utt" else ""
            problems.unreadable(folder / name, f"is missing{how}")
    tables: dict[str, Table] = {}
    for name, form in _FORMS.items():
        path = folder / name
        if path.is_file():
            tables[name] = read_table(problems, path, *form)
        elif name not in REQUIRED and os.path.lexists(path):
            # Without it the folder would be another one.
            problems.unreadable(path, "is no file, or a link to none: mend it, or remove it")
            tables[name] = {}
    data = KaldiTables(folder, tables, {})
    _check_speakers(problems, data)
    for utt, row in data["segments"].items():
        segment = _segment(problems, utt, row)
        if segment is not None:
            data.segments[utt] = segment
    _check_recordings(problems, data)
    known = {
        "speaker": (folder / "spk2utt", _places(data["spk2utt"])),
        "utterance": (folder / data.listed_in, _places(data[data.listed_in])),
        "recording": (folder / "wav.scp", _places(data["wav.scp"])),
    }
    for kind, names in _LISTS.items():
        for name in names:
            if name in tables:
                same_keys(problems, *known[kind], folder / name, _places(tables[name]), kind)
    for speaker, row in data["spk2gender"].items():
        if row.value not in ("m", "f"):  # which Kaldi refuses, and nothing here rests on
            problems.warn(row.place, f"the gender of '{speaker}' is '{row.value}', where Kaldi has m and f")
    for name, why in NOT_USED.items():
        if (folder / name).is_file():
            problems.warn(folder / name, why)
    return data


def _places(table: Table) -> dict[str, Place]:
    return {key: row.place for key, row in table.items()}


def _check_speakers(problems: Problems, data: KaldiTables) -> None:
    """Note where utt2spk and spk2utt differ."""
    utt2spk = data["utt2spk"]
    if "spk2utt" not in data.tables or "utt2spk" not in data.tables:
        return
    listed: dict[str, Place] = {}
    for speaker, row in data["spk2utt"].items():
        for utt in row.fields:
            if utt in listed:
                problems.error(row.place, f"utterance '{utt}' is a duplicate of line {listed[utt].line}")
                continue
            listed[utt] = row.place
            if utt in utt2spk and utt2spk[utt].value != speaker:
                there = utt2spk[utt]
                problems.error(
                    row.place,
                    f"utterance '{utt}' is of '{speaker}' here and of '{there.value}' in utt2spk "
                    f"(line {there.place.line})",
                )
    same_keys(problems, data.path / "spk2utt", listed, data.path / "utt2spk", _places(utt2spk), "utterance")


def _check_recordings(problems: Problems, data: KaldiTables) -> None:
    """Note segments of recordings that are not there, and recordings without segments."""
    wav, path = data["wav.scp"], data.path
    for utt, row in data["segments"].items():
        recording = row.fields[0]
        if recording not in wav and problems.read(path / "wav.scp"):
            problems.error(row.place, f"segment '{utt}' is of recording '{recording}', not in wav.scp")
    if "segments" in data.tables and problems.read(path / "segments"):
        used = {row.fields[0] for row in data["segments"].values()}
        for recording, row in wav.items():
            if recording not in used:  # refused by Kaldi; left over where a set was cut down to fewer utterances
                problems.warn(row.place, f"recording '{recording}' has no segment")


def _segment(problems: Problems, utt: str, row: Row) -> Segment | None:
    recording, *times = row.fields[:3]
    name = row.fields[3] if len(row.fields) > 3 else None
    number = {"A": "0", "B": "1"}.get(name, name) if name else None
    if number is not None and not re.fullmatch(r"\d{1,9}", number):
        problems.error(row.place, f"malformed: channel '{name}' is none of A, B, 0, 1 ...")
        return None
    try:
        start, end = map(float, times)
    except ValueError:
        start = end = math.nan
    if not (math.isfinite(start) and math.isfinite(end)):
        problems.error(row.place, f"malformed: '{' '.join(times)}' are not two times in seconds")
        return None
    whole = end == -1  # as Kaldi's extract-segments has it
    if start < 0:
        problems.error(row.place, f"segment '{utt}' starts at {start:g} s, before its recording")
    if not whole and end <= start:
        problems.error(row.place, f"segment '{utt}' ends at {end:g} s, not after its start {start:g} s")
        return None
    return Segment(recording, start, None if whole else end, None if number is None else int(number))
