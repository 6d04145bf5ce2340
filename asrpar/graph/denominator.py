"""The HMM of all that a phone language model allows: LF-MMI's denominator (Povey et al. 2016)."""

import math
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np

from asrpar.errors import ConfigError, DataError
from asrpar.graph.utterance import PhonesToPdfs
from asrpar.lm.phones import START, PhoneLm

# A tree of three phones asks for the one that comes next, which no state of a left-to-right walk knows.
WIDEST = 2

State = TypeVar("State", bound=Hashable)
# The phones that may come next, each with its log-probability and the state behind it, and the log-probability of
# ending here.
Follow = Callable[[State], tuple[Iterable[tuple[int, float, State]], float]]


@dataclass(frozen=True)
class Hmm:
    """An HMM without epsilons: each node emits each frame that a path spends in it.

    Attributes:
        pdfs: (S,) int64, the class of each node.
        phones: (S,) int64, its phone.
        begins: (S,) bool, whether a phone's first frame is in it; a frame that stays there begins no other one.
        sources: (A,) int64, where each arc comes from.
        targets: (A,) int64, where it leads to; each pair comes once.
        log_probs: (A,) float64.
        initial: (S,) float64, log-probability of beginning in a node; minus infinity where no path does.
        final: (S,) float64, likewise of ending.
    """

    pdfs: np.ndarray
    phones: np.ndarray
    begins: np.ndarray
    sources: np.ndarray
    targets: np.ndarray
    log_probs: np.ndarray
    initial: np.ndarray
    final: np.ndarray

    @cached_property
    def fewest_frames(self) -> int:
        """The frames of the shortest path."""
        here, ends, frames = np.isfinite(self.initial), np.isfinite(self.final), 1
        reached = here.copy()
        while not (here & ends).any():
            there = np.zeros_like(here)
            there[self.targets[here[self.sources]]] = True
            here, frames = there & ~reached, frames + 1
            reached |= here
        return frames


def denominator(lm: PhoneLm, tree: PhonesToPdfs, max_nodes: int) -> Hmm:
    """Each history of the language model as the states of its last phone.

    Args:
        lm: of phones.
        tree: of width 1 or 2.
        max_nodes: most nodes that there may be.

    Raises:
        ConfigError: more nodes, or a tree that asks for the next phone.
    """
    found = expand(START, lambda s: (((p, w, to) for p, (w, to) in lm.arcs[s].items()), lm.final[s]), tree, max_nodes)
    if found is None:
        raise DataError("the phone language model allows no utterance")
    return found


def expand(start: State, follow: Follow, tree: PhonesToPdfs, max_nodes: int) -> Hmm | None:
    """The HMM of a deterministic acceptor of phones, which is explored from its start.

    Args:
        start: its first state.
        follow: what comes behind a state.
        tree: gives the states of a phone in its context and their classes.
        max_nodes: most nodes that there may be.

    Returns:
        the HMM, without nodes from which no end can be reached; None if the acceptor accepts nothing (or no phones).

    Raises:
        ConfigError: more nodes, or a tree that asks for the next phone.
    """
    if tree.width > WIDEST:
        raise ConfigError(
            f"the tree asks for the next phone (width {tree.width}), which LF-MMI's graphs do not know: give one of "
            f"width 1 or {WIDEST} (left context)"
        )
    walk = _Walk(start, follow, tree.width, max_nodes)
    return _Nodes(walk, tree, max_nodes).hmm() if walk.alive[0] else None


