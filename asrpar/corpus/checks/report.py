"""A set of utterances that is checked, what counts as a problem, and how sets are compared."""

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from asrpar.corpus.ids import id_fault
from asrpar.corpus.problems import Place, Problem, Problems

MARGIN = 0.3  # s


@dataclass(frozen=True)
class Limits:
    """What counts as a problem.

    Attributes:
        sampling_rate: of all audio, in Hz; None for whatever most of the recordings have.
        max_chars_per_second: transcript characters, spaces not counted, per second of audio; syllables written as one
            character (Chinese, Japanese, Korean) count as two.
        tolerance: seconds by which an utterance may pass the end of its audio; times are often rounded.
        train_split: name of the set that must share no speakers with the others.
        allow_shared_speakers: shared speakers are only warned of.
        allow_pipes: commands in wav.scp are accepted (and not run, so their audio is not checked).
        read_audio: read all audio and features to their end, to find damage that headers do not show.
        jobs: processes that read audio.
    """

    sampling_rate: int | None = None
    max_chars_per_second: float = 25.0
    tolerance: float = 0.01
    train_split: str = "train"
    allow_shared_speakers: bool = False
    allow_pipes: bool = False
    read_audio: bool = False
    jobs: int = 1


@dataclass
class DataSet(Problems):
    """One checked set: what is wrong with it, and what comparing it with other sets needs."""

    name: str
    speakers: dict[str, str] = field(default_factory=dict)  # utterance: speaker
    places: dict[str, Place] = field(default_factory=dict)  # utterance: where its speaker stands
    seconds: float = 0.0
    sampling_rate: int | None = None

    def summary(self) -> str:
        """One line about the size."""
        return (
            f"{self.where}: {self.name}: {len(self.speakers)} utterances, {len(set(self.speakers.values()))} speakers, "
            f"{self.seconds / 3600:.2f} h, {self.sampling_rate} Hz"
        )

    def check_transcript(self, place: Place, utterance: str, text: str, seconds: float | None, limits: Limits) -> None:
        """Note an empty transcript, and one too long for ``seconds`` of audio (None: length unknown).

        An empty one is a warning, for silence is data, too. More than ``max_chars_per_second`` is a warning, more than
        twice as many an error.
        """
        count = len("".join(text.split()))
        if count == 0:
            self.warn(place, f"'{utterance}' has an empty transcript")
        elif seconds:
            # A word of one's own can be cut close, and what is cut off is still understood: short ones have a margin.
            most = limits.max_chars_per_second * (seconds + MARGIN)
            if _letters(text) > most:
                note = self.error if _letters(text) > 2 * most else self.warn
                note(
                    place,
                    f"transcript of '{utterance}' is too long for its audio: {count} characters in {seconds:.2f} s are "
                    f"{count / seconds:.0f} per second, where hardly anybody speaks more than "
                    f"{limits.max_chars_per_second:g} (--max-chars-per-second): wrong transcript, or audio cut short",
                )

    def add_utterance(self, utterance: str, speaker: str, place: Place) -> None:
        """Note an utterance's speaker, and warn if the id does not begin with it."""
        self.speakers.setdefault(utterance, speaker)
        self.places.setdefault(utterance, place)
        fault = id_fault(utterance)
        if fault:
            self.error(place, f"utterance id '{utterance}' {fault}: transcripts are 'WORDS (id)'")
        if not utterance.startswith(speaker):
            self.warn(
                place,
                f"utterance id '{utterance}' does not begin with its speaker '{speaker}', so utterances and speakers "
                "sort differently",
            )


def _letters(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(c) == "W" else 1 for c in text if not c.isspace())


def compare_sets(sets: Sequence[DataSet], limits: Limits) -> Iterator[Problem]:
    """Utterances that are in two of ``sets``, and speakers that the training set shares with another."""
    for i, first in enumerate(sets):
        for second in sets[i + 1 :]:
            for utterance in sorted(first.speakers.keys() & second.speakers.keys()):
                a, b = first.places[utterance], second.places[utterance]
                yield Problem(b.file, b.line, f"utterance '{utterance}' is in {first.name} too ({a.file}:{a.line})")
    train = [s for s in sets if s.name == limits.train_split]
    if not train and len(sets) > 1:
        names = ", ".join(s.name for s in sets)
        message = (
            f"none of the sets {names} is called '{limits.train_split}' (--train-split): speakers are not compared"
        )
        yield Problem(sets[0].where, 0, message, warning=True)
    for other in sets:
        if not train or other.name == limits.train_split:
            continue
        shared = set(train[0].speakers.values())
        for utterance in sorted(other.speakers):
            speaker = other.speakers[utterance]
            if speaker in shared:
                shared.discard(speaker)  # once for each speaker
                place = other.places[utterance]
                yield Problem(
                    place.file,
                    place.line,
                    f"speaker '{speaker}' is in {train[0].name} too, so results on {other.name} are not for unseen "
                    "speakers (--allow-shared-speakers if the corpus is so)",
                    warning=limits.allow_shared_speakers,
                )
