"""Minimum Bayes risk over a raw lattice (Xu et al. 2011).

The words are those whose expected edit distance to the words of the lattice is least, rather than the most probable
ones. The expectation is the paper's: where arcs meet in a state, the distances of the arcs to each
beginning of the hypothesis are averaged with their posteriors, which makes the sum over all paths a recursion over
states, and an upper bound of the distance. Its derivative by the alignment says how much of the lattice stands for
which word at each place of the hypothesis; the best word of each place makes the next hypothesis, until nothing
changes. Those shares are the words' confidences.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from asrpar.decode.lattices.lattice import Lattice
from asrpar.decode.lattices.paths import forward, log_add

# A word of the lattice that falls between two words of the hypothesis costs a little more.
DELTA = 1e-5
MOST_ROUNDS = 20


@dataclass(frozen=True)
class Bayes:
    """Words of least expected errors.

    Attributes:
        words: ids.
        confidences: the share of the lattice that has the word at its place, from 0 to 1.
        frames: (W,) mean frame of the arcs that carry the word.
        risk: expected errors of these words.
    """

    words: tuple[int, ...]
    confidences: tuple[float, ...]
    frames: tuple[float, ...]
    risk: float


def minimum_bayes_risk(
    lattice: Lattice, costs: np.ndarray, ends: np.ndarray, begin: Sequence[int], rounds: int = MOST_ROUNDS
) -> Bayes:
    """Words of least risk, or with ``rounds`` = 0 the confidences of the words of ``begin``.

    Args:
        lattice: raw, not empty.
        costs: (A,) of arcs, so scaled that exp(-cost) of a path is to its probability.
        ends: (S,) of ending.
        begin: the first hypothesis, usually the words of the best path.
        rounds: at most.
    """
    posts = _shares(lattice, costs, ends)
    said = _with_gaps(begin)
    while True:
        risk, gamma, frames = _statistics(lattice, posts, said)
        # A place without any share stays empty.
        best = [max(places, key=lambda w: (places[w], -w)) if places else 0 for places in gamma]
        new = _with_gaps([w for w in best if w])
        if rounds == 0 or new == said:
            break
        said, rounds = new, rounds - 1
        # The last statistics must be those of the last hypothesis.
    at = [q for q, w in enumerate(said) if w]
    total = [max(sum(gamma[q].values()), 1e-30) for q in range(len(said))]
    return Bayes(
        tuple(said[q] for q in at),
        tuple(float(np.clip(gamma[q].get(said[q], 0.0) / total[q], 0.0, 1.0)) for q in at),
        tuple(frames[q].get(said[q], 0.0) for q in at),
        risk,
    )


@dataclass(frozen=True)
class _Posts:
    """Shares of arcs among those that meet in the same state; final states meet in one more state."""

    arcs: np.ndarray
    ends: np.ndarray


def _shares(lattice: Lattice, costs: np.ndarray, ends: np.ndarray) -> _Posts:
    reached = forward(lattice, costs[:, None], log_add)[:, 0]
    with np.errstate(over="ignore"):
        arcs = np.exp(reached[lattice.dest] - reached[lattice.source] - costs)
    whole = reached + ends
    best = whole.min()
    weights = np.exp(best - whole)
    return _Posts(arcs, weights / weights.sum())


def _with_gaps(words: Sequence[int]) -> list[int]:
    """Words with the empty word 0 before, between and behind them."""
    return [0, *(x for w in words for x in (int(w), 0))]


def _statistics(
    lattice: Lattice, posts: _Posts, said: list[int]
) -> tuple[float, list[dict[int, float]], list[dict[int, float]]]:
    """Expected distance to ``said``; for each of its places the share of each word there, and the word's mean frame."""
    r = np.array(said)
    steps = np.concatenate([[0.0], np.cumsum(r != 0)])
    first = np.searchsorted(lattice.dest, np.arange(lattice.num_states + 1))
    distance = np.zeros((lattice.num_states, len(r) + 1))
    distance[0] = steps
    slices = [slice(first[a], first[b]) for a, b in zip(lattice.levels[1:-1], lattice.levels[2:], strict=True)]
    for arcs, low, high in zip(slices, lattice.levels[1:-1], lattice.levels[2:], strict=True):
        over = _over(distance[lattice.source[arcs]], lattice.word[arcs], r, steps)[0]
        distance[low:high] = np.add.reduceat(posts.arcs[arcs, None] * over, first[low:high] - first[low], axis=0)
    risk = float((posts.ends * distance[:, -1]).sum())
    # The derivative of that by the distance of each state to each beginning of the hypothesis.
    share = np.zeros_like(distance)
    share[:, -1] = posts.ends
    gamma: list[dict[int, float]] = [{} for _ in said]
    frames: list[dict[int, float]] = [{} for _ in said]
    for arcs in slices[::-1]:
        _, choice = _over(distance[lattice.source[arcs]], lattice.word[arcs], r, steps)
        mine = posts.arcs[arcs, None] * share[lattice.dest[arcs]]
        back = np.zeros_like(mine)
        for q in range(len(r), 0, -1):
            here = choice[:, q]
            same, skipped, left = (np.where(here == k, mine[:, q], 0.0) for k in (1, 2, 3))
            back[:, q - 1] += same
            back[:, q] += skipped
            mine[:, q - 1] += left
            _note(gamma[q - 1], frames[q - 1], lattice.word[arcs], lattice.frame[arcs], same)
            if (gone := float(left.sum())) > 0.0:
                gamma[q - 1][0] = gamma[q - 1].get(0, 0.0) + gone
        back[:, 0] += mine[:, 0]
        np.add.at(share, lattice.source[arcs], back)
    # What is still to be said at the start was not said at all.
    rest = 0.0
    for q in range(len(r), 0, -1):
        rest += share[0, q]
        if rest > 0.0:
            gamma[q - 1][0] = gamma[q - 1].get(0, 0.0) + rest
    means = [{w: frames[q][w] / g for w, g in places.items() if w and g > 0.0} for q, places in enumerate(gamma)]
    return risk, gamma, means


def _over(before: np.ndarray, words: np.ndarray, r: np.ndarray, steps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distances (A, Q + 1) behind arcs from those before them; and how: 1 a place and the arc, 2 the arc, 3 a place."""
    extra = np.where(words == 0, 0.0, 1.0 + DELTA)[:, None]
    skip = before + extra
    both = np.full_like(before, np.inf)
    both[:, 1:] = before[:, :-1] + (words[:, None] != r)
    found = np.minimum(skip, both)
    # Places that stand against nothing: a running minimum once the cost of the places is taken off.
    least = np.minimum.accumulate(found - steps, axis=1) + steps
    choice = np.where(both <= skip, 1, 2)
    choice[least < found - 1e-12] = 3
    return least, choice


def _note(
    gamma: dict[int, float], frames: dict[int, float], words: np.ndarray, at: np.ndarray, share: np.ndarray
) -> None:
    used = np.flatnonzero(share > 0.0)
    if len(used):
        distinct, which = np.unique(words[used], return_inverse=True)
        sums = np.bincount(which, weights=share[used])
        times = np.bincount(which, weights=share[used] * at[used])
        for w, s, t in zip(distinct.tolist(), sums.tolist(), times.tolist(), strict=True):
            gamma[w] = gamma.get(w, 0.0) + s
            frames[w] = frames.get(w, 0.0) + t
