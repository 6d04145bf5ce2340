"""Kaldi data folders: reading one, with all its files checked against each other.

A folder has ``wav.scp``, ``text``, ``utt2spk``, ``spk2utt`` and perhaps ``segments``, ``spk2gender``, ``utt2lang`` and
``feats.scp``.
"""

from dataclasses import dataclass, field
from pathlib import Path

from asrpar.corpus.kaldi.tables import Problems, Row, read_table, same_keys
from asrpar.errors import DataError

OVERSHOOT = 0.5  # seconds by which a segment may outlast its recording before it is an error, as in extract-segments

# What others of Kaldi's files are for, which change what a model sees.
NOT_USED = {
    "cmvn.scp": "is not used: stage 2 computes means and variances itself (its setting `normalize`, such as speaker)",
    "vad.scp": "is not used: every frame of an utterance is trained on",
    "spk2warp": "is not used: there is no vocal tract length normalisation",
    "utt2warp": "is not used: there is no vocal tract length normalisation",
    "ivectors.scp": "is not used: models take features alone",
}


def not_used(folder: Path) -> list[str]:
    """Those of `NOT_USED` that a data folder has."""
    return [name for name in NOT_USED if (folder / name).is_file()]


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


def read_kaldi_dir(path: str | Path) -> KaldiDir:
    """Read a folder and check all its files against each other. Audio is not touched.

    Raises:
        DataError: with the number of problems and the first few, each with file and line.
    """
    path = Path(path)
    if not path.is_dir():
        raise DataError(f"no Kaldi data folder {path}")
    problems = Problems(str(path))
    for name in ("wav.scp", "text", "utt2spk", "spk2utt"):
        if not (path / name).is_file():
            problems.add(name, None, "is missing")
    problems.raise_if_any()

    wav = read_table(path / "wav.scp", problems)
    text = read_table(path / "text", problems, empty_values=True)
    utt2spk = read_table(path / "utt2spk", problems)
    spk2utt = read_table(path / "spk2utt", problems)
    optional = {
        name: read_table(path / name, problems)
        for name in ("segments", "feats.scp", "spk2gender", "utt2lang")
        if (path / name).is_file()
    }
    if problems.lost:
        problems.raise_if_any()
    for utt, row in utt2spk.items():
        if len(row.fields) > 1:
            problems.add("utt2spk", row.line, f"'{utt}' has more than one speaker")
    _check_speakers(problems, utt2spk, spk2utt)

    utterances = optional.get("segments", wav)
    source = path / ("segments" if "segments" in optional else "wav.scp")
    same_keys(problems, source, utterances, path / "utt2spk", utt2spk)
    same_keys(problems, source, utterances, path / "text", text)
    for name in ("feats.scp", "utt2lang"):
        if name in optional:
            same_keys(problems, source, utterances, path / name, optional[name])
    if "spk2gender" in optional:
        same_keys(problems, path / "spk2utt", spk2utt, path / "spk2gender", optional["spk2gender"])
    segments = _read_segments(problems, optional["segments"], wav) if "segments" in optional else None
    problems.raise_if_any()

    def values(rows: dict[str, Row]) -> dict[str, str]:
        return {key: row.value for key, row in rows.items()}

    return KaldiDir(
        wav=values(wav),
        text={utt: " ".join(row.fields) for utt, row in text.items()},
        utt2spk=values(utt2spk),
        segments=segments,
        feats=values(optional["feats.scp"]) if "feats.scp" in optional else None,
        spk2gender=values(optional.get("spk2gender", {})),
        utt2lang=values(optional.get("utt2lang", {})),
    )


def _check_speakers(problems: Problems, utt2spk: dict[str, Row], spk2utt: dict[str, Row]) -> None:
    said: dict[str, str] = {}
    for speaker, row in spk2utt.items():
        for utt in row.fields:
            if utt in said:
                problems.add("spk2utt", row.line, f"'{utt}' is listed twice")
            elif utt not in utt2spk:
                problems.add("spk2utt", row.line, f"'{utt}' is not in utt2spk")
            elif utt2spk[utt].value != speaker:
                problems.add("spk2utt", row.line, f"'{utt}' is of '{utt2spk[utt].value}' in utt2spk, not '{speaker}'")
            said[utt] = speaker
    for utt, row in utt2spk.items():
        if utt not in said:
            problems.add("utt2spk", row.line, f"'{utt}' is not in spk2utt")


def _read_segments(problems: Problems, rows: dict[str, Row], wav: dict[str, Row]) -> dict[str, Segment]:
    segments = {}
    for utt, row in rows.items():
        fields = row.fields
        try:
            recording, start, end = fields[0], float(fields[1]), float(fields[2])
            channel = {"A": 0, "B": 1}.get(fields[3], fields[3]) if len(fields) > 3 else None
            channel = int(channel) if channel is not None else None
            if len(fields) > 4 or (channel or 0) < 0:
                raise ValueError
        except (ValueError, IndexError):
            problems.add("segments", row.line, f"'{utt}': expected 'UTTERANCE RECORDING START END [CHANNEL]'")
            continue
        if recording not in wav:
            problems.add("segments", row.line, f"recording '{recording}' is not in wav.scp")
        if not start >= 0 or (end != -1 and not start < end < float("inf")):
            problems.add("segments", row.line, f"'{utt}': from {start:g} to {end:g} s is no piece of time")
        segments[utt] = Segment(recording, start, None if end == -1 else end, channel)
    return segments
