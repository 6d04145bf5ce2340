"""Word lattices: the word sequences of a raw lattice, each once and with the cost of its best path at one point."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import kaldifst
import numpy as np

from asrpar.decode.lattices.lattice import Lattice
from asrpar.decode.lattices.paths import at_points, pruned, width
from asrpar.decode.scales import SearchPoint
from asrpar.graph.arrays import ARC, Arrays

# Determinisation may blow up: with more states than this the lattice is pruned to half the beam, and so on.
MAX_STATES = 4000
# A beam that leaves more states than that is of a lattice that nothing will do for.
LEAST = 1e-3


@dataclass(frozen=True, eq=False)
class WordLattice:
    """A deterministic acceptor of words; state 0 is the start, arcs lead to greater numbers, sorted by source.

    Attributes:
        source: (A,) state of each arc. dest: (A,) state. word: (A,) id.
        cost: (A,) share of the cost; a path's sum, with its end, is that of the best path of these words.
        final: (S,) cost of ending, infinite for never. None has no states.
        fst: the same for kaldifst; None for none.
    """

    source: np.ndarray
    dest: np.ndarray
    word: np.ndarray
    cost: np.ndarray
    final: np.ndarray
    fst: kaldifst.StdVectorFst | None


def word_lattice(
    lattice: Lattice, point: SearchPoint, blank: int | None, beam: float = math.inf, max_states: int = MAX_STATES
) -> WordLattice:
    """Project to words, remove epsilons, determinise, minimise.

    Args:
        lattice: raw.
        point: at which costs are taken.
        blank: the blank class, if any.
        beam: how much worse than the best path words may be, in the costs of that point.
        max_states: of the result; what would have more is pruned.
    """
    none = np.zeros(0, dtype=np.int64)
    if math.isfinite(beam):
        lattice = pruned(lattice, *at_points(lattice, [point], blank), beam)
    while lattice.num_states:
        costs, ends = at_points(lattice, [point], blank)
        fst = _acceptor(lattice, costs[:, 0], ends[:, 0])
        try:
            stopped = kaldifst.determinize_star(fst, max_states=max_states)
        except RuntimeError:  # so the library says the same
            stopped = True
        if not stopped:
            kaldifst.minimize_encoded(fst)
            return _of_fst(fst)
        beam = width(lattice, costs, ends) / 2
        if beam < LEAST:
            break
        lattice = pruned(lattice, costs, ends, beam)
    return WordLattice(none, none, none, np.zeros(0), np.zeros(0), None)


def n_best(words: WordLattice, n: int) -> list[tuple[tuple[int, ...], float]]:
    """The ``n`` best word sequences, or as many as there are, with their costs; the best first."""
    if words.fst is None:
        return []
    best = Arrays.of(kaldifst.shortest_path(words.fst, n))
    found: list[tuple[tuple[int, ...], float]] = []
    stack: list[tuple[int, tuple[int, ...], float]] = [(best.start, (), 0.0)] if best.start >= 0 else []
    while stack:
        state, said, so_far = stack.pop()
        if np.isfinite(best.finals[state]):
            found.append((said, so_far + float(best.finals[state])))
        for _, word, cost, dest in best.arcs[best.first[state] : best.first[state + 1]].tolist():
            stack.append((dest, (*said, word) if word else said, so_far + cost))
    return sorted(found, key=lambda pair: (pair[1], pair[0]))[:n]


def oracle(words: WordLattice, reference: Sequence[int]) -> tuple[int, tuple[int, ...]]:
    """The fewest errors that a word sequence of the lattice has against ``reference``, and that sequence.

    Words of the reference that are no words of the graph are some number that no arc has, such as -1.
    """
    if not len(words.final):
        return len(reference), ()
    said = np.asarray(reference)
    steps = np.arange(len(said) + 1)
    # least[s, j]: fewest errors on a way to s against the first j words; arc by which, -1 for a deletion
    least = np.full((len(words.final), len(said) + 1), 10**9, dtype=np.int64)
    least[0] = steps
    first = np.searchsorted(words.source, np.arange(len(words.final) + 1))
    for s in range(len(words.final)):
        least[s] = np.minimum.accumulate(least[s] - steps) + steps
        for a in range(first[s], first[s + 1]):
            there = least[words.dest[a]]
            np.minimum(there, least[s] + 1, out=there)
            np.minimum(there[1:], least[s, :-1] + (said != words.word[a]), out=there[1:])
    ends = np.where(np.isfinite(words.final), least[:, -1], 10**9)
    state, j = int(ends.argmin()), len(said)
    errors, path = int(ends[state]), []
    while state or j:
        here = least[state, j]
        if j and least[state, j - 1] + 1 == here:
            j -= 1
            continue
        for a in np.flatnonzero(words.dest == state):
            s, w = int(words.source[a]), int(words.word[a])
            if j and least[s, j - 1] + (said[j - 1] != w) == here:
                state, j = s, j - 1
            elif least[s, j] + 1 == here:
                state = s
            else:
                continue
            path.append(w)
            break
    return errors, tuple(path[::-1])


def _acceptor(lattice: Lattice, costs: np.ndarray, ends: np.ndarray) -> kaldifst.StdVectorFst:
    """The words of a lattice, one each arc, at costs (A,) of its arcs and (S,) of its ends."""
    order = np.argsort(lattice.source, kind="stable")
    arcs = np.empty(len(order), ARC)
    arcs["ilabel"] = arcs["olabel"] = lattice.word[order]
    arcs["weight"], arcs["nextstate"] = costs[order], lattice.dest[order]
    first = np.searchsorted(lattice.source[order], np.arange(lattice.num_states + 1))
    return Arrays(0, ends.astype(np.float32), first, arcs).fst()


def _of_fst(fst: kaldifst.StdVectorFst) -> WordLattice:
    arrays = Arrays.of(fst)
    source, dest = arrays.sources, arrays.arcs["nextstate"].astype(np.int64)
    level = np.full(len(arrays.finals), -1)
    level[arrays.start] = 0
    # Determinised lattices are small: a pass for each level.
    for _ in range(len(level)):
        raised = level.copy()
        known = level[source] >= 0
        np.maximum.at(raised, dest[known], level[source[known]] + 1)
        if (raised == level).all():
            break
        level = raised
    number = np.empty(len(level), dtype=np.int64)
    number[np.argsort(level, kind="stable")] = np.arange(len(level))
    order = np.lexsort((arrays.arcs["ilabel"], number[source]))
    return WordLattice(
        number[source][order],
        number[dest][order],
        arrays.arcs["ilabel"][order].astype(np.int64),
        arrays.arcs["weight"][order].astype(np.float64),
        arrays.finals[np.argsort(number)].astype(np.float64),
        fst,
    )
