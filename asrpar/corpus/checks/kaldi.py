"""Checks of a Kaldi data folder: its tables, and whether audio, times, transcripts and features fit each other."""

from dataclasses import dataclass
from pathlib import Path

from asrpar.corpus.audio.files import AudioInfo
from asrpar.corpus.checks.audio import check_audio, check_rates
from asrpar.corpus.checks.feats import check_feats
from asrpar.corpus.checks.report import DataSet, Limits
from asrpar.corpus.checks.text import check_texts
from asrpar.corpus.kaldi.folder import KaldiTables, read_kaldi_dir
from asrpar.corpus.kaldi.pipes import audio_file
from asrpar.corpus.problems import Place
from asrpar.errors import DataError

OVERSHOOT = 0.5  # seconds by which a segment may outlast its recording before it is an error, as in extract-segments


@dataclass
class CheckedDir:
    """A data folder and what is wrong with it.

    Attributes:
        tables: what could be read.
        audio: what the files of recordings are, as far as they could be opened without running a command.
        found: the problems, and what comparing the set with others needs.
    """

    tables: KaldiTables
    audio: dict[str, AudioInfo]
    found: DataSet


def check_kaldi_dir(folder: Path, limits: Limits) -> CheckedDir:
    """Check ``folder``: wav.scp, text, utt2spk and spk2utt, segments and others where there are any."""
    data = DataSet(name=folder.resolve().name, where=str(folder))
    tables = read_kaldi_dir(folder, data)
    for utterance, row in tables["utt2spk"].items():
        data.add_utterance(utterance, row.value, row.place)
    audio = _check_recordings(data, tables, limits)
    if "segments" in tables.tables:
        seconds = _check_segments(data, tables, audio, limits)
    else:
        seconds = {recording: found.seconds for recording, found in audio.items()}
        for recording, found in audio.items():
            if found.channels > 1:
                data.error(tables["wav.scp"][recording].place, _which_channel(recording, found.channels))
    data.seconds = sum(seconds.values())
    texts = [(row.place, utterance, " ".join(row.fields)) for utterance, row in tables["text"].items()]
    check_texts(data, texts)
    for place, utterance, text in texts:
        data.check_transcript(place, utterance, text, seconds.get(utterance), limits)
    if "feats.scp" in tables.tables:
        check_feats(data, folder / "feats.scp", tables["feats.scp"], limits)
    return CheckedDir(tables, audio, data)


def _check_recordings(data: DataSet, tables: KaldiTables, limits: Limits) -> dict[str, AudioInfo]:
    """Look at the audio that needs no command; returns what could be opened."""
    files: dict[str, tuple[Path, Place]] = {}
    for recording, row in tables["wav.scp"].items():
        try:
            path = audio_file(recording, row.value, limits.allow_pipes)
        except DataError as e:
            data.error(row.place, str(e))
            continue
        if path is not None:
            files[recording] = (path, row.place)
    audio = check_audio(data, files, limits)
    check_rates(data, {r: (a.sampling_rate, files[r][1]) for r, a in audio.items()}, limits)
    return audio


def _check_segments(
    data: DataSet, tables: KaldiTables, audio: dict[str, AudioInfo], limits: Limits
) -> dict[str, float]:
    """Check segments against their audio; returns the lengths in seconds of those that are known."""
    seconds: dict[str, float] = {}
    pieces: dict[tuple, str] = {}
    for utterance, segment in tables.segments.items():
        row = tables["segments"][utterance]
        place, found = row.place, audio.get(segment.recording)
        length = found.seconds if found else None
        end = length if segment.end is None else segment.end
        if found:
            if segment.channel is None and found.channels > 1:
                data.error(place, _which_channel(segment.recording, found.channels))
            elif segment.channel is not None and segment.channel >= found.channels:
                data.error(place, f"channel {row.fields[3]} is wanted of a recording with {found.channels}")
        if end is None:
            continue
        if length is not None and (segment.start >= length or end > length + limits.tolerance):
            what = f"segment '{utterance}' ends at {end:g} s, beyond its audio of {length:.3f} s"
            if segment.start >= length or end > length + OVERSHOOT:
                data.error(place, what)
            else:
                data.warn(place, what + "; import-kaldi will cut it")
            end = max(segment.start, length)
        seconds[utterance] = end - segment.start
        other = pieces.setdefault((segment.recording, segment.start, end, segment.channel), utterance)
        if other != utterance:
            data.warn(place, f"segment '{utterance}' is the same piece of audio as '{other}'")
    return seconds


def _which_channel(recording: str, channels: int) -> str:
    return f"'{recording}' has {channels} channels: choose one in the fifth column of a segments file"
