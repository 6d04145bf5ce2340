"""Best paths, pruning and posteriors of raw lattices, for many points at once."""

from collections.abc import Sequence

import numpy as np

from asrpar.decode.engine import BestPath
from asrpar.decode.lattices.lattice import Lattice


def forward(lattice: Lattice, costs: np.ndarray, add: np.ufunc = np.minimum) -> np.ndarray:
    """The cost (S, P) of reaching each state.

    Args:
        lattice: with at least one state.
        costs: (A, P) of its arcs at P points.
        add: ``np.minimum`` for the best path.
    """
    reached = np.zeros((lattice.num_states, costs.shape[1]))
    first = np.searchsorted(lattice.dest, np.arange(lattice.num_states + 1))
    for begin, end in zip(lattice.levels[1:-1], lattice.levels[2:], strict=True):
        arcs = slice(first[begin], first[end])
        reached[begin:end] = add.reduceat(
            reached[lattice.source[arcs]] + costs[arcs], first[begin:end] - first[begin], axis=0
        )
    return reached


def backward(lattice: Lattice, costs: np.ndarray, ends: np.ndarray, add: np.ufunc = np.minimum) -> np.ndarray:
    """The cost (S, P) from each state to an end; ``ends`` (S, P) are the costs of ending."""
    left = np.array(ends, dtype=np.float64)
    order = np.argsort(lattice.source, kind="stable")
    source, dest = lattice.source[order], lattice.dest[order]
    first = np.searchsorted(source, np.arange(lattice.num_states + 1))
    levels = lattice.levels
    for begin, end in zip(levels[-2::-1], levels[:0:-1], strict=True):
        arcs = slice(first[begin], first[end])
        if arcs.start == arcs.stop:
            continue
        leaving = first[begin + 1 : end + 1] > first[begin:end]
        states = np.arange(begin, end)[leaving]
        found = add.reduceat(costs[order[arcs]] + left[dest[arcs]], first[states] - first[begin], axis=0)
        left[states] = add(left[states], found)
    return left


def best_arcs(lattice: Lattice, costs: np.ndarray, ends: np.ndarray) -> list[tuple[np.ndarray, float]]:
    """The arcs of the best path, in order, and its cost, at each of P points; for ``ends`` see `backward`."""
    points = costs.shape[1]
    if not lattice.num_states:
        return [(np.zeros(0, dtype=np.int64), np.inf)] * points
    reached = forward(lattice, costs)
    whole = reached + ends
    at = whole.argmin(axis=0)
    total = whole[at, np.arange(points)]
    first = np.searchsorted(lattice.dest, np.arange(lattice.num_states + 1))
    # Most points share most of their paths: a state is looked at once for all points whose paths lead through it.
    waiting = {int(s): np.flatnonzero(at == s) for s in np.unique(at)}
    trails: list[list[int]] = [[] for _ in range(points)]
    while (state := max(waiting)) > 0:
        here = waiting.pop(state)
        arcs = np.arange(first[state], first[state + 1])
        sources = lattice.source[arcs]
        taken = (reached[np.ix_(sources, here)] + costs[np.ix_(arcs, here)]).argmin(axis=0)
        for k in np.unique(taken):
            through, before = here[taken == k], int(sources[k])
            for p in through:
                trails[p].append(int(arcs[k]))
            known = waiting.get(before)
            waiting[before] = through if known is None else np.concatenate([known, through])
    return [(np.array(trail[::-1], dtype=np.int64), float(c)) for trail, c in zip(trails, total, strict=True)]


def path_of(lattice: Lattice, arcs: np.ndarray, cost: float) -> BestPath:
    """A path as engines give it; its score is minus ``cost``."""
    labels, words, frames = lattice.label[arcs], lattice.word[arcs], lattice.frame[arcs]
    spoken = np.flatnonzero(words)
    return BestPath(
        lattice.utt_id,
        labels[labels >= 0].astype(np.int32),
        words[spoken].tolist(),
        frames[spoken].tolist(),
        -cost,
        lattice.complete,
    )


def words_of(lattice: Lattice, arcs: np.ndarray) -> tuple[int, ...]:
    """The words along a path."""
    words = lattice.word[arcs]
    return tuple(words[words > 0].tolist())


def pruned(lattice: Lattice, costs: np.ndarray, ends: np.ndarray, beam: float) -> Lattice:
    """The arcs that lie on a path within ``beam`` of the best one at some of the points."""
    if not lattice.num_states:
        return lattice
    reached, left = forward(lattice, costs), backward(lattice, costs, ends)
    limit = left[0] + beam
    over = reached[lattice.source] + costs + left[lattice.dest]
    return lattice.part((over <= limit).any(axis=1), ((reached + ends) <= limit).any(axis=1))


def width(lattice: Lattice, costs: np.ndarray, ends: np.ndarray) -> float:
    """How much worse than the best path the best path over the worst arc is, at one point; 0 for no arcs."""
    over = forward(lattice, costs)[lattice.source] + costs + backward(lattice, costs, ends)[lattice.dest]
    return float((over[:, 0].max() - over[:, 0].min()) if lattice.num_arcs else 0.0)


def posteriors(lattice: Lattice, costs: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, float]:
    """The probability (A,) of each arc where paths have probabilities exp(-cost), and minus the log of their sum.

    Args:
        lattice: not empty.
        costs: (A,) of arcs. ends: (S,) of ending.
    """
    one, at_end = costs[:, None], ends[:, None]
    reached, left = forward(lattice, one, log_add), backward(lattice, one, at_end, log_add)
    total = float(left[0, 0])
    return np.exp(total - (reached[lattice.source] + one + left[lattice.dest])[:, 0]), total


class _LogAdd:
    """-ln(e^-a + e^-b) with what is used of a ufunc."""

    def __call__(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return -np.logaddexp(-a, -b)

    def reduceat(self, values: np.ndarray, first: np.ndarray, axis: int) -> np.ndarray:
        return -np.logaddexp.reduceat(-values, first, axis=axis)


log_add = _LogAdd()


def at_points(lattice: Lattice, points: Sequence, blank: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Costs (A, P) of the arcs and (S, P) of ending at each of some points."""
    costs = np.stack([lattice.costs(p, blank) for p in points], axis=1)
    return costs, np.stack([lattice.end_costs(p) for p in points], axis=1)
