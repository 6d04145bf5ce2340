"""Where a long recording is cut: in pauses, found by the energy of its samples.

The level of each 10 ms is held against what is quiet and what is loud around it (`CONTEXT` on either side), so that a
recording may become louder, or a room noisier. Pieces do not overlap, and each begins and ends within a pause.
"""

from collections.abc import Sequence

import numpy as np

FRAME = 0.01  # s, of a level
CONTEXT = 30.0  # s on either side, by which a level counts as quiet
HOP = 5.0  # s, in which the limit stays the same
QUIETEST = -80.0  # dB below full scale: less is hardly a room, but digital silence
LIFT = 0.25  # of the way from quiet to loud, where speech begins
LEAST_LIFT, MOST_LIFT = 6.0, 15.0  # dB above what is quiet
RANGE = 10.0  # dB between quiet and loud, or all is either
# What does not vary is quiet if it is so much less than what is loud elsewhere, or nothing by any measure.
FAR_LESS, NOTHING = 20.0, -50.0
MARGIN = 0.2  # s of a pause that a piece keeps at most, on either side
SMOOTH = 0.2  # s over which the quietest place of a piece without pauses is looked for


class Levels:
    """Levels of a recording that comes in blocks.

    Args:
        rate: Hz.
    """

    def __init__(self, rate: int) -> None:
        self.size = max(1, round(FRAME * rate))
        self._rest = np.zeros(0, dtype=np.float32)
        self._found: list[np.ndarray] = []

    def add(self, samples: np.ndarray) -> None:
        """The next samples (n,)."""
        samples = np.concatenate([self._rest, samples])
        whole = len(samples) // self.size * self.size
        self._rest = samples[whole:]
        power = np.square(samples[:whole], dtype=np.float64).reshape(-1, self.size).mean(axis=1)
        self._found.append((10.0 * np.log10(np.maximum(power, 1e-12))).astype(np.float32))

    def decibels(self) -> np.ndarray:
        """(frames,) below full scale; a last frame that is not whole is left out."""
        return np.concatenate(self._found) if self._found else np.zeros(0, dtype=np.float32)


def limits(levels: np.ndarray) -> np.ndarray:
    """(frames,) the level below which each frame is quiet."""
    hop, context = round(HOP / FRAME), round(CONTEXT / FRAME)
    found = np.empty(len(levels), dtype=np.float32)
    loudest = np.percentile(levels, 95) if len(levels) else 0.0
    for begin in range(0, len(levels), hop):
        quiet, loud = _quiet_and_loud(levels[max(0, begin - context) : begin + hop + context])
        if loud - quiet >= RANGE:
            limit = quiet + np.clip(LIFT * (loud - quiet), LEAST_LIFT, MOST_LIFT)
        else:  # a room in which nobody speaks, or somebody who never pauses, of whom no word may be lost
            limit = np.inf if loud < max(loudest - FAR_LESS, NOTHING) else -np.inf
        found[begin : begin + hop] = limit
    return found


def _quiet_and_loud(levels: np.ndarray) -> tuple[float, float]:
    room = levels[levels > QUIETEST]
    # Digital silence is left out where what remains has pauses of its own.
    for some in (room, np.maximum(levels, QUIETEST)):
        if len(some):
            quiet, loud = np.percentile(some, (10, 95))
            if loud - quiet >= RANGE:
                break
    return float(quiet), float(loud)


def pieces(levels: np.ndarray, min_pause: float, max_seconds: float) -> list[tuple[int, int]]:
    """What is to be recognised of a recording.

    Args:
        levels: see `Levels`.
        min_pause: seconds; shorter ones lie within a piece.
        max_seconds: of a piece; one without such pauses is cut at its quietest places.

    Returns:
        First frame and last frame + 1 of each piece, in order; none of a recording in which all is quiet.
    """
    spoken = spans(levels >= limits(levels), round(min_pause / FRAME))
    longest, found = max(2, int(max_seconds / FRAME)), []
    for number, (begin, end) in enumerate(spoken):
        # Half of a pause belongs to the piece before, the other half to that after.
        before = begin - (spoken[number - 1][1] if number else 0)
        after = (spoken[number + 1][0] if number + 1 < len(spoken) else len(levels)) - end
        margin = round(MARGIN / FRAME)
        first = begin - min(margin, before // 2 if number else before)
        last = end + min(margin, after // 2 if number + 1 < len(spoken) else after)
        found += halves(levels, first, last, longest)
    return found


def spans(loud: np.ndarray, least: int) -> list[tuple[int, int]]:
    """Runs of loud frames, those less than ``least`` quiet frames apart taken together."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], loud, [False]]).astype(np.int8)))
    found: list[tuple[int, int]] = []
    for begin, end in edges.reshape(-1, 2).tolist():
        if found and begin - found[-1][1] < least:
            found[-1] = (found[-1][0], end)
        else:
            found.append((begin, end))
    return found


def halves(levels: np.ndarray, begin: int, end: int, longest: int) -> Sequence[tuple[int, int]]:
    """A piece, or several of at most ``longest`` frames, cut where it is quietest for a while."""
    found = []
    width = round(SMOOTH / FRAME)
    while end - begin > longest:
        # Not so near to the end that next to nothing would be left.
        low, high = begin + longest // 2, min(begin + longest, end - longest // 8)
        around = levels[max(0, low - width) : high + width]
        smooth = np.convolve(around, np.full(2 * width + 1, 1.0 / (2 * width + 1)), mode="same")
        offset = low - max(0, low - width)
        cut = low + int(smooth[offset : offset + high - low].argmin())
        found.append((begin, cut))
        begin = cut
    return [*found, (begin, end)]
