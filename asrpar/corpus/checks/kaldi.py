"""Checks of a Kaldi data folder."""

import math
import re
from pathlib import Path

from asrpar.corpus.checks.audio import Audio, check_audio, check_rates
from asrpar.corpus.checks.feats import check_feats
from asrpar.corpus.checks.lines import read_table
from asrpar.corpus.checks.report import DataSet, Limits, Place
from asrpar.corpus.checks.text import check_texts
from asrpar.corpus.kaldi.folder import NOT_USED, OVERSHOOT, not_used
from asrpar.corpus.kaldi.pipes import plain_flac
from asrpar.corpus.kaldi.tables import Twins

_ARCHIVE_ENTRY = re.compile(r".*:\d+(\[[^]]*\])?")

# Optional tables whose first field must be known: file, what that field is, form of a line, most fields.
_OPTIONAL = (
    ("spk2gender", "speaker", "speaker m|f", 2),
    ("cmvn.scp", "speaker", "speaker archive:offset", 2),
    ("utt2dur", "utterance", "utterance seconds", 2),
    ("utt2num_frames", "utterance", "utterance frames", 2),
    ("utt2lang", "utterance", "utterance language", 2),
    ("feats.scp", "utterance", "utterance archive:offset", 2),
    ("reco2dur", "recording", "recording seconds", 2),
    ("reco2file_and_channel", "recording", "recording file A|B", 3),
)


def check_kaldi_dir(folder: Path, limits: Limits) -> DataSet:
    """Check ``folder``: wav.scp, text, utt2spk and spk2utt, segments and others where there are any."""
    data = DataSet(name=folder.resolve().name, where=str(folder))
    for name in ("wav.scp", "text", "utt2spk", "spk2utt"):
        if not (folder / name).is_file():
            how = " (utils/utt2spk_to_spk2utt.pl makes it)" if name == "spk2utt" else ""
            data.error(folder / name, 0, f"is missing{how}")
            data.unread.add(str(folder / name))

    recordings, audio = _check_wav_scp(data, folder / "wav.scp", limits)
    utterances, seconds = _check_segments(data, folder, recordings, audio, limits)
    data.seconds = sum(seconds.values())
    listed_in = "segments" if (folder / "segments").is_file() else "wav.scp"
    base = utterances if (folder / listed_in).is_file() else None

    # Where lines could not be read, what others have too many is a consequence of that and not told.
    def read(name: str) -> bool:
        return str(folder / name) not in data.unread

    texts = _check_text(data, folder / "text", seconds, limits)
    speakers = _check_speakers(data, folder)
    for name, entries in (("text", texts), ("utt2spk", speakers)):
        if entries is None or base is None:
            continue
        twins = Twins(base)
        for utterance in entries.keys() - base.keys() if read(listed_in) else ():
            place = entries[utterance]
            message = f"utterance '{utterance}' is not in {listed_in}: it has no audio{twins.hint(utterance)}"
            data.error(place.file, place.line, message)
        for utterance in base.keys() - entries.keys() if read(name) else ():
            place = base[utterance]
            data.error(place.file, place.line, f"utterance '{utterance}' is missing in {name}")
    known = {
        "speaker": set(data.speakers.values()) if read("utt2spk") else None,
        "utterance": set(base or ()) if read(listed_in) else None,
        "recording": set(recordings) if read("wav.scp") else None,
    }
    for name, kind, form, most in _OPTIONAL:
        if (folder / name).is_file():
            rows = read_table(data, folder / name, form, most if most == 3 else 2, most)
            among = known[kind]
            for key, _, place in rows:
                if among is not None and key not in among:
                    data.error(place.file, place.line, f"{kind} '{key}' is unknown")
            if name == "feats.scp":
                check_feats(data, folder / name, {key: place.line for key, _, place in rows}, limits)
    for name in not_used(folder):
        data.warn(folder / name, 0, NOT_USED[name])
    return data


def _check_wav_scp(data: DataSet, path: Path, limits: Limits) -> tuple[dict[str, Place], dict[str, Audio]]:
    """Recordings, and the lengths of those that could be read."""
    recordings: dict[str, Place] = {}
    files: dict[str, tuple[Path, Place]] = {}
    if not path.is_file():
        return recordings, {}
    for recording, fields, place in read_table(data, path, "recording path", 2):
        if recording in recordings:
            continue
        recordings[recording] = place
        source = " ".join(fields)
        flac = plain_flac(source) if source.endswith("|") else None
        if flac is not None:
            files[recording] = (Path(flac), place)
        elif source.endswith("|"):
            if not limits.allow_pipes:
                data.error(
                    place.file,
                    place.line,
                    f"'{recording}' is a command, not a file: data should not run programs; convert it to audio files, "
                    "or trust it with --allow-pipes",
                )
        elif _ARCHIVE_ENTRY.fullmatch(source) and not Path(source).exists():
            data.error(
                place.file,
                place.line,
                f"'{recording}' is inside an archive, which is not read: write files with wav-copy",
            )
        else:
            files[recording] = (Path(source), place)
    audio = check_audio(data, files, limits)
    check_rates(data, {r: (a.rate, files[r][1]) for r, a in audio.items()}, limits)
    return recordings, audio


