"""A call with its turns, as both corpora are read into it, and which turns can be used."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from asrpar.corpus.conversations.tally import Tally

SIDES = "AB"
OVERSHOOT = 1.0  # s by which a turn may outlast its recording before its text cannot be trusted
SHORTEST = 0.05  # s


@dataclass(frozen=True, slots=True)
class Turn:
    """What one side says from ``start`` to ``end`` (s), as it is written down."""

    start: float
    end: float
    text: str


@dataclass(frozen=True)
class Speaker:
    """Who is on a side: a name that ids begin with, and ``m``, ``f`` or None."""

    name: str
    sex: str | None = None


@dataclass
class Call:
    """A call.

    Attributes:
        id: of the recording, ``sw02001`` or ``fe_03_00001``.
        audio: its file; None where there is none.
        turns: by side.
        speakers: by side.
    """

    id: str
    audio: Path | None
    turns: dict[str, list[Turn]]
    speakers: dict[str, Speaker]


def usable(turns: Sequence[Turn], side: str, seconds: float | None, longest: float, tally: Tally) -> list[Turn]:
    """The turns of a side whose times can be, cut to the recording; the others are counted.

    Args:
        turns: of one side.
        side: its name in the report, such as ``sw02001-A``.
        seconds: the length of the recording; None if nothing is known of it.
        longest: seconds that a turn may have.
        tally: takes what is dropped or cut.
    """
    good = []
    for turn in sorted(turns, key=lambda t: (t.start, t.end)):
        name = f"{side} {turn.start:g}-{turn.end:g}"
        if turn.start < 0 or turn.end - turn.start < SHORTEST:
            tally.add("utterances dropped, whose times cannot be", name)
        elif turn.end - turn.start > longest:
            tally.add(f"utterances dropped, longer than {longest:g} s (max_seconds)", name)
        elif seconds is not None and turn.end > seconds:
            if turn.end - seconds > OVERSHOOT or seconds - turn.start < SHORTEST:
                tally.add("utterances dropped, which end behind their recording", name, warn=True)
            else:
                tally.add("utterances cut at the end of their recording", name)
                good.append(replace(turn, end=seconds))
        else:
            good.append(turn)
    return [turn for turn, whole in zip(good, _whole(good), strict=True) if whole or _drop(turn, side, tally)]


def _whole(turns: Sequence[Turn]) -> list[bool]:
    """Of turns by start: whether none of the others lies within it, which means that one of its times is wrong."""
    found = []
    for number, turn in enumerate(turns):
        after = turns[number + 1] if number + 1 < len(turns) else None
        covers = after is not None and after.end <= turn.end and (after.start, after.end) != (turn.start, turn.end)
        found.append(not covers)
    return found


def _drop(turn: Turn, side: str, tally: Tally) -> bool:
    tally.add("utterances dropped, over others of their side", f"{side} {turn.start:g}-{turn.end:g}")
    return False
