"""What data checks find, and how they say it."""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from asrpar.corpus.kaldi.tables import UNLIKE, id_fault
from asrpar.files.text import nfc, one_line

MARGIN = 0.3  # s


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with data.

    Attributes:
        file: as the user named its folder.
        line: counted from 1; for ``.jsonl.gz`` the record's number; 0 for the file as a whole.
        message: what is wrong, and where that is not plain, what to do.
        warning: True if the data can be used all the same.
    """

    file: str
    line: int
    message: str
    warning: bool = False

    def __str__(self) -> str:
        return one_line(f"{self.file}:{self.line}: {'warning: ' if self.warning else ''}{self.message}")


@dataclass(frozen=True)
class Limits:
    """What counts as a problem.

    Attributes:
        sampling_rate: of all audio, in Hz; None for whatever most of the recordings have.
        max_chars_per_second: transcript characters, blanks not counted, per second of audio; syllables written as one
            character (Chinese, Japanese, Korean) count as two.
        tolerance: seconds by which an utterance may pass the end of its audio; times are often rounded.
        train_split: name of the set that must share no speakers with the others.
        allow_shared_speakers: shared speakers are only warned of.
        allow_pipes: commands in wav.scp are accepted (and not run, so their audio is not checked).
        read_audio: read all audio and features to their end, to find damage that headers do not show.
    """

    sampling_rate: int | None = None
    max_chars_per_second: float = 25.0
    tolerance: float = 0.01
    train_split: str = "train"
    allow_shared_speakers: bool = False
    allow_pipes: bool = False
    read_audio: bool = False


@dataclass(frozen=True)
class Place:
    """Where an entry stands."""

    file: str
    line: int


@dataclass
class DataSet:
    """One checked set: what is wrong with it, and what comparing it with other sets needs."""

    name: str
    where: str
    problems: list[Problem] = field(default_factory=list)
    speakers: dict[str, str] = field(default_factory=dict)  # utterance: speaker
    places: dict[str, Place] = field(default_factory=dict)  # utterance: where its speaker stands
    seconds: float = 0.0
    sampling_rate: int | None = None
    unread: set[str] = field(default_factory=set)  # files that are missing, or have lines that could not be read

    def error(self, file: object, line: int, message: str) -> None:
        """Note a problem that makes the data unusable."""
        self.problems.append(Problem(str(file), line, message))

    def warn(self, file: object, line: int, message: str) -> None:
        """Note a problem that the data can be used with."""
        self.problems.append(Problem(str(file), line, message, warning=True))

    def summary(self) -> str:
        """One line about the size."""
        return (
            f"{self.where}: {self.name}: {len(self.speakers)} utterances, {len(set(self.speakers.values()))} speakers, "
            f"{self.seconds / 3600:.2f} h, {self.sampling_rate} Hz"
        )

    def check_order(self, entries: Sequence[tuple[str, Place]], ordered: bool = True) -> None:
        """Note ids that occur twice or look alike and, if they have to be ``ordered``, not by bytes (LC_ALL=C)."""
        first: dict[str, Place] = {}
        alike: dict[str, tuple[str, Place]] = {}
        for key, place in entries:
            if key in first:
                self.error(place.file, place.line, f"'{key}' is a duplicate of line {first[key].line}")
            first.setdefault(key, place)
            other, there = alike.setdefault(nfc(key), (key, place))
            if other != key:
                self.warn(place.file, place.line, f"'{key}' looks like '{other}' of line {there.line}, but {UNLIKE}")
        for (before, _), (key, place) in pairwise(entries) if ordered else ():
            if key < before:  # the order of code points is that of UTF-8 bytes
                self.error(
                    place.file, place.line, f"unsorted: '{key}' comes after '{before}'; sort with LC_ALL=C sort -k1,1"
                )

    def check_transcript(self, place: Place, utterance: str, text: str, seconds: float | None, limits: Limits) -> None:
        """Note an empty transcript, and one too long for ``seconds`` of audio (None: length unknown).

        More than ``max_chars_per_second`` is a warning, more than twice as many an error.
        """
        count = len("".join(text.split()))
        if count == 0:
            self.error(place.file, place.line, f"'{utterance}' has an empty transcript")
        elif seconds:
            # A word of one's own can be cut close, and what is cut off is still understood: short ones have a margin.
            most = limits.max_chars_per_second * (seconds + MARGIN)
            if _letters(text) > most:
                note = self.error if _letters(text) > 2 * most else self.warn
                note(
                    place.file,
                    place.line,
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
            self.error(place.file, place.line, f"utterance id '{utterance}' {fault}: transcripts are 'WORDS (id)'")
        if not utterance.startswith(speaker):
            self.warn(
                place.file,
                place.line,
                f"utterance id '{utterance}' does not begin with its speaker '{speaker}', so utterances and speakers "
                "sort differently",
            )


def grouped(problems: Iterable[Problem], most: int) -> list[Problem]:
    """The problems in their order, where many of one file say the same of different entries: the first few of them.

    Args:
        problems: sorted by file and line.
        most: errors of a kind that are kept; of a kind's warnings, from three on, the first one is kept. The last that
            is kept names how many more there are, and some of them.
    """
    kinds: dict[tuple[str, bool, str], list[Problem]] = {}
    kept = list(problems)
    for problem in kept:
        kinds.setdefault((problem.file, problem.warning, _kind(problem.message)), []).append(problem)
    short: dict[Problem, Problem | None] = {}
    for same in kinds.values():
        keep = (1 if len(same) > 2 else 2) if same[0].warning else most
        rest = same[keep:]
        if rest:
            last = same[keep - 1]
            named = ", ".join(dict.fromkeys(q[0] for p in rest[:3] if (q := _QUOTED.findall(p.message))))
            more = f"(and {len(rest)} more like this" + (f": {named}" if named else "")
            short |= dict.fromkeys(rest)
            short[last] = replace(last, message=f"{last.message} {more}{', ...)' if len(rest) > 3 and named else ')'}")
    return [found for p in kept if (found := short.get(p, p)) is not None]


_QUOTED = re.compile(r"'[^']*'")


def _kind(message: str) -> str:
    """A message without the names and numbers in it."""
    return re.sub(r"\d+", "0", _QUOTED.sub("''", message))


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