def _check_segments(
    data: DataSet, folder: Path, recordings: dict[str, Place], audio: dict[str, Audio], limits: Limits
) -> tuple[dict[str, Place], dict[str, float]]:
    """Utterances, and the lengths in seconds of those that are known."""
    path = folder / "segments"
    if not path.is_file():
        for recording, found in audio.items():
            if found.channels > 1:
                place = recordings[recording]
                data.error(
                    place.file,
                    place.line,
                    f"'{recording}' has {found.channels} channels: choose one in the fifth column of a segments file",
                )
        return dict(recordings), {r: a.seconds for r, a in audio.items()}
    utterances: dict[str, Place] = {}
    seconds: dict[str, float] = {}
    used = set()
    pieces: dict[tuple, str] = {}
    for utterance, fields, place in read_table(data, path, "utterance recording start end [channel]", 4, 5):
        recording, times = fields[0], fields[1:3]
        utterances.setdefault(utterance, place)
        used.add(recording)
        if recording not in recordings:
            if str(folder / "wav.scp") in data.unread:
                continue
            data.error(place.file, place.line, f"segment '{utterance}' is of recording '{recording}', not in wav.scp")
        elif recording in audio:
            _check_channel(data, place, recording, fields[3] if len(fields) > 3 else None, audio[recording].channels)
        try:
            start, end = map(float, times)
        except ValueError:
            start = end = math.nan
        if not (math.isfinite(start) and math.isfinite(end)):
            data.error(place.file, place.line, f"malformed: '{' '.join(times)}' are not two times in seconds")
            continue
        length = audio[recording].seconds if recording in audio else None
        if end == -1:  # Kaldi's "to the end"
            if length is None:
                continue
            end = length
        if start < 0:
            data.error(place.file, place.line, f"segment '{utterance}' starts at {start:g} s, before its recording")
        if end <= start:
            data.error(
                place.file, place.line, f"segment '{utterance}' ends at {end:g} s, not after its start {start:g} s"
            )
            continue
        if length is not None and end > length + limits.tolerance:
            what = f"segment '{utterance}' ends at {end:g} s, beyond its audio of {length:.3f} s"
            if start >= length or end > length + OVERSHOOT:
                data.error(place.file, place.line, what)
            else:
                data.warn(place.file, place.line, what + "; import-kaldi will cut it")
            end = max(start, length)
        seconds.setdefault(utterance, end - start)
        other = pieces.setdefault((recording, start, end, *fields[3:4]), utterance)
        if other != utterance:
            data.warn(place.file, place.line, f"segment '{utterance}' is the same piece of audio as '{other}'")
    for recording in recordings.keys() - used if str(path) not in data.unread else ():
        place = recordings[recording]
        data.warn(place.file, place.line, f"recording '{recording}' has no segment")
    return utterances, seconds


def _check_channel(data: DataSet, place: Place, recording: str, channel: str | None, channels: int) -> None:
    if channel is None:
        if channels > 1:
            data.error(
                place.file,
                place.line,
                f"'{recording}' has {channels} channels: choose one in the fifth column of segments",
            )
        return
    number = {"A": "0", "B": "1"}.get(channel, channel)
    if not re.fullmatch(r"\d+", number):
        data.error(place.file, place.line, f"malformed: channel '{channel}' is none of A, B, 0, 1 ...")
    elif int(number) >= channels:
        data.error(place.file, place.line, f"channel {channel} is wanted of a recording with {channels}")


def _check_text(data: DataSet, path: Path, seconds: dict[str, float], limits: Limits) -> dict[str, Place] | None:
    if not path.is_file():
        return None
    texts: dict[str, Place] = {}
    rows = read_table(data, path, "utterance word word ...", 1)
    check_texts(data, ((place, utterance, " ".join(words)) for utterance, words, place in rows))
    for utterance, words, place in rows:
        texts.setdefault(utterance, place)
        data.check_transcript(place, utterance, " ".join(words), seconds.get(utterance), limits)
    return texts


def _check_speakers(data: DataSet, folder: Path) -> dict[str, Place] | None:
    """Check utt2spk and spk2utt, and that they say the same; returns the utterances of utt2spk."""
    utterances: dict[str, Place] | None = None
    if (folder / "utt2spk").is_file():
        utterances = {}
        for utterance, (speaker,), place in read_table(data, folder / "utt2spk", "utterance speaker", 2, 2):
            if utterance not in utterances:
                utterances[utterance] = place
                data.add_utterance(utterance, speaker, place)
    if not (folder / "spk2utt").is_file():
        return utterances
    listed: dict[str, Place] = {}
    for speaker, of_speaker, place in read_table(data, folder / "spk2utt", "speaker utterance utterance ...", 2):
        for utterance in of_speaker:
            if utterance in listed:
                data.error(
                    place.file, place.line, f"utterance '{utterance}' is a duplicate of line {listed[utterance].line}"
                )
                continue
            listed[utterance] = place
            if utterances is None:
                continue
            if utterance not in utterances:
                if str(folder / "utt2spk") not in data.unread:
                    data.error(place.file, place.line, f"utterance '{utterance}' is missing in utt2spk")
            elif data.speakers[utterance] != speaker:
                data.error(
                    place.file,
                    place.line,
                    f"utterance '{utterance}' is of '{speaker}' here and of '{data.speakers[utterance]}' in utt2spk "
                    f"(line {utterances[utterance].line})",
                )
    for utterance in (utterances or {}).keys() - listed.keys() if str(folder / "spk2utt") not in data.unread else ():
        place = utterances[utterance]
        data.error(place.file, place.line, f"utterance '{utterance}' is missing in spk2utt")
    return utterances
