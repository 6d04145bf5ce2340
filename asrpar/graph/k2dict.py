"""From an OpenFst decoding graph to k2's dictionary, without importing k2.

k2 counts class 0 as the blank, so its dense intersection has no input epsilons. OpenFst's graph has them, where the LM
backs off and where words that sound alike part. `k2_dict` takes them out by folding them backwards: a step over a frame
from q to s, followed by epsilons from s to d, becomes one arc from q to d with the sum of the scores and the word of
either. Backwards, because few arcs enter a state that backs off, and many leave the state that it backs off to.

An arc of k2's has one word. In HLG none needs two: a word is written at the latest on the disambiguation symbol behind
its last unit, and not before its first; so at most one falls between one unit and the next. In HCLG with contexts to
the right words come a phone earlier, and some meet. Then the second waits for the next frame: it is written on its last
phone at the latest, which no other word ends on, so it has found a place by then.

Arcs over frames are arrays; only epsilons, and the few arcs with two words, are looked at one by one.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import kaldifst
import numpy as np
import torch

from asrpar.errors import DataError
from asrpar.graph.arrays import Arrays

INF = float("inf")
MOST_WAITING = 10  # words; more come of a graph that has more words than frames
LAST = 2**31 - 1  # sorts arcs into the final state behind others, as k2 does
Words = tuple[int, ...]
# (words, cost, to)
Epsilon = tuple[Words, float, int]
# (to, words) -> cost
Steps = dict[tuple[int, Words], float]
# (label, code of words, to, cost), one for each arc
Row = tuple[int, int, int, float]


def k2_dict(fst: kaldifst.StdVectorFst) -> dict[str, torch.Tensor]:
    """The graph as what ``k2.Fsa.as_dict`` gives and ``k2.Fsa.from_dict`` takes.

    Args:
        fst: input labels are class + 1, 0 is epsilon; output labels are word ids; weights are costs.

    Returns:
        ``arcs`` int32 (num_arcs, 4): source, destination, class (-1 into the final state, which is the last), and the
        bits of the float32 score, which is minus the cost; sorted by source and label.
        ``aux_labels`` int32 (num_arcs,): word id, 0 for none, -1 on arcs into the final state.

    Raises:
        DataError: an empty graph, a cycle of epsilons, or more words than frames to write them on.
    """
    arrays = Arrays.of(fst)
    if arrays.start < 0:
        raise DataError("the decoding graph is empty")
    return _numbered(_Steps(arrays).one_word_each())


@dataclass
class _Graph:
    """States with arcs that each take a frame, in the order of their states.

    Attributes:
        start: the first state.
        finals: (N,) costs.
        waiting: words that a state has still to write, of states that have.
        first: (N + 1,) where the arcs of each state begin.
        labels: (A,) class of each arc.
        words: (A,) its word, or 0.
        to: (A,) where it leads.
        costs: (A,) float64.
    """

    start: int
    finals: np.ndarray
    waiting: dict[int, Words]
    first: np.ndarray
    labels: np.ndarray
    words: np.ndarray
    to: np.ndarray
    costs: np.ndarray


class _Steps:
    """Steps over a frame, each followed by any epsilons; those of state s are rows first[s] to first[s + 1].

    Words are codes: 0 for none, the id of one, and above all ids the place in a table of several.
    """

    def __init__(self, arrays: Arrays) -> None:
        self.arrays = arrays
        self.num_states = len(arrays.finals)
        self._several = 1 + int(arrays.arcs["olabel"].max(initial=0))
        self._table: list[Words] = []
        self._codes: dict[Words, int] = {}
        self.closures = _closures(arrays)
        frame = arrays.arcs["ilabel"] > 0
        arcs, sources = arrays.arcs[frame], arrays.sources[frame]
        place, counts, to, costs, words = self._flat()
        here = place[arcs["nextstate"]]
        times = np.where(here >= 0, counts[here], 1)
        row = np.repeat(np.arange(len(arcs)), times)
        entry = here[row]
        begin = np.cumsum(counts) - counts
        folded = entry >= 0
        entry = np.where(folded, begin[entry] + np.arange(len(row)) - np.repeat(np.cumsum(times) - times, times), 0)
        self.labels = arcs["ilabel"][row] - 1
        self.to = np.where(folded, to[entry], arcs["nextstate"][row])
        self.costs = arcs["weight"][row].astype(np.float64) + np.where(folded, costs[entry], 0.0)
        own, more = arcs["olabel"][row].astype(np.int64), np.where(folded, words[entry], 0)
        self.codes = np.where(own == 0, more, own)
        for i in np.flatnonzero((own > 0) & (more > 0)):
            self.codes[i] = self.code((int(own[i]), *self.said(int(more[i]))))
        self.first = np.zeros(self.num_states + 1, np.int64)
        np.cumsum(np.bincount(sources[row], minlength=self.num_states), out=self.first[1:])

    def code(self, words: Words) -> int:
        """The number of words."""
        if len(words) < 2:
            return words[0] if words else 0
        if words not in self._codes:
            self._codes[words] = self._several + len(self._table)
            self._table.append(words)
        return self._codes[words]

    def said(self, code: int) -> Words:
        """The words of a number."""
        return self._table[code - self._several] if code >= self._several else (code,) if code else ()

    def rows(self, state: int) -> Iterator[Row]:
        """The steps of a state."""
        at = slice(self.first[state], self.first[state + 1])
        fields = (self.labels[at], self.codes[at], self.to[at], self.costs[at])
        yield from zip(*(field.tolist() for field in fields), strict=True)

    def one_word_each(self) -> _Graph:
        """The same, as a graph in which no arc has two words; the start state has a copy of its own.

        No arcs lead into it, so what its epsilons reach is folded into it forwards.
        """
        start = self.num_states
        known: dict[tuple[int, Words], int] = {}  # a state where words wait
        queue: list[tuple[int, Words]] = []

        def place(words: Words, state: int) -> tuple[int, int]:
            """The word to write now, and the state to go to."""
            if len(words) > MOST_WAITING:
                raise _too_many(words)
            if len(words) < 2:
                return (words[0] if words else 0), state
            key = (state, words[1:])
            if key not in known:
                known[key] = start + 1 + len(known)
                queue.append(key)
            return words[0], known[key]

        words, to = self.codes.copy(), self.to.copy()
        for i in np.flatnonzero(self.codes >= self._several):
            words[i], to[i] = place(self.said(int(self.codes[i])), int(self.to[i]))
        extra: list[list[Row]] = [[]]
        final_cost = INF
        steps = self.closures.get(self.arrays.start, {(self.arrays.start, ()): 0.0})
        for (state, before), cost in steps.items():
            final_cost = min(final_cost, cost + float(self.arrays.finals[state]))
            for label, code, there, c in self.rows(state):
                extra[0].append((label, *place(before + self.said(code), there), cost + c))
        for state, waiting in queue:
            rows = [(label, *place(waiting + self.said(code), there), c) for label, code, there, c in self.rows(state)]
            extra.append(rows)
        finals = [final_cost, *(float(self.arrays.finals[state]) for state, _ in queue)]
        more = [row for rows in extra for row in rows]
        label, word, there, cost = zip(*more, strict=True) if more else ((), (), (), ())
        return _Graph(
            start,
            np.append(self.arrays.finals.astype(np.float64), finals),
            {number: waiting for (_, waiting), number in known.items()},
            np.append(self.first, self.first[-1] + np.cumsum([len(rows) for rows in extra])),
            np.append(self.labels, label).astype(np.int64),
            np.append(words, word).astype(np.int64),
            np.append(to, there).astype(np.int64),
            np.append(self.costs, cost),
        )

    def _flat(self) -> tuple[np.ndarray, ...]:
        """The epsilons of all states as arrays.

        Returns:
            place (N,) of a state among those that have any, else -1; of each of these the number of its steps; and of
            each step where it leads, its cost, and the code of its words.
        """
        place = np.full(self.num_states, -1, np.int64)
        place[list(self.closures)] = np.arange(len(self.closures))
        counts = np.array([len(steps) for steps in self.closures.values()], np.int64)
        flat = [(d, cost, self.code(w)) for steps in self.closures.values() for (d, w), cost in steps.items()]
        to, costs, words = zip(*flat, strict=True) if flat else ((0,), (0.0,), (0,))
        return (
            place,
            counts if len(counts) else np.zeros(1, np.int64),
            np.array(to, np.int64),
            np.array(costs, np.float64),
            np.array(words, np.int64),
        )


def _numbered(graph: _Graph) -> dict[str, torch.Tensor]:
    """States by their distance from the start, arcs sorted, the best of equal ones."""
    number = np.full(len(graph.finals), -1, np.int64)
    number[graph.start] = 0
    frontier, count = np.array([graph.start]), 1
    while len(frontier):
        found = graph.to[_ranges(graph.first, frontier)]
        found = found[number[found] < 0]
        frontier = found[np.sort(np.unique(found, return_index=True)[1])]
        number[frontier] = np.arange(count, count + len(frontier))
        count += len(frontier)
    if lost := [words for state, words in graph.waiting.items() if number[state] >= 0 and graph.finals[state] < INF]:
        raise _too_many(lost[0])
    sources = np.repeat(number, np.diff(graph.first))
    reached, ends = sources >= 0, np.flatnonzero((number >= 0) & (graph.finals < INF))
    if not reached.any() and not len(ends):
        raise DataError("the decoding graph is empty")
    source = np.append(sources[reached], number[ends])
    to = np.append(number[graph.to[reached]], np.full(len(ends), count))
    label = np.append(graph.labels[reached], np.full(len(ends), LAST))
    word = np.append(graph.words[reached], np.full(len(ends), -1))
    cost = np.append(graph.costs[reached], graph.finals[ends])
    order = np.lexsort((cost, word, to, label, source))
    rows = np.stack([source, to, label, word], axis=1)[order]
    best = np.append(True, (rows[1:] != rows[:-1]).any(axis=1))
    rows, scores = rows[best], -cost[order][best]
    arcs = np.empty((len(rows), 4), np.int32)
    arcs[:, :2], arcs[:, 2] = rows[:, :2], np.where(rows[:, 2] == LAST, -1, rows[:, 2])
    arcs[:, 3] = scores.astype(np.float32).view(np.int32)
    return {"arcs": torch.from_numpy(arcs), "aux_labels": torch.from_numpy(rows[:, 3].astype(np.int32))}


def _ranges(first: np.ndarray, states: np.ndarray) -> np.ndarray:
    """The places of all arcs of these states, one state after the other."""
    begin, counts = first[states], first[states + 1] - first[states]
    return np.repeat(begin - np.cumsum(counts) + counts, counts) + np.arange(counts.sum())


def _closures(arrays: Arrays) -> dict[int, Steps]:
    """For each state with epsilons: the states (itself included) where one may be before the next frame."""
    silent = np.flatnonzero(arrays.arcs["ilabel"] == 0)
    sources, degrees = arrays.sources[silent].tolist(), np.diff(arrays.first)
    epsilons: dict[int, list[Epsilon]] = {}
    for s, (_, word, cost, d) in zip(sources, arrays.arcs[silent].tolist(), strict=True):
        epsilons.setdefault(s, []).append(((word,) if word else (), cost, d))
    closures: dict[int, Steps] = {}
    for s in _epsilon_order(epsilons):
        # A state that only passes on by epsilons need not be stopped at.
        stop = degrees[s] > len(epsilons[s]) or arrays.finals[s] < INF
        steps: Steps = {(s, ()): 0.0} if stop else {}
        for words, cost, d in epsilons[s]:
            for (there, more), c in closures.get(d, {(d, ()): 0.0}).items():
                key = there, words + more
                steps[key] = min(steps.get(key, INF), cost + c)
        closures[s] = steps
    return closures


def _epsilon_order(epsilons: dict[int, list[Epsilon]]) -> list[int]:
    """The states that have epsilons, each after those that its epsilons lead to."""
    order: list[int] = []
    done: dict[int, bool] = {}  # False: on the path to here
    for root in epsilons:
        stack = [(root, 0)] if root not in done else []
        while stack:
            s, i = stack.pop()
            done[s] = False
            if i < len(epsilons[s]):
                stack.append((s, i + 1))
                d = epsilons[s][i][2]
                if done.get(d) is False:
                    raise DataError("the decoding graph has a cycle that takes no frames")
                if d in epsilons and d not in done:
                    stack.append((d, 0))
            else:
                done[s] = True
                order.append(s)
    return order


def _too_many(words: Words) -> DataError:
    some = ", ".join(map(str, words[:2]))
    return DataError(f"the decoding graph writes two words ({some}) on one frame, which k2 cannot hold")
