"""Manifests of a Kaldi data folder."""

import logging
from pathlib import Path

from lhotse import Recording, SupervisionSegment

from asrpar.corpus.audio.files import probe
from asrpar.corpus.kaldi.folder import OVERSHOOT, KaldiDir, Segment
from asrpar.corpus.kaldi.pipes import plain_flac, run_pipe
from asrpar.corpus.kaldi.tables import Problems
from asrpar.corpus.manifests import Split
from asrpar.errors import DataError

log = logging.getLogger("asrpar.corpus")


def import_split(data: KaldiDir, work_dir: str | Path, allow_pipes: bool = False, where: str = "wav.scp") -> Split:
    """Manifests of a data folder.

    Paths in ``wav.scp`` are relative to the current folder, as Kaldi takes them. ``flac -c -d -s FILE |``, the form
    that Kaldi's recipes use, is read as a flac file and runs nothing. Any other pipe is run once, if allowed, and what
    it writes is kept as ``work_dir/<recording>.wav``.

    Args:
        data: a checked folder.
        work_dir: for the output of pipes.
        allow_pipes: run the commands in ``wav.scp``.
        where: how messages call the file.

    Raises:
        DataError: unreadable audio, a refused or failed pipe, a segment outside of its recording.
    """
    problems = Problems(where)
    recordings: dict[str, Recording] = {}
    for rec, entry in data.wav.items():
        try:
            recordings[rec] = _open(rec, entry, Path(work_dir), allow_pipes)
        except DataError as e:
            problems.found.append(str(e))
    problems.raise_if_any(show=1)
    segments = data.segments
    if segments is None:
        segments = {rec: Segment(rec, 0.0, None) for rec in recordings}
    cut_short = 0
    supervisions = []
    for utt, segment in segments.items():
        recording = recordings[segment.recording]
        whole = recording.num_samples / recording.sampling_rate
        end = whole if segment.end is None else segment.end
        channel = segment.channel if segment.channel is not None else recording.channel_ids[0]
        if channel not in recording.channel_ids or (segment.channel is None and recording.num_channels > 1):
            problems.found.append(
                f"'{utt}': recording '{recording.id}' has {recording.num_channels} channels; name an existing one in "
                "the fifth column of segments"
            )
        if segment.start >= whole or end > whole + OVERSHOOT:
            problems.found.append(f"'{utt}' ends at {end:g} s, its recording '{recording.id}' at {whole:.3f} s")
        elif end > whole + 0.5 / recording.sampling_rate:
            end, cut_short = whole, cut_short + 1
        elif end > whole - 0.5 / recording.sampling_rate:
            end = whole  # the file has it rounded
        speaker = data.utt2spk[utt]
        supervisions.append(
            SupervisionSegment(
                id=utt,
                recording_id=recording.id,
                start=segment.start,
                # Lhotse keeps eight digits; without rounding a difference of floats would have sixteen.
                duration=end if segment.start == 0 else round(end - segment.start, 8),
                channel=channel,
                text=data.text[utt],
                speaker=speaker,
                gender=data.spk2gender.get(speaker),
                language=data.utt2lang.get(utt),
            )
        )
    problems.raise_if_any()
    if cut_short:
        log.warning("%s: %d segments outlast their recording by up to %g s and were cut", where, cut_short, OVERSHOOT)
    strays = [u for u, s in data.utt2spk.items() if not u.startswith(s)]
    if strays:
        log.warning("%s: %d utterance ids do not begin with their speaker (%s)", where, len(strays), strays[0])
    unused = recordings.keys() - {s.recording_id for s in supervisions}
    if unused:
        log.warning("%s: %d recordings have no segment", where, len(unused))
    return Split(list(recordings.values()), supervisions)


def _open(rec: str, entry: str, work_dir: Path, allow_pipes: bool) -> Recording:
    if entry.startswith("|"):
        raise DataError(f"'{rec}': '{entry}' is a pipe to write to, not to read from")
    if not entry.endswith("|"):
        if not Path(entry).exists() and Path(entry.rsplit(":", 1)[0]).is_file() and entry.rsplit(":", 1)[-1].isdigit():
            raise DataError(f"'{rec}': audio inside an archive ({entry}) is not read; write wav files with wav-copy")
        return probe(entry, rec)
    flac = plain_flac(entry)
    if flac is not None:
        return probe(flac, rec)
    if not allow_pipes:
        raise DataError(
            f"'{rec}' is a command ({entry}), and commands from data are not run unless you allow it: look through "
            "wav.scp, then give --allow-pipes, or replace the commands by audio files"
        )
    return probe(run_pipe(rec, entry, work_dir), rec)
