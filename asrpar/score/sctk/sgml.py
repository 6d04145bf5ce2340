"""sclite's alignments (``-o sgml``): what it counted, segment by segment."""

import re
from dataclasses import dataclass
from pathlib import Path

from asrpar.errors import DataError
from asrpar.files.text import read_text
from asrpar.score.align import GAP, Counts, align_characters, count
from asrpar.score.wer import Score, UtteranceScore

_ATTRIBUTE = re.compile(r'(\w+)="([^"]*)"')
# C,"word","word",times:S,"word","other",times and so on.
_BETWEEN = re.compile(r'(?<=["\d,.]):(?=[CSDI],[",])')
_PAIR = re.compile(r'([CSDI]),(?:"(.*?)")?,(?:"(.*?)")?(?:,[^"]*)?')


@dataclass(frozen=True)
class AlignedSegment:
    """A segment or an utterance as sclite aligned it.

    Attributes:
        segment_id: as sclite calls it, without its brackets.
        speaker: in sclite's lower case.
        recording, channel, start: of a segment of an STM; empty and 0.0 for transcripts.
        pairs: reference and hypothesis word, `GAP` where there is none; an optional word that was left out, or said in
            another form, is paired with itself.
    """

    segment_id: str
    speaker: str
    recording: str
    channel: str
    start: float
    pairs: list[tuple[str, str]]


def read_sgml(path: str | Path) -> list[AlignedSegment]:
    """All segments in the file's order.

    Raises:
        MissingInputError: no such file. DataError: a line that is none of sclite's.
    """
    found: list[AlignedSegment] = []
    speaker, head, pairs = "", None, []
    for number, line in enumerate(read_text(path, "score again (asrpar score --engine sctk)").split("\n"), 1):
        if line.startswith("<SPEAKER "):
            speaker = _attributes(line).get("id", "")
        elif line.startswith("<PATH "):
            head, pairs = _attributes(line), []
        elif line.startswith("</PATH>") and head is not None:
            segment_id = head.get("id", "").removeprefix("(").removesuffix(")")
            where = head.get("file", ""), head.get("channel", ""), float(head.get("R_T1", 0.0))
            found.append(AlignedSegment(segment_id, speaker, *where, pairs))
            head = None
        elif head is not None and line:
            pairs = _pairs(line, f"{path}:{number}")
    return found


def to_score(segments: list[tuple[str, str, list[tuple[str, str]]]], missing: set[str]) -> Score:
    """The counts of (id, speaker, pairs) as those of our own scoring; ``missing`` had no hypothesis at all."""
    result = Score([])
    for utt_id, speaker, pairs in sorted(segments, key=lambda s: s[0]):
        ref, hyp = [r for r, _ in pairs if r != GAP], [h for _, h in pairs if h != GAP]
        scored = UtteranceScore(
            utt_id, speaker, pairs, count(pairs), count(align_characters(ref, hyp)), utt_id in missing
        )
        result.utterances.append(scored)
        result.total += scored.counts
        result.characters += scored.characters
        result.sentence_errors += scored.counts.errors > 0
        if scored.missing:
            result.missing.append(utt_id)
    return result


def check_total(score: Score, raw: Path) -> None:
    """Raise `DataError` unless sclite's own table of counts (``-o rsum``) has the same sums."""
    line = next((row for row in read_text(raw).split("\n") if re.match(r"\s*\|\s*Sum\b", row)), "")
    numbers = [int(n) for n in re.findall(r"\d+", line)][:8]
    c: Counts = score.total
    ours = [len(score.utterances), c.ref, c.ref - c.sub - c.dele, c.sub, c.dele, c.ins, c.errors, score.sentence_errors]
    if numbers != ours:
        raise DataError(f"{raw}: sclite's table says {numbers}, its alignments {ours}: this is no SCTK that is known")


def _attributes(line: str) -> dict[str, str]:
    return dict(_ATTRIBUTE.findall(line))


def _pairs(line: str, place: str) -> list[tuple[str, str]]:
    pairs = []
    for part in _BETWEEN.split(line):
        match = _PAIR.fullmatch(part)
        if match is None:
            raise DataError(f"{place}: no alignment of sclite: {part[:60]}")
        kind, ref, hyp = match.groups(default="")
        if kind == "C":
            pairs.append((ref or hyp, ref or hyp))
        else:
            pairs.append((GAP if kind == "I" else ref, GAP if kind == "D" else hyp))
    return pairs
