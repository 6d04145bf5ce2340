"""The HMM of one utterance: all pronunciations of its words, with optional silence before, between and behind them."""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from asrpar.errors import DataError
from asrpar.hmm.search import ZERO, Net
from asrpar.hmm.topologies.contract import State
from asrpar.hmm.tree import Tree
from asrpar.lang.lang import Lang

START = -1  # stands for the beginning of the utterance among the occurrences


class PhonesToPdfs(Protocol):
    """What makes HMMs of phones: an `asrpar.hmm.tree.Tree`."""

    width: int

    def states(self, phone: int) -> Sequence[State]:
        """The states of a phone's HMM, from left to right."""

    def pdf(self, window: tuple[int, ...], pdf_class: int) -> int:
        """The class of a phone in its context; 0 in the window is the utterance's begin or end."""


@dataclass
class PhoneGraph:
    """Which phones may follow each other in an utterance: one node for each occurrence, in topological order.

    Attributes:
        phones: (N,) the phone of each occurrence.
        words: (N,) number of the word in the utterance that it belongs to; -1 for silence.
        arcs: (source, target, log-probability) between occurrences.
        initial: log-probability of beginning with an occurrence.
        final: likewise of ending.
        empty: log-probability of no phone at all, which no frame can have.
    """

    phones: list[int] = field(default_factory=list)
    words: list[int] = field(default_factory=list)
    arcs: list[tuple[int, int, float]] = field(default_factory=list)
    initial: dict[int, float] = field(default_factory=dict)
    final: dict[int, float] = field(default_factory=dict)

    def add(self, phone: int, word: int, sources: Sequence[tuple[int, float]]) -> int:
        """A new occurrence behind ``sources``, pairs of occurrence (or `START`) and log-probability; its number."""
        new = len(self.phones)
        self.phones.append(phone)
        self.words.append(word)
        for source, weight in sources:
            if source == START:
                self.initial[new] = weight
            else:
                self.arcs.append((source, new, weight))
        return new


def pronunciations(lang: Lang, word: str) -> list[tuple[tuple[int, ...], float]]:
    """The pronunciations of a word as unit ids, each with its log-probability; none if nothing maps the word."""
    if word in lang.lexicon:
        entries = lang.lexicon.by_word[word]
        return [(tuple(map(lang.token_id, e.tokens)), math.log(e.prob)) for e in entries]
    return [(tuple(ids), 0.0) for ids in lang.encode_variants(word)]


def phone_graph(
    words: Sequence[Sequence[tuple[tuple[int, ...], float]]], silence: int | None, probability: float = 0.5
) -> PhoneGraph:
    """The phones of a word sequence.

    Args:
        words: of each word its `pronunciations`, at least one; equal ones count once, as the likeliest.
        silence: the phone of silence; None for none.
        probability: of silence in each place where it may be.
    """
    graph = PhoneGraph()
    take, leave = (math.log(probability), math.log1p(-probability)) if silence is not None else (0.0, 0.0)

    def pause(ends: list[tuple[int, float]]) -> list[tuple[int, float]]:
        """What the next phone may follow: the ends, or a silence behind them."""
        skipped = [(at, weight + leave) for at, weight in ends]
        if silence is None:
            return skipped
        return [*skipped, (graph.add(silence, -1, [(at, weight + take) for at, weight in ends]), 0.0)]

    ends = pause([(START, 0.0)])
    for number, variants in enumerate(words):
        likeliest: dict[tuple[int, ...], float] = {}
        for phones, weight in variants:
            likeliest[phones] = max(weight, likeliest.get(phones, weight))
        lasts = []
        for phones, weight in likeliest.items():
            before = [(at, w + weight) for at, w in ends]
            for phone in phones:
                before = [(graph.add(phone, number, before), 0.0)]
            lasts += before
        ends = pause(lasts)
    graph.final = {at: weight for at, weight in ends if at != START}
    return graph


@dataclass(frozen=True)
class UtteranceHmm:
    """An utterance's net, and what its nodes stand for.

    Attributes:
        net: of states.
        occurrence: (S,) the occurrence in the phone graph of each node.
        state: (S,) the state of the phone's HMM.
        phones: `PhoneGraph.phones`, (N,).
        words: `PhoneGraph.words`, (N,).
    """

    net: Net
    occurrence: np.ndarray
    state: np.ndarray
    phones: np.ndarray
    words: np.ndarray


def utterance_hmm(graph: PhoneGraph, tree: PhonesToPdfs) -> UtteranceHmm:
    """The HMM of a phone graph: a copy of each occurrence for each context in which it may stand.

    Transition probabilities are those of ``tree.states``. A state whose first frame has its own class is two nodes.
    """
    count = len(graph.phones)
    left: list[list[int]] = [[] for _ in range(count)]
    right: list[list[int]] = [[] for _ in range(count)]
    for source, target, _ in graph.arcs:
        left[target].append(graph.phones[source])
        right[source].append(graph.phones[target])
    for at in graph.initial:
        left[at].append(0)
    for at in graph.final:
        right[at].append(0)
    builder = _Builder(tree)
    for at, phone in enumerate(graph.phones):
        lefts = sorted(set(left[at])) if tree.width > 1 else [None]
        rights = sorted(set(right[at])) if tree.width > 2 else [None]
        for before in lefts:
            for behind in rights:
                builder.add(at, phone, before, behind)
    for source, target, weight in graph.arcs:
        before, behind = graph.phones[source], graph.phones[target]
        builder.join(source, target, before, behind, weight)
    builder.close(graph)
    return builder.hmm(graph)


