"""Hypotheses as the CTM that hubscr.pl scores: times in the call, and what the reference does not count taken out."""

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from asrpar.corpus.conversations.acronyms import letters_of
from asrpar.errors import ConfigError, DataError
from asrpar.files.text import text_lines

# The word maps make %HESITATION of these. Where the reference has one it may be left out, where it has none it would
# be an insertion: whoever leaves all of them out loses nothing.
HESITATIONS = frozenset(
    ("ach", "ah", "eee", "eh", "er", "ew", "ha", "hee", "hm", "huh", "mm", "oof", "uh", "um", "%hesitation")
)
ACRONYMS = ("letters", "dots")
_NO_WORD = re.compile(r"\[.*\]|<.*>")


@dataclass(frozen=True)
class Spoken:
    """A word and when it was said, in seconds; from the begin of its utterance, or of the call."""

    word: str
    start: float
    duration: float


@dataclass(frozen=True)
class Segment:
    """Where an utterance lies: the call, its side A or B, begin and end in seconds."""

    recording: str
    channel: str
    start: float
    end: float


@dataclass
class Ctm:
    """Lines of a CTM, sorted, and how many words of each kind were left out of it."""

    lines: list[str]
    left_out: Counter[str]


def make_ctm(words: Mapping[str, Sequence[Spoken]], segments: Mapping[str, Segment], acronyms: str) -> Ctm:
    """The CTM of all utterances that have a segment.

    Noises, ``[...]`` and ``<...>``, hesitations and fragments (``th-``) are left out. Acronyms are split into their
    letters, which share the word's time. A word is cut to its segment, since sclite counts one that lies between two
    segments as an error. There are no confidences, which sclite stops at where all words are right.

    Args:
        words: of each utterance, times from its begin.
        segments: of each utterance.
        acronyms: how the reference writes them, one of `ACRONYMS`: ``i b m``, or ``i. b. m.``.

    Raises:
        DataError: words of an utterance that has no segment.
    """
    if acronyms not in ACRONYMS:
        raise ConfigError(f"acronyms {acronyms!r}: {' or '.join(ACRONYMS)}")
    left_out: Counter[str] = Counter()
    rows: list[tuple[str, str, float, int, float, str]] = []
    for utt_id, spoken in words.items():
        segment = segments.get(utt_id)
        if segment is None:
            raise DataError(f"utterance {utt_id} was recognised, and is not in the manifests: were they made anew?")
        for one in spoken:
            kind = what_is_not_scored(one.word)
            if kind is not None:
                left_out[kind] += 1
                continue
            for part in split_acronym(one, acronyms):
                # The middle of a word decides to which segment it belongs.
                last = max(segment.start, segment.end - 0.001)
                start = min(max(segment.start + part.start, segment.start), last)
                duration = min(max(part.duration, 0.0), segment.end - start)
                rows.append((segment.recording, segment.channel, round(start, 3), len(rows), duration, part.word))
    rows.sort()
    return Ctm([f"{r} {c} {start:.3f} {duration:.3f} {word}\n" for r, c, start, _, duration, word in rows], left_out)


def what_is_not_scored(word: str) -> str | None:
    """``noises``, ``hesitations`` or ``fragments``; None for a word that is scored."""
    if _NO_WORD.fullmatch(word):
        return "noises"
    if word.lower() in HESITATIONS:
        return "hesitations"
    return "fragments" if len(word) > 1 and (word.endswith("-") or word.startswith("-")) else None


def split_acronym(one: Spoken, acronyms: str) -> list[Spoken]:
    """The letters of a spelled word, each with its share of the time; of any other word the word itself.

    Plural and possessive both end in ``'s`` there.
    """
    letters = letters_of(one.word.lower(), dots=acronyms == "dots")
    if letters is None:
        return [one]
    share = one.duration / len(letters)
    return [Spoken(letter, one.start + i * share, share) for i, letter in enumerate(letters)]


def timed_words(
    times: Path, words: Mapping[str, Sequence[str]], segments: Mapping[str, Segment]
) -> tuple[dict[str, list[Spoken]], list[str]]:
    """The words of each utterance with the times of ``times.ctm``, and the utterances whose times are not known there.

    The latter's words share their segment evenly.

    Args:
        times: ``utt-id channel start duration word``, as `asrpar decode` writes it; it may be missing.
        words: of each utterance.
        segments: of each utterance.

    Raises:
        DataError: a line of another kind.
    """
    known = read_times(times) if times.is_file() else {}
    found, guessed = {}, []
    for utt_id, said in words.items():
        spoken = known.get(utt_id, [])
        if [one.word for one in spoken] != list(said):
            guessed.append(utt_id)
            seconds = segments[utt_id].end - segments[utt_id].start if utt_id in segments else 0.0
            share = seconds / max(1, len(said))
            spoken = [Spoken(word, i * share, share) for i, word in enumerate(said)]
        found[utt_id] = spoken
    return found, guessed


def read_times(path: Path) -> dict[str, list[Spoken]]:
    """The words of each utterance of a CTM in the file's order. Raises `DataError` for a line of another kind."""
    found: dict[str, list[Spoken]] = {}
    for number, line in text_lines(path):
        fields = line.split()
        try:
            utt_id, _, start, duration, word = fields[:5]
            one = Spoken(word, float(start), float(duration))
            if not math.isfinite(one.start + one.duration):
                raise ValueError(line)
        except ValueError as e:
            raise DataError(f"{path}:{number}: expected 'UTTERANCE CHANNEL BEGIN DURATION WORD', found {line!r}") from e
        found.setdefault(utt_id, []).append(one)
    return found
