"""STM: what was said in each segment of a conversation's side, and which segments are not scored.

A line is ``en_4156 A en_4156_A 301.85 302.48 <O,en,F,en-F> OH (%HESITATION) YEAH``: conversation, channel, speaker,
begin, end, a label that may be missing, and words, any number of blanks between. Lines that begin with ``;;`` are
comments; those with CATEGORY and LABEL say what the labels mean.
"""

import math
import re
from dataclasses import dataclass, field, replace
from pathlib import Path

from asrpar.corpus.nist.text import old_lines
from asrpar.errors import DataError

IGNORED = "IGNORE_TIME_SEGMENT_IN_SCORING"
# Fisher's and RT03's gaps between segments, which are no segments.
_GAP = "inter_segment_gap"
_CHANNELS = {"1": "A", "2": "B"}
_LABEL = re.compile(r"<[^<>]*>")
_ASIDE = re.compile(r"<[BE]_ASIDE>", re.IGNORECASE)


@dataclass(frozen=True)
class StmSegment:
    """One line: ``start`` and ``end`` in seconds, ``channel`` A or B, ``label`` with its brackets or empty."""

    recording: str
    channel: str
    speaker: str
    start: float
    end: float
    label: str
    text: str

    @property
    def ignored(self) -> bool:
        """Whether sclite leaves it out, with whatever was recognised there."""
        return IGNORED in self.text.upper()

    def line(self) -> str:
        """As in the file, with single blanks."""
        where = f"{self.recording} {self.channel} {self.speaker} {seconds(self.start)} {seconds(self.end)} {self.label}"
        return " ".join(f"{where} {self.text}".split())


@dataclass
class Stm:
    """The comments of a file, which the labels need, and its segments in the file's order."""

    comments: list[str] = field(default_factory=list)
    segments: list[StmSegment] = field(default_factory=list)

    def text(self) -> str:
        """The file."""
        return "".join(f"{line}\n" for line in (*self.comments, *(s.line() for s in self.segments)))


def read_stm(*paths: str | Path) -> Stm:
    """One or more files as one: channels 1 and 2 are called A and B, gaps between segments are left out.

    Raises:
        MissingInputError: no such file. DataError: a line that is none of STM, or a file without segments; with its
            number.
    """
    stm = Stm()
    for path in paths:
        before = len(stm.segments)
        for number, line in old_lines(path):
            if line.lstrip().startswith(";;"):
                if line.strip() not in stm.comments:  # of several files that have the same head
                    stm.comments.append(line.strip())
                continue
            segment = _segment(line, f"{path}:{number}")
            if segment is not None:
                stm.segments.append(segment)
        if len(stm.segments) == before:
            raise DataError(f"{path} has no segments: it is no STM file")
    return stm


def mended(stm: Stm, where: str | Path) -> Stm:
    """What SCTK's filter reads: single brackets, and asides without their marks.

    ``((`` stops hubscr.pl, and so does ``<B_ASIDE>``, or is scored as a word; both are in the official references.

    Args:
        stm: as read.
        where: the file, for messages.

    Raises:
        DataError: brackets that still do not match, with the segment.
    """
    segments = []
    for s in stm.segments:
        text = re.sub(r"\(\s*\(+", "(", re.sub(r"\)\s*\)+", ")", _ASIDE.sub(" ", s.text)))
        if re.search(r"[()]", re.sub(r"\([^()]+\)", "", text)):
            raise DataError(
                f"{where}: {s.recording} {s.channel} at {seconds(s.start)} s: brackets do not match, at "
                f"which hubscr.pl stops: {s.text}"
            )
        segments.append(replace(s, text=" ".join(text.split())))
    return Stm(list(stm.comments), segments)


def seconds(t: float) -> str:
    """A time as these files have it, to the millisecond, without zeros at its end."""
    return f"{round(t, 3):.10g}"


def plain_words(text: str) -> str:
    """Words of a segment alone, in lower case: of alternatives the first, without what may be left out and markup.

    For where a transcript is wanted that is no more than words. Scores are of the STM.
    """
    while "{" in text:
        flat = re.sub(r"\{([^{}]*)\}", lambda m: m[1].split(" / ")[0], text)
        if flat == text:
            break
        text = flat
    words = re.sub(r"\([^()]*\)|<[^<>]*>", " ", text).split()
    return " ".join(word for word in words if word not in ("@", "{", "}") and word.upper() != IGNORED).lower()


def _segment(line: str, place: str) -> StmSegment | None:
    fields = line.split(maxsplit=5)
    try:
        recording, channel, speaker = fields[:3]
        start, end = float(fields[3]), float(fields[4])
        if not 0 <= start <= end < math.inf:
            raise ValueError(f"{start} to {end}")
    except (ValueError, IndexError) as e:
        raise DataError(f"{place}: expected 'CONVERSATION A SPEAKER BEGIN END [<LABEL>] WORDS', found {line!r}") from e
    if _GAP in line:
        return None
    text = fields[5].strip() if len(fields) > 5 else ""
    label = _LABEL.match(text)
    # <B_ASIDE> may begin a segment that has no label.
    has_label = label is not None and not _ASIDE.fullmatch(label[0])
    channel = _CHANNELS.get(channel, channel.upper())
    if channel not in ("A", "B"):
        raise DataError(f"{place}: channel {channel}: expected A or B, or 1 or 2")
    return StmSegment(
        recording,
        channel,
        speaker,
        start,
        end,
        label[0] if has_label else "",
        " ".join(text[label.end() if has_label else 0 :].split()),
    )
