"""A raw lattice: the paths that a search kept, as arrays of arcs with graph and acoustic costs apart.

Acoustic costs are those of the model's own log-probabilities and graph costs those of the graph's file, whatever point
the search was made at. So each scale and penalty is a factor of something that is counted on arcs, and one lattice can
be looked at from every point (`Lattice.costs`):

    cost = acoustic + blank_penalty * [class is blank] + lm_scale * (graph + word_penalty * [arc has a word])
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from asrpar.decode.scales import SearchPoint
from asrpar.errors import DataError


@dataclass(frozen=True, eq=False)
class Lattice:
    """What a search kept of one utterance; made by `Lattice.make`.

    States are numbered by level, that is by the greatest number of arcs from the start, which is state 0; so every arc
    leads to a greater number. Arcs are sorted by destination, then by source. Every state lies on a path from the start
    to a final state. A lattice of nothing has no states.

    Attributes:
        utt_id: the utterance.
        num_frames: rows of the log-probabilities.
        source: (A,) int32 state of each arc.
        dest: (A,) int32 state.
        frame: (A,) int32, the row that an arc takes; for an arc without a class, the number of rows taken before it.
        label: (A,) int32 class of an arc, -1 where it takes no frame.
        word: (A,) int32 word of the graph, 0 for none.
        graph: (A,) float64 cost of the graph.
        acoustic: (A,) float64 minus the log-probability of the class in its frame; 0 without a class.
        final: (S,) float64 graph cost of ending in a state, infinite where no path ends.
        levels: (L + 1,) int32, the first state of each level, and the number of states.
        complete: whether the paths end in final states of the graph.
    """

    utt_id: str
    num_frames: int
    source: np.ndarray
    dest: np.ndarray
    frame: np.ndarray
    label: np.ndarray
    word: np.ndarray
    graph: np.ndarray
    acoustic: np.ndarray
    final: np.ndarray
    levels: np.ndarray
    complete: bool = True

    @property
    def num_arcs(self) -> int:
        """Arcs."""
        return len(self.source)

    @property
    def num_states(self) -> int:
        """States."""
        return len(self.final)

    @classmethod
    def none(cls, utt_id: str, num_frames: int = 0) -> "Lattice":
        """Where nothing was found."""
        empty, real = np.zeros(0, dtype=np.int32), np.zeros(0)
        levels = np.zeros(1, dtype=np.int32)
        return cls(utt_id, num_frames, empty, empty, empty, empty, empty, real, real, real, levels, complete=False)

    @classmethod
    def make(
        cls,
        utt_id: str,
        num_frames: int,
        arcs: Sequence[np.ndarray],
        final: np.ndarray,
        start: int = 0,
        complete: bool = True,
    ) -> "Lattice":
        """A lattice of arcs and states in any order; what lies on no whole path of finite cost is left out.

        Args:
            utt_id: the utterance.
            num_frames: rows of its log-probabilities.
            arcs: source, dest, label (class or -1), word, graph cost, acoustic cost: arrays (A,).
            final: (S,) cost of ending in each state, infinite for never.
            start: the first state.
            complete: see the class.

        Raises:
            DataError: a cycle, or a state that is reached after different numbers of frames.
        """
        source, dest, label, word = (np.asarray(x, dtype=np.int32) for x in arcs[:4])
        graph, acoustic = (np.asarray(x, dtype=np.float64) for x in arcs[4:])
        final = np.asarray(final, dtype=np.float64)
        if not len(final):
            return cls.none(utt_id, num_frames)
        used = np.isfinite(graph + acoustic)
        keep = _reachable(source[used], dest[used], len(final), np.array([start]))
        keep &= _reachable(dest[used], source[used], len(final), np.flatnonzero(np.isfinite(final)))
        if not keep[start]:
            return cls.none(utt_id, num_frames)
        used &= keep[source] & keep[dest]
        level, frame = _levels(utt_id, source[used], dest[used], label[used], start, len(final))
        order = np.flatnonzero(keep)[np.argsort(level[keep], kind="stable")]
        number = np.full(len(final), -1, dtype=np.int32)
        number[order] = np.arange(len(order), dtype=np.int32)
        there, here = number[dest[used]], number[source[used]]
        by_dest = np.lexsort((here, there))
        taken = np.flatnonzero(used)[by_dest]
        counts = np.bincount(level[order])
        return cls(
            utt_id,
            num_frames,
            here[by_dest],
            there[by_dest],
            frame[source[taken]].astype(np.int32),
            label[taken],
            word[taken],
            graph[taken],
            acoustic[taken],
            final[order],
            np.concatenate([[0], np.cumsum(counts)]).astype(np.int32),
            complete,
        )

    def with_acoustics(self, log_probs: np.ndarray) -> "Lattice":
        """The same with the acoustic costs of ``log_probs`` (T, C), exactly, whatever scale the search was made at."""
        acoustic = np.zeros(self.num_arcs)
        spoken = self.label >= 0
        acoustic[spoken] = -log_probs[self.frame[spoken], self.label[spoken]].astype(np.float64)
        return replace(self, acoustic=acoustic)

    def unscaled(self, point: SearchPoint, blank: int | None) -> "Lattice":
        """The same with the acoustic costs of the model, given those of what `asrpar.decode.scales.scaled` made."""
        acoustic = self.acoustic * point.lm_scale
        if blank is not None:
            acoustic -= point.blank_penalty * (self.label == blank)
        return replace(self, acoustic=acoustic)

    def costs(self, point: SearchPoint, blank: int | None) -> np.ndarray:
        """The cost (A,) of each arc at a point; ``blank`` is the model's blank class, if it has one."""
        found = self.acoustic + point.lm_scale * (self.graph + point.word_penalty * (self.word > 0))
        if point.blank_penalty and blank is not None:
            found += point.blank_penalty * (self.label == blank)
        return found

    def end_costs(self, point: SearchPoint) -> np.ndarray:
        """The cost (S,) of ending in each state at a point."""
        return point.lm_scale * self.final

    def lasting(self, num_frames: int) -> "Lattice":
        """The same, of an utterance of so many frames."""
        return replace(self, num_frames=num_frames)

    def part(self, arcs: np.ndarray, ends: np.ndarray | None = None) -> "Lattice":
        """The lattice of some arcs (A,) bool and, of those that are final, some states (S,) bool."""
        final = self.final if ends is None else np.where(ends, self.final, np.inf)
        columns = (self.source, self.dest, self.label, self.word, self.graph, self.acoustic)
        return Lattice.make(self.utt_id, self.num_frames, [x[arcs] for x in columns], final, complete=self.complete)


