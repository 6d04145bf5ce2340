"""TextGrid of Praat: a file for each utterance, with a tier of words and one of phones."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from asrpar.align.formats.contract import AlignmentFormat
from asrpar.errors import DataError
from asrpar.hmm.alignments import AlignedUtterance
from asrpar.hmm.tree import Tree

# Shorter gaps are rounding of times.
LEAST = 1e-6
Interval = tuple[float, float, str]


class Format(AlignmentFormat):
    """``textgrid_SET/UTTERANCE.TextGrid``; what is between words is empty, as Praat's users write silence."""

    def write(self, folder: Path, name: str, utterances: Sequence[AlignedUtterance], tree: Tree) -> None:
        folder = folder / f"textgrid_{name}"
        folder.mkdir()
        silences = {tree.phones.name(phone) for phone in tree.phones.silences}
        for utterance in utterances:
            if "/" in utterance.id:
                raise DataError(f"utterance {utterance.id} cannot be the name of a file: format=ctm has all in one")
            words = list(_whole(utterance.words, utterance.seconds))
            named = [
                ("" if symbol in silences else symbol, start, length) for symbol, start, length in utterance.phones
            ]
            phones = list(_whole(named, utterance.seconds))
            lines = _grid({"words": words, "phones": phones}, utterance.seconds)
            (folder / f"{utterance.id}.TextGrid").write_text("".join(f"{x}\n" for x in lines), encoding="utf-8")


def _whole(items: Sequence[tuple[str, float, float]], end: float) -> Iterator[Interval]:
    """Begin, end and text of intervals from 0 to ``end`` without gaps, as Praat wants them."""
    at = 0.0
    for symbol, start, length in items:
        if start - at > LEAST:
            yield at, start, ""
            at = start
        stop = min(start + length, end)
        if stop - at > LEAST:
            yield at, stop, symbol
            at = stop
    if end - at > LEAST:
        yield at, end, ""


def _grid(tiers: dict[str, list[Interval]], end: float) -> Iterator[str]:
    """The lines of Praat's long text format."""
    yield from ('File type = "ooTextFile"', 'Object class = "TextGrid"', "", "xmin = 0", f"xmax = {end:.6f}")
    yield from ("tiers? <exists>", f"size = {len(tiers)}", "item []:")
    for number, (name, intervals) in enumerate(tiers.items(), 1):
        yield from (f"    item [{number}]:", '        class = "IntervalTier"', f'        name = "{name}"')
        yield from ("        xmin = 0", f"        xmax = {end:.6f}", f"        intervals: size = {len(intervals)}")
        for i, (start, stop, text) in enumerate(intervals, 1):
            quoted = text.replace('"', '""')
            yield from (
                f"        intervals [{i}]:",
                f"            xmin = {start:.6f}",
                f"            xmax = {stop:.6f}",
            )
            yield f'            text = "{quoted}"'
