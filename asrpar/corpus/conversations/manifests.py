"""Calls to utterances: ids, speakers, times that lie in the recording, and normalised words."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from lhotse import Recording, SupervisionSegment

from asrpar.corpus.audio.files import probe
from asrpar.corpus.conversations.calls import SIDES, Call, Speaker, Turn, usable
from asrpar.corpus.conversations.tally import Tally
from asrpar.corpus.conversations.words import NOISES, Normaliser
from asrpar.corpus.manifests import Split
from asrpar.errors import DataError
from asrpar.files.text import read_lines

UNREADABLE = "calls of {} whose audio cannot be read"
_DOUBTS = {
    "uncertain": "of doubtful words, as in (( ))",
    "foreign": "with words of another language",
    "skipped": "of which a part was not transcribed",
}


@dataclass
class Reader:
    """Makes recordings of two channels and utterances of calls; what is left out is counted.

    Attributes:
        normaliser: of the text.
        tally: takes what is left out, and why.
        max_seconds: that an utterance may have.
        spoken_only: leave out what has noises and no word.
    """

    normaliser: Normaliser
    tally: Tally
    max_seconds: float = 60.0
    spoken_only: bool = False

    def read(self, calls: Iterable[Call]) -> Split:
        """An utterance for each turn that can be learnt from."""
        split = Split([], [])
        for call in calls:
            recording = self._recording(call)
            if recording is None:
                continue
            found: dict[str, SupervisionSegment] = {}
            for channel, side in enumerate(SIDES):
                name = f"{call.id}-{side}"
                for turn in usable(call.turns.get(side, []), name, recording.duration, self.max_seconds, self.tally):
                    utterance = self._utterance(recording, channel, turn, call.speakers[side])
                    if utterance is None:
                        continue
                    if utterance.id in found:  # the same hundredths of a second
                        self.tally.add("utterances dropped, of the same times as another", utterance.id)
                    else:
                        found[utterance.id] = utterance
            if found:
                split.recordings.append(recording)
                split.supervisions += found.values()
            else:
                self.tally.add("calls without an utterance", call.id)
        return split

    def _recording(self, call: Call) -> Recording | None:
        corpus = "Fisher" if call.id.startswith("fe_03_") else "Switchboard"
        if call.audio is None:
            self.tally.add(f"calls of {corpus} with transcript and without audio", call.id, warn=True)
            return None
        try:
            return probe(call.audio, call.id)
        except DataError as e:
            self.tally.add(UNREADABLE.format(corpus), str(e), warn=True)
            return None

    def _utterance(self, recording: Recording, channel: int, turn: Turn, speaker: Speaker) -> SupervisionSegment | None:
        line = self.normaliser.line(turn.text)
        name = utterance_id(recording.id, SIDES[channel], speaker.name, turn)
        dropped = _DOUBTS.get(line.doubt)
        if not dropped and not line.words:
            dropped = "without words (silence)"
        elif not dropped and self.spoken_only and not line.is_speech:
            dropped = "of noises alone"
        if dropped:
            self.tally.add(f"utterances dropped, {dropped}", name)
            return None
        return SupervisionSegment(
            id=name,
            recording_id=recording.id,
            start=turn.start,
            duration=round(turn.end - turn.start, 8),
            channel=channel,
            text=line.text,
            language="English",
            speaker=speaker.name,
            gender=speaker.sex,
        )


def utterance_id(recording: str, side: str, speaker: str, turn: Turn) -> str:
    """Kaldi's ids: ``sw02001-A_000098-001156`` or, with a speaker who is more than a side, ``sw1020-02001-A_...``.

    Hundredths of a second, in Switchboard rounded and in Fisher (``fe_03_00001-A-000738-000878``) cut off.
    """
    fisher = recording.startswith("fe_03_")
    begin, end = (int(100 * t + (1e-6 if fisher else 0.5)) for t in (turn.start, turn.end))
    name = f"{recording}-{side}"
    if speaker != name:
        name = f"{speaker}-{name.removeprefix('fe_03_').removeprefix('sw')}"
    return f"{name}{'-' if fisher else '_'}{begin:06d}-{end:06d}"


def text_of(calls: Iterable[Call], normaliser: Normaliser, without: set[tuple[str, str]]) -> Iterable[str]:
    """Normalised lines for a language model, those of ``without``, (call, side), left out.

    Here are also lines without audio, and those of which the words are in doubt.
    """
    for call in calls:
        for side in SIDES:
            if (call.id, side) in without:
                continue
            for turn in call.turns.get(side, []):
                line = normaliser.line(turn.text)
                if line.is_speech:
                    yield line.text


def sides_of(split: str, folder: Path) -> set[tuple[str, str]]:
    """(call, side) of all utterances of a split in a folder of manifests."""
    return {(record["recording_id"], SIDES[record["channel"]]) for record in _records(split, folder)}


def text_of_split(split: str, folder: Path) -> list[str]:
    """The text of a split in a folder of manifests, those of noises alone left out."""
    texts = (record["text"] for record in _records(split, folder))
    return [text for text in texts if not set(text.split()) <= set(NOISES)]


def _records(split: str, folder: Path) -> Iterator[dict]:
    path = folder / f"supervisions_{split}.jsonl.gz"
    for _, line in read_lines(path, "stage 1 (asrpar prepare-manifests swbd) makes it"):
        yield json.loads(line)