class _Walk:
    """All states that can be reached, with the phones that led there.

    Attributes:
        windows: of each place, the last phones; the first place is the start.
        arcs: (place, place, log-probability) of the acceptor.
        final: of each place, log-probability of ending.
        alive: whether an end can be reached from it.
    """

    def __init__(self, start: State, follow: Follow, width: int, max_nodes: int) -> None:
        begin = (start, (0,) * width)
        ids, todo = {begin: 0}, [begin]
        self.arcs: list[tuple[int, int, float]] = []
        self.final: list[float] = []
        for state, window in todo:
            here = len(self.final)
            after, end = follow(state)
            self.final.append(end)
            for phone, weight, to in after:
                place = (to, (*window, phone)[-width:])
                if place not in ids:
                    ids[place] = len(todo)
                    todo.append(place)
                self.arcs.append((here, ids[place], weight))
            if len(todo) > max_nodes:
                raise too_many(max_nodes)
        self.windows = [window for _, window in todo]
        self.alive = self._alive()

    def _alive(self) -> list[bool]:
        before: list[list[int]] = [[] for _ in self.windows]
        for source, target, _ in self.arcs:
            before[target].append(source)
        alive = [end > -math.inf for end in self.final]
        todo = [place for place, yes in enumerate(alive) if yes]
        while todo:
            for source in before[todo.pop()]:
                if not alive[source]:
                    alive[source] = True
                    todo.append(source)
        return alive


class _Nodes:
    """Nodes of the HMM while they are made."""

    def __init__(self, walk: _Walk, tree: PhonesToPdfs, max_nodes: int) -> None:
        self.walk = walk
        self.pdfs: list[int] = []
        self.phones: list[int] = []
        self.begins: list[bool] = []
        self.arcs: dict[tuple[int, int], float] = {}
        # Of each place, its first node, and the nodes that leave it, each with the log-probability of leaving.
        self.places: list[tuple[int, list[tuple[int, float]]]] = [(-1, [])]
        shapes: dict[tuple[int, ...], list[tuple[int, int, float]]] = {}
        for window, alive in zip(walk.windows[1:], walk.alive[1:], strict=True):
            if not alive:
                self.places.append((-1, []))
                continue
            if window not in shapes:
                states = tree.states(window[-1])
                shapes[window] = [(tree.pdf(window, s.first), tree.pdf(window, s.later), s.loop) for s in states]
            self.places.append(self._add(window[-1], shapes[window]))
            if len(self.pdfs) > max_nodes:
                raise too_many(max_nodes)

    def _add(self, phone: int, shape: list[tuple[int, int, float]]) -> tuple[int, list[tuple[int, float]]]:
        entry, ends = len(self.pdfs), []
        for first, later, loop in shape:
            stay, leave = math.log(loop) if loop else -math.inf, math.log1p(-loop)
            node = self._node(phone, first, not ends)
            for source, weight in ends:
                self.arcs[source, node] = weight
            ends = [(node, leave)]
            if later != first:
                node = self._node(phone, later, False)
                self.arcs[node - 1, node] = stay
                ends.append((node, leave))
            self.arcs[node, node] = stay
        return entry, ends

    def _node(self, phone: int, pdf: int, begins: bool) -> int:
        self.pdfs.append(pdf)
        self.phones.append(phone)
        self.begins.append(begins)
        return len(self.pdfs) - 1

    def hmm(self) -> Hmm | None:
        if not self.pdfs:
            return None
        initial, final = (np.full(len(self.pdfs), -math.inf) for _ in range(2))
        for source, target, weight in self.walk.arcs:
            if not self.walk.alive[target]:
                continue
            entry = self.places[target][0]
            if source == 0:
                initial[entry] = weight
            for node, leave in self.places[source][1]:
                # A phone of one node that follows itself in the same history shares the arc with its loop.
                self.arcs[node, entry] = float(np.logaddexp(self.arcs.get((node, entry), -math.inf), leave + weight))
        for (_, ends), end in zip(self.places, self.walk.final, strict=True):
            for node, leave in ends:
                final[node] = leave + end
        pairs = sorted(pair for pair, weight in self.arcs.items() if weight > -math.inf)
        return Hmm(
            np.array(self.pdfs, np.int64),
            np.array(self.phones, np.int64),
            np.array(self.begins, bool),
            *np.array(pairs, np.int64).reshape(-1, 2).T,
            np.array([self.arcs[pair] for pair in pairs]),
            initial,
            final,
        )


def too_many(max_nodes: int) -> ConfigError:
    """Why a graph is not made."""
    return ConfigError(
        f"the graph of the phone language model has more than {max_nodes} nodes: lower losses.lfmmi.lm_order, or raise "
        "losses.lfmmi.max_nodes if there are memory and time for it (each frame of each utterance visits all nodes)"
    )