def _reachable(source: np.ndarray, dest: np.ndarray, num_states: int, roots: np.ndarray) -> np.ndarray:
    """(S,) bool: the states that arcs lead to from ``roots``, which count."""
    seen = np.zeros(num_states, dtype=bool)
    seen[roots] = True
    by_source = np.argsort(source, kind="stable")
    targets = dest[by_source]
    first = np.searchsorted(source[by_source], np.arange(num_states + 1))
    while len(roots):
        found = targets[ranges(first[roots], first[roots + 1])]
        roots = np.unique(found[~seen[found]])
        seen[roots] = True
    return seen


def _levels(
    utt_id: str, source: np.ndarray, dest: np.ndarray, label: np.ndarray, start: int, num_states: int
) -> tuple[np.ndarray, np.ndarray]:
    """For each state (S,): the greatest number of arcs from the start, and the frames taken before it; -1 if unused."""
    waiting = np.bincount(dest, minlength=num_states)
    by_source = np.argsort(source, kind="stable")
    first = np.searchsorted(source[by_source], np.arange(num_states + 1))
    level = np.full(num_states, -1, dtype=np.int64)
    frame = np.full(num_states, -1, dtype=np.int64)
    if waiting[start]:
        raise DataError(f"the lattice of {utt_id} has a cycle")
    ready, frame[start], at, left = np.array([start]), 0, 0, len(source)
    while len(ready):
        level[ready] = at
        arcs = by_source[ranges(first[ready], first[ready + 1])]
        there, count = np.unique(dest[arcs], return_counts=True)
        waiting[there] -= count
        after = frame[source[arcs]] + (label[arcs] >= 0)
        known = frame[dest[arcs]]
        frame[dest[arcs]] = after
        if (((known >= 0) & (known != after)) | (frame[dest[arcs]] != after)).any():
            raise DataError(f"the lattice of {utt_id} has a state that is reached after different numbers of frames")
        left -= len(arcs)
        ready, at = there[waiting[there] == 0], at + 1
    if left:
        raise DataError(f"the lattice of {utt_id} has a cycle")
    return level, frame


def ranges(first: np.ndarray, end: np.ndarray) -> np.ndarray:
    """The numbers of all ranges from ``first`` up to ``end``, one after the other."""
    lens = end - first
    starts = np.cumsum(lens) - lens
    return np.arange(lens.sum()) + np.repeat(first - starts, lens)
