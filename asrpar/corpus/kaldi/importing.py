"""Manifests of a Kaldi data folder."""

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path

from lhotse import Recording, SupervisionSegment

from asrpar.corpus.audio.files import AudioInfo, probe
from asrpar.corpus.checks.kaldi import OVERSHOOT, check_kaldi_dir
from asrpar.corpus.checks.report import Limits
from asrpar.corpus.kaldi.folder import KaldiDir, Segment
from asrpar.corpus.kaldi.pipes import audio_file, run_pipe
from asrpar.corpus.kaldi.tables import write_table
from asrpar.corpus.manifests import Split, check_split_name, write_manifests
from asrpar.corpus.problems import Problems, grouped, sort_problems
from asrpar.errors import DataError
from asrpar.files.lock import alone

log = logging.getLogger("asrpar.corpus")


def import_kaldi_dir(folder: str | Path, output: str | Path, split: str, limits: Limits) -> None:
    """Check a data folder as `asrpar validate-data` does, and write the manifests of one split; warnings are logged.

    Several splits may be imported side by side. A feats.scp is kept as ``output/feats_<split>.scp``.

    Args:
        folder: the data folder.
        output: where the manifests go, and the output of commands.
        split: its name.
        limits: what counts as an error, and whether commands in ``wav.scp`` are run.

    Raises:
        ConfigError: an impossible name. DataError: there are errors; the message has their number and the first few.
    """
    check_split_name(split)
    folder, output = Path(folder), Path(output)
    if not folder.is_dir():
        raise DataError(f"no Kaldi data folder {folder}")
    with alone(output, f".{split}.lock"):
        checked = check_kaldi_dir(folder, limits)
        checked.found.refuse(more=f"; asrpar validate-data {folder} tells all")
        for problem in grouped(sort_problems(checked.found.problems), most=1):
            log.warning("%s:%d: %s", problem.file, problem.line, problem.message)
        data = checked.tables.content()
        work_dir = output.absolute() / "audio" / split
        made = import_split(data, work_dir, limits.allow_pipes, str(folder / "wav.scp"), checked.audio)
        write_manifests(output, {split: made})
        feats = output / f"feats_{split}.scp"
        if data.feats:
            write_table(feats, data.feats)
        else:
            feats.unlink(missing_ok=True)  # of an earlier import


def import_split(
    data: KaldiDir,
    work_dir: str | Path,
    allow_pipes: bool = False,
    where: str = "wav.scp",
    audio: Mapping[str, AudioInfo] | None = None,
) -> Split:
    """The recordings and utterances of a data folder.

    Paths in ``wav.scp`` are relative to the current folder, as Kaldi takes them. A pipe is run once, if allowed, and
    what it writes is kept as ``work_dir/<recording>.wav``.

    Args:
        data: what the folder's tables hold; they fit each other.
        work_dir: for the output of pipes.
        allow_pipes: run the commands in ``wav.scp``.
        where: how messages call the file.
        audio: recordings that have been looked at already, and whose segments fit them.

    Raises:
        DataError: unreadable audio, a refused or failed pipe, a segment outside of its recording.
    """
    audio = audio or {}
    problems = Problems(where)
    recordings: dict[str, Recording] = {}
    for rec, entry in data.wav.items():
        try:
            path = audio_file(rec, entry, allow_pipes)
            recordings[rec] = probe(run_pipe(rec, entry, Path(work_dir)) if path is None else path, rec, audio.get(rec))
        except DataError as e:
            problems.error(Path(where), str(e))
    problems.refuse(show=1)
    segments = data.segments
    if segments is None:
        segments = {rec: Segment(rec, 0.0, None) for rec in recordings}
    cut_short = 0
    supervisions = []
    for utt, segment in segments.items():
        recording = recordings[segment.recording]
        for fault in _misfits(utt, segment, recording):
            problems.error(Path("segments"), fault)
        end, cut = _end(segment, recording)
        cut_short += cut and segment.recording not in audio
        speaker = data.utt2spk[utt]
        supervisions.append(
            SupervisionSegment(
                id=utt,
                recording_id=recording.id,
                start=segment.start,
                # Lhotse keeps eight digits; without rounding a difference of floats would have sixteen.
                duration=end if segment.start == 0 else round(end - segment.start, 8),
                channel=recording.channel_ids[0] if segment.channel is None else segment.channel,
                text=data.text[utt],
                speaker=speaker,
                gender=data.spk2gender.get(speaker),
                language=data.utt2lang.get(utt),
            )
        )
    problems.refuse()
    if cut_short:
        log.warning("%s: %d segments outlast their recording by up to %g s and were cut", where, cut_short, OVERSHOOT)
    return Split(list(recordings.values()), supervisions)


def _misfits(utt: str, segment: Segment, recording: Recording) -> Iterator[str]:
    """What of a segment its recording has not."""
    channel, channels = segment.channel, recording.channel_ids
    if channel not in channels if channel is not None else len(channels) > 1:
        yield (
            f"'{utt}': recording '{recording.id}' has {len(channels)} channels; name an existing one in the fifth "
            "column of segments"
        )
    whole = recording.duration
    end = whole if segment.end is None else segment.end
    if segment.start >= whole or end > whole + OVERSHOOT:
        yield f"'{utt}' ends at {end:g} s, its recording '{recording.id}' at {whole:.3f} s"


def _end(segment: Segment, recording: Recording) -> tuple[float, bool]:
    """Where a segment ends in s, and whether it is cut there: not where the file has only rounded its end."""
    whole, half_a_sample = recording.duration, 0.5 / recording.sampling_rate
    if segment.end is None or segment.end > whole - half_a_sample:
        return whole, segment.end is not None and segment.end > whole + half_a_sample
    return segment.end, False
