"""Test sets of two-sided calls: manifests from the segments that are scored, and what hubscr.pl needs beside them."""

import json
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from asrpar.corpus.counts import Count, check_counts
from asrpar.corpus.nist.places import nearest
from asrpar.corpus.nist.stm import Stm, StmSegment, mended, plain_words, seconds
from asrpar.corpus.nist.text import read_old_text
from asrpar.errors import DataError

if TYPE_CHECKING:
    from lhotse import Recording, SupervisionSegment

    from asrpar.corpus.manifests import Split

log = logging.getLogger("asrpar.corpus")

OVERSHOOT = 1.0  # s by which a segment may outlast its recording before this must be one that was cut short


@dataclass(frozen=True)
class Counts:
    """What the whole of a set, or of a part of it, holds: scored segments, and reference words after the GLM."""

    segments: int
    words: int


@dataclass(frozen=True)
class CallSet:
    """A test set as `hubscr.pl` scores it.

    Attributes:
        name: for messages.
        acronyms: how the reference writes them: ``letters`` (I B M) or ``dots`` (I. B. M.).
        subsets: name of a part → how its conversations' names begin.
        counts: of each part and, as ``all``, of the whole.
    """

    name: str
    acronyms: str
    subsets: Mapping[str, str]
    counts: Mapping[str, Counts]

    def scoring(self, whole: bool) -> str:
        """The content of ``hubscr_<set>.json``: what `asrpar score` has to know besides the STM and the GLM."""
        counts = {name: [c.segments, c.words] for name, c in self.counts.items()} if whole else {}
        settings = {"name": self.name, "acronyms": self.acronyms, "subsets": dict(self.subsets), "counts": counts}
        return json.dumps(settings, indent=2) + "\n"


def utterance_id(s: StmSegment) -> str:
    """``en_4156-A_030185-030248``: the side, begin and end in hundredths of a second, cut off and not rounded."""
    return f"{s.recording}-{s.channel}_{int(s.start * 100):06d}-{int(s.end * 100):06d}"


def make_split(
    calls: CallSet,
    stm: Stm,
    stm_path: Path,
    glm_path: Path,
    audio: Mapping[str, Sequence[Path]],
    work_dir: Path,
    partial: bool,
) -> "Split":
    """Manifests of the scored segments: recordings have two channels, a side is a speaker.

    ``stm_SET.stm``, ``glm_SET.glm`` and ``hubscr_SET.json`` beside them are what `asrpar score` scores the set with.

    Args:
        calls: what is known of the set.
        stm: as read; it is mended here.
        stm_path: where it is from; of audio files with one name the nearest to it is taken.
        glm_path: the word map.
        audio: files by name in lower case, ``en_4156.sph``.
        work_dir: for decoded audio.
        partial: it is a part of the set, whose counts nobody knows.

    Raises:
        DataError: conversations without audio, or cut short, segments that are there twice, or other counts than the
            whole set has.
    """
    from asrpar.corpus.manifests import Split

    stm = mended(stm, stm_path)
    scored = [s for s in stm.segments if not s.ignored]
    twice = [name for name, count in Counter(map(utterance_id, scored)).items() if count > 1]
    if twice:
        raise DataError(f"{stm_path}: {len(twice)} segments are there more than once, such as {twice[0]}")
    log.info("%s: %d segments, %d of them not scored", calls.name, len(stm.segments), len(stm.segments) - len(scored))
    if not partial:
        _check_counts(calls, scored, stm_path)
    names = list(dict.fromkeys(s.recording for s in scored))
    silent = [name for name in names if f"{name}.sph".lower() not in audio]
    if silent:
        raise DataError(
            f"{stm_path}: {len(silent)} of {len(names)} conversations have no audio; the first: {silent[0]}.sph"
        )
    recordings = {name: _recording(nearest(audio[f"{name}.sph".lower()], stm_path), name, work_dir) for name in names}
    supervisions = _supervisions(scored, recordings, stm_path)
    files = {"stm.stm": stm.text(), "glm.glm": read_old_text(glm_path), "hubscr.json": calls.scoring(not partial)}
    return Split(list(recordings.values()), supervisions, files)


def _supervisions(
    segments: Sequence[StmSegment], recordings: "Mapping[str, Recording]", stm_path: Path
) -> "list[SupervisionSegment]":
    from lhotse import SupervisionSegment

    ends: dict[str, float] = {}
    for s in segments:
        ends[s.recording] = max(s.end, ends.get(s.recording, 0.0))
    short = [name for name, end in ends.items() if end - recordings[name].duration > OVERSHOOT]
    if short:
        has, needs = seconds(recordings[short[0]].duration), seconds(ends[short[0]])
        raise DataError(
            f"{stm_path}: {len(short)} of {len(ends)} recordings end before their segments, such as {short[0]}, which "
            f"has {has} s of {needs} s: its audio is damaged, or of another call"
        )
    made, beyond = [], []
    for s in segments:
        recording = recordings[s.recording]
        end = min(s.end, recording.duration)
        if s.end - end > 0 or end <= s.start:
            beyond.append(s)
        if end <= s.start:
            continue
        made.append(
            SupervisionSegment(
                id=utterance_id(s),
                recording_id=recording.id,
                start=s.start,
                duration=round(end - s.start, 6),
                channel="AB".index(s.channel),
                text=plain_words(s.text),
                language="English",
                speaker=f"{s.recording}-{s.channel}",
            )
        )
    if beyond:
        s = beyond[0]
        log.warning(
            "%s: %d of %d segments end behind their recording's end or have no length, and are cut or left out (their "
            "words count as deleted); the first: %s %s %s to %s s",
            stm_path,
            len(beyond),
            len(segments),
            *(s.recording, s.channel, seconds(s.start), seconds(s.end)),
        )
    if not made:
        raise DataError(f"{stm_path}: no segment lies inside of its recording")
    return made


def _check_counts(calls: CallSet, scored: Sequence[StmSegment], stm_path: Path) -> None:
    begins = {"all": "", **calls.subsets}
    check_counts(
        calls.name,
        stm_path,
        [
            Count(
                f"scored segments ({name})", sum(s.recording.startswith(begins[name]) for s in scored), counts.segments
            )
            for name, counts in calls.counts.items()
        ],
    )


def _recording(path: Path, name: str, work_dir: Path) -> "Recording":
    from asrpar.corpus.audio.files import decode_to_wav, inspect, probe

    wav = work_dir / f"{name}.wav"
    recording = probe(wav if wav.is_file() else decode_to_wav(path, wav), name)
    if recording.num_channels != 2:
        raise DataError(f"{path} has {inspect(path).channels} channels: a call has two sides")
    return recording