class UtteranceHmms:
    """HMMs of transcripts.

    Args:
        lang: its pronunciations.
        tree: its phones are the units of ``lang`` and silence.
        silence: probability of silence in each place where it may be; None for that of ``lang``.

    Attributes:
        pronunciations: of a word, see the function of that name; each looked up once.
    """

    def __init__(self, lang: Lang, tree: Tree, silence: float | None = None) -> None:
        self.lang, self.tree = lang, tree
        self._silence = lang.config.optional_silence.probability if silence is None else silence
        self.pronunciations = functools.cache(lambda word: pronunciations(lang, word))
        self._pdf = functools.cache(tree.pdf)

    def graph(self, text: str) -> PhoneGraph:
        """The phones of a transcript.

        Raises:
            DataError: a word has no pronunciation.
        """
        words = self.lang.split(text)
        if missing := [word for word in words if not self.pronunciations(word)]:
            raise DataError(f"words without pronunciation: {', '.join(dict.fromkeys(missing))}")
        return phone_graph([self.pronunciations(w) for w in words], self.tree.phones.silence, self._silence)

    def of(self, text: str) -> UtteranceHmm:
        """The HMM of a transcript.

        Raises:
            DataError: a word has no pronunciation.
        """
        return utterance_hmm(self.graph(text), self)

    def canonical(self, text: str, silence: bool = True) -> list[int]:
        """The phones of the words' first pronunciations, with silence before and behind them if ``silence``."""
        spoken = [phone for word in self.lang.split(text) for phone in self.pronunciations(word)[0][0]]
        pause = self.tree.phones.silence
        if not spoken:
            return [pause]
        return [pause, *spoken, pause] if silence else spoken

    @property
    def width(self) -> int:
        """That of the tree's windows."""
        return self.tree.width

    def states(self, phone: int) -> Sequence[State]:
        """The tree's."""
        return self.tree.states(phone)

    def pdf(self, window: tuple[int, ...], pdf_class: int) -> int:
        """The tree's, each looked up once."""
        return self._pdf(window, pdf_class)


class _Builder:
    """Nodes and arcs of an utterance's net while they are made."""

    def __init__(self, tree: PhonesToPdfs) -> None:
        self.tree = tree
        self.pdfs: list[int] = []
        self.occurrence: list[int] = []
        self.state: list[int] = []
        self.arcs: list[tuple[int, int, float]] = []
        self.initial: dict[int, float] = {}
        self.final: dict[int, float] = {}
        # By occurrence and context: the nodes that begin and end it, these with the log-probability of leaving.
        self.copies: dict[int, dict[tuple[int | None, int | None], tuple[int, list[tuple[int, float]]]]] = {}

    def add(self, at: int, phone: int, before: int | None, behind: int | None) -> None:
        """The states of an occurrence in one context."""
        window = tuple(p for p in (before, phone, behind) if p is not None)
        entry, ends = None, []
        for number, state in enumerate(self.tree.states(phone)):
            first = self._node(at, number, self.tree.pdf(window, state.first))
            self.arcs += [(source, first, weight) for source, weight in ends]
            stay, leave = _log(state.loop), _log(1.0 - state.loop)
            if state.later == state.first:
                later = first
                ends = [(first, leave)]
            else:
                later = self._node(at, number, self.tree.pdf(window, state.later))
                self.arcs.append((first, later, stay))
                ends = [(first, leave), (later, leave)]
            self.arcs.append((later, later, stay))
            entry = first if entry is None else entry
        self.copies.setdefault(at, {})[before, behind] = (entry, ends)

    def join(self, source: int, target: int, before: int, behind: int, weight: float) -> None:
        """Let ``target`` follow ``source``, in the copies whose contexts say so."""
        for (_, after), (_, ends) in self.copies[source].items():
            if after not in (None, behind):
                continue
            for (ahead, _), (entry, _) in self.copies[target].items():
                if ahead in (None, before):
                    self.arcs += [(node, entry, leave + weight) for node, leave in ends]

    def close(self, graph: PhoneGraph) -> None:
        """Where paths begin and end."""
        for at, weight in graph.initial.items():
            for (ahead, _), (entry, _) in self.copies[at].items():
                if ahead in (None, 0):
                    self.initial[entry] = weight
        for at, weight in graph.final.items():
            for (_, after), (_, ends) in self.copies[at].items():
                if after in (None, 0):
                    self.final |= {node: leave + weight for node, leave in ends}

    def hmm(self, graph: PhoneGraph) -> UtteranceHmm:
        """What has been made."""
        net = Net.of_arcs(self.pdfs, self.arcs, self.initial, self.final)
        return UtteranceHmm(
            net, np.array(self.occurrence), np.array(self.state), np.array(graph.phones), np.array(graph.words)
        )

    def _node(self, at: int, state: int, pdf: int) -> int:
        self.pdfs.append(pdf)
        self.occurrence.append(at)
        self.state.append(state)
        return len(self.pdfs) - 1


def _log(probability: float) -> float:
    return math.log(probability) if probability > 0 else ZERO
