"""The best path of given word sequences in a raw lattice, with its cost in parts, for many sequences at once."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from asrpar.decode.lattices.lattice import Lattice, ranges
from asrpar.decode.scales import SearchPoint


@dataclass(frozen=True)
class Found:
    """The best path of one word sequence.

    Attributes:
        acoustic: its cost at a scale of 1, with blank penalties.
        graph: its cost at a scale of 1, with word penalties.
        arcs: of the path, in order.
    """

    acoustic: float
    graph: float
    arcs: np.ndarray


class _Tree:
    """Word sequences with their common beginnings in common; node 0 is the empty one."""

    def __init__(self, sequences: Sequence[Sequence[int]]) -> None:
        children: dict[tuple[int, int], int] = {}
        self.ends = []
        for words in sequences:
            node = 0
            for w in words:
                node = children.setdefault((node, int(w)), len(children) + 1)
            self.ends.append(node)
        self.size = len(children) + 1
        self._words = 1 + max((w for _, w in children), default=0)
        self._keys = np.array(sorted(n * self._words + w for n, w in children), dtype=np.int64)
        self._nodes = np.array([children[divmod(int(k), self._words)] for k in self._keys], dtype=np.int64)

    def follow(self, nodes: np.ndarray, words: np.ndarray) -> np.ndarray:
        """Where words (0 for none) lead to; -1 for nowhere."""
        wanted = np.where(words < self._words, nodes * self._words + words, -1)
        at = np.minimum(np.searchsorted(self._keys, wanted), max(0, len(self._keys) - 1))
        there = np.where(self._keys[at] == wanted, self._nodes[at], -1) if len(self._keys) else np.full(len(nodes), -1)
        return np.where(words == 0, nodes, there)


def best_of(
    lattice: Lattice, sequences: Sequence[Sequence[int]], point: SearchPoint, blank: int | None
) -> list[Found | None]:
    """The best path at a point of each sequence of words; None where the lattice does not have it.

    This is the shortest path through the composition of the lattice with a tree of the sequences, of which only the
    pairs that can be reached are made.

    Args:
        lattice: raw.
        sequences: ids of words.
        point: at which paths are compared.
        blank: the blank class, if any.
    """
    if not lattice.num_states:
        return [None] * len(sequences)
    tree, costs = _Tree(sequences), lattice.costs(point, blank)
    first = np.searchsorted(lattice.dest, np.arange(lattice.num_states + 1))
    # Pairs of a state and a node, by state: those of state s are numbered from begin[s] up to begin[s + 1].
    begin = np.zeros(lattice.num_states + 1, dtype=np.int64)
    begin[1] = 1
    nodes, cost = [np.zeros(1, dtype=np.int64)], [np.zeros(1)]
    arc, back = [np.full(1, -1, dtype=np.int64)], [np.full(1, -1, dtype=np.int64)]
    all_nodes, all_costs = nodes[0], cost[0]
    for low, high in zip(lattice.levels[1:-1], lattice.levels[2:], strict=True):
        arcs = np.arange(first[low], first[high])
        source = lattice.source[arcs]
        count = begin[source + 1] - begin[source]
        before = ranges(begin[source], begin[source + 1])
        over = np.repeat(arcs, count)
        node = tree.follow(all_nodes[before], lattice.word[over])
        fits = node >= 0
        before, over, node = before[fits], over[fits], node[fits]
        total = all_costs[before] + costs[over]
        pair = lattice.dest[over].astype(np.int64) * tree.size + node
        order = np.lexsort((total, pair))
        pair = pair[order]
        best = order[np.flatnonzero(np.concatenate([[True], pair[1:] != pair[:-1]]))] if len(pair) else order
        state = lattice.dest[over[best]]
        begin[low + 1 : high + 1] = begin[low] + np.cumsum(np.bincount(state - low, minlength=high - low))
        all_nodes = _grown(all_nodes, node[best], begin[low], begin[high])
        all_costs = _grown(all_costs, total[best], begin[low], begin[high])
        arc.append(over[best])
        back.append(before[best])
    arc_of, back_of = np.concatenate(arc), np.concatenate(back)
    states = np.repeat(np.arange(lattice.num_states), np.diff(begin))
    size = len(arc_of)
    ends = all_costs[:size] + lattice.end_costs(point)[states]
    by_node = np.lexsort((ends, all_nodes[:size]))
    at = np.searchsorted(all_nodes[:size][by_node], np.arange(tree.size))
    return [
        _found(lattice, costs, point, by_node, at, end, all_nodes, ends, arc_of, back_of, states) for end in tree.ends
    ]


def _found(
    lattice: Lattice,
    costs: np.ndarray,
    point: SearchPoint,
    by_node: np.ndarray,
    at: np.ndarray,
    node: int,
    nodes: np.ndarray,
    ends: np.ndarray,
    arc_of: np.ndarray,
    back_of: np.ndarray,
    states: np.ndarray,
) -> Found | None:
    if at[node] == len(by_node) or nodes[by_node[at[node]]] != node or not np.isfinite(ends[by_node[at[node]]]):
        return None
    pair = int(by_node[at[node]])
    final = float(lattice.final[states[pair]])
    path = []
    while arc_of[pair] >= 0:
        path.append(arc_of[pair])
        pair = int(back_of[pair])
    arcs = np.array(path[::-1], dtype=np.int64)
    graph = float((lattice.graph[arcs] + point.word_penalty * (lattice.word[arcs] > 0)).sum())
    return Found(float(costs[arcs].sum()) - point.lm_scale * graph, graph + final, arcs)


def _grown(values: np.ndarray, more: np.ndarray, low: int, high: int) -> np.ndarray:
    """``values`` with ``more`` from ``low`` up to ``high``, in an array that doubles when it has to grow."""
    if high > len(values):
        values = np.concatenate([values, np.zeros(max(high, 2 * len(values)) - len(values), dtype=values.dtype)])
    values[low:high] = more
    return values
