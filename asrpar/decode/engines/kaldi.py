"""kaldi-decoder's beam search, in parallel processes; the default.

This module must stay free of torch: each process imports it, and should start in a moment.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import kaldi_decoder
import kaldifst
import numpy as np

from asrpar.decode.engine import BestPath, Pruning, Search, SearchEngine, Symbols, packs
from asrpar.decode.lattices.lattice import Lattice
from asrpar.decode.scales import Scaled
from asrpar.errors import DataError
from asrpar.files.paths import check_opens
from asrpar.graph.arrays import Arrays
from asrpar.graph.folder import graph_file
from asrpar.rules import not_negative
from asrpar.workers import Workers

# Enough arcs to find a graph of the wrong tokens for certain, few enough to cost a second.
ARCS_CHECKED = 1_000_000
# States of a lattice for each frame: one of more is searched for again with half the lattice beam, and so on.
MOST_STATES = 1000
LEAST_BEAM = 0.01
# Frames after which a lattice is pruned. The library's 25 gives the same lattice in 1.6 times the time.
PRUNE_INTERVAL = 100


@dataclass
class Settings(Pruning):
    """Settings of kaldi-decoder's search.

    Attributes:
        jobs: processes; 0: as many as there are cores.
    """

    jobs: int = 0

    def validate(self) -> None:
        super().validate()
        not_negative(self, "jobs")


class Engine(SearchEngine):
    """Beam search over OpenFst's graph; each process loads the graph once."""

    gives_lattices = True

    def __init__(self, settings: Settings, symbols: Symbols, graph: Path, device: str) -> None:
        self.fst = graph_file(graph, "fst")
        self.files = [self.fst]
        self.jobs = settings.jobs or len(os.sched_getaffinity(0))
        self._searcher = Searcher(
            str(self.fst), len(symbols.words), len(symbols.classes), settings.max_active, settings.min_active
        )
        # spawn: forking a process that runs torch's threads can hang.
        self._workers = Workers(self.jobs, "spawn", begin=partial(_start, self._searcher))

    def search(self, utterances: Scaled, search: Search) -> list[BestPath]:
        return self._each(utterances, partial(_best, search=search))

    def lattices(self, utterances: Scaled, search: Search, then: Callable[[Lattice], Any]) -> list[Any]:
        return self._each(utterances, partial(_lattice, search=search, then=then))

    def _each(self, utterances: Scaled, work: "Work") -> list[Any]:
        if self.jobs == 1 or len(utterances) < 2:
            return [work(self._searcher, utt_id, x) for utt_id, x in utterances]
        # About eight tasks for each process, longest first, so that all end at nearly the same time.
        tasks = list(packs(utterances.lens, max(1, sum(utterances.lens) // (8 * self.jobs))))
        futures = [self._workers.submit(_run, work, [utterances[i] for i in task]) for task in tasks]
        found: dict[int, Any] = {}
        for task, future in zip(tasks, futures, strict=True):
            found.update(zip(task, self._workers.result(future, "decoding"), strict=True))
        return [found[i] for i in range(len(utterances))]

    def close(self) -> None:
        self._workers.close()


class Searcher:
    """Searches one utterance at a time; picklable as long as it has not searched."""

    def __init__(self, fst: str, num_words: int, num_classes: int, max_active: int, min_active: int) -> None:
        self.fst = fst
        self.num_words = num_words
        self.num_classes = num_classes
        self.max_active = max_active
        self.min_active = min_active
        self._graphs: dict[float, Any] = {}

    def best(self, utt_id: str, x: np.ndarray, search: Search) -> BestPath:
        """The best path of one utterance; ``x`` is (T, C), scaled."""
        options = kaldi_decoder.FasterDecoderOptions(
            beam=search.beam / search.scale, max_active=self.max_active, min_active=self.min_active
        )
        decoder = kaldi_decoder.FasterDecoder(self._graph(search.word_penalty), options)
        # "Ctc" means that the label of class k is k + 1.
        decoder.decode(kaldi_decoder.DecodableCtc(x))
        complete = decoder.reached_final()
        found, path = decoder.get_best_path(True)
        if not found:
            return BestPath.none(utt_id)
        *_, weight = kaldifst.get_linear_symbol_sequence(path)
        return BestPath(utt_id, *_read_path(path), -(weight.value1 + weight.value2), complete)

    def lattice(self, utt_id: str, x: np.ndarray, search: Search) -> Lattice:
        """The lattice of one utterance; see `SearchEngine.lattices`."""
        if not len(x):  # of which the library makes no lattice
            path = self.best(utt_id, x, search)
            empty = [np.zeros(0)] * 6
            return Lattice.make(utt_id, 0, empty, np.array([-path.score])) if path.complete else Lattice.none(utt_id)
        beam, lattice_beam = search.beam / search.scale, min(search.lattice_beam, search.beam) / search.scale
        while True:
            options = kaldi_decoder.LatticeSimpleDecoderConfig(
                beam=beam, lattice_beam=lattice_beam, prune_interval=PRUNE_INTERVAL, determinize_lattice=False
            )
            decoder = kaldi_decoder.LatticeSimpleDecoder(self._graph(search.word_penalty), options)
            complete = decoder.decode(kaldi_decoder.DecodableCtc(x))
            # Where no final state was reached, all are taken for final.
            found, raw = decoder.get_raw_lattice(True)
            if not found:
                return Lattice.none(utt_id, len(x))
            if raw.num_states <= MOST_STATES * (len(x) + 1) or lattice_beam < LEAST_BEAM:
                break
            lattice_beam /= 2
        arrays = Arrays.of(raw)
        arcs = arrays.arcs
        graph = arcs["graph"] - search.word_penalty * (arcs["olabel"] > 0)
        columns = [arrays.sources, arcs["nextstate"], arcs["ilabel"] - 1, arcs["olabel"], graph, arcs["acoustic"]]
        return Lattice.make(utt_id, len(x), columns, arrays.finals, arrays.start, complete)

    def _graph(self, word_penalty: float) -> Any:
        if 0.0 not in self._graphs:
            try:
                graph = kaldifst.StdVectorFst.read(self.fst)
            except (ValueError, RuntimeError, MemoryError):  # of a size that is none
                graph = None
            if graph is None or graph.start < 0:
                check_opens(self.fst)
                raise DataError(f"{self.fst} is no usable OpenFst graph: run asrpar make-graph (stage 5) again")
            self._check_labels(graph)
            self._graphs[0.0] = graph
        if word_penalty not in self._graphs:
            # One state that maps each word to itself at the penalty's cost.
            penalty = kaldifst.StdVectorFst()
            penalty.start = penalty.add_state()
            penalty.set_final(0, 0.0)
            for w in range(1, self.num_words):
                penalty.add_arc(0, kaldifst.StdArc(w, w, word_penalty, 0))
            self._graphs[word_penalty] = kaldifst.compose(self._graphs[0.0], penalty)
        return self._graphs[word_penalty]

    def _check_labels(self, graph: Any) -> None:
        # kaldi-decoder reads beyond the log-probabilities for a label that is no class, and beyond the states.
        seen, states = 0, graph.num_states
        for state in kaldifst.StateIterator(graph):
            for arc in kaldifst.ArcIterator(graph, state):
                if not 0 <= arc.nextstate < states or arc.weight.value != arc.weight.value:
                    raise DataError(f"{self.fst} is damaged: run asrpar make-graph (stage 5) again")
                if not (0 <= arc.ilabel <= self.num_classes and 0 <= arc.olabel < self.num_words):
                    raise DataError(
                        f"{self.fst} has label {arc.ilabel}:{arc.olabel}, beyond the {self.num_classes} tokens or "
                        f"{self.num_words} words beside it: run asrpar make-graph (stage 5) again"
                    )
                seen += 1
            if seen > ARCS_CHECKED:
                return


def _read_path(path: Any) -> tuple[np.ndarray, list[int], list[int]]:
    """Class of each frame, word ids, and the frame of each word's label, of a linear lattice."""
    # kaldifst has no arc iterator for lattices in its public names; its text form has the same content.
    arcs: dict[str, list[str]] = {}
    for line in path.to_str().splitlines():
        fields = line.split()
        if len(fields) >= 4:
            arcs[fields[0]] = fields
    alignment: list[int] = []
    words: list[int] = []
    emitted: list[int] = []
    state = str(path.start)
    while state in arcs:
        _, state, ilabel, olabel = arcs[state][:4]
        if olabel != "0":
            words.append(int(olabel))
            emitted.append(len(alignment))
        if ilabel != "0":
            alignment.append(int(ilabel) - 1)
    return np.array(alignment, dtype=np.int32), words, emitted


_searcher: Searcher | None = None


def _start(searcher: Searcher) -> None:
    global _searcher
    _searcher = searcher


# What is done with an utterance: its id and its scaled log-probabilities (T, C).
Work = Callable[[Searcher, str, np.ndarray], Any]


def _run(work: Work, utterances: list[tuple[str, np.ndarray]]) -> list[Any]:
    # The graph is read in here, not in _start, so that its errors reach the parent as they are.
    assert _searcher is not None
    return [work(_searcher, utt_id, x) for utt_id, x in utterances]


def _best(searcher: Searcher, utt_id: str, x: np.ndarray, search: Search) -> BestPath:
    return searcher.best(utt_id, x, search)


def _lattice(searcher: Searcher, utt_id: str, x: np.ndarray, search: Search, then: Callable[[Lattice], Any]) -> Any:
    return then(searcher.lattice(utt_id, x, search))
