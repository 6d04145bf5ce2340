"""kaldi-decoder's beam search, in parallel processes; the default.

This module must stay free of torch: each process imports it, and should start in a moment.
"""

import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import kaldi_decoder
import kaldifst
import numpy as np

from asrpar.decode.engine import BestPath, Pruning, Search, SearchEngine, Symbols, packs
from asrpar.decode.scales import Scaled
from asrpar.errors import DataError
from asrpar.files.paths import check_opens
from asrpar.graph.folder import graph_file
from asrpar.rules import not_negative
from asrpar.workers import Workers

# Enough arcs to find a graph of the wrong tokens for certain, few enough to cost a second.
ARCS_CHECKED = 1_000_000


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
        if self.jobs == 1 or len(utterances) < 2:
            return [self._searcher.best(utt_id, x, search) for utt_id, x in utterances]
        # About eight tasks for each process, longest first, so that all end at nearly the same time.
        tasks = list(packs(utterances.lens, max(1, sum(utterances.lens) // (8 * self.jobs))))
        futures = [self._workers.submit(_run, [utterances[i] for i in task], search) for task in tasks]
        found: dict[int, BestPath] = {}
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

    def _graph(self, word_penalty: float) -> Any:
        if 0.0 not in self._graphs:
            graph = kaldifst.StdVectorFst.read(self.fst)
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
        # kaldi-decoder reads beyond the log-probabilities for a label that is no class.
        seen = 0
        for state in kaldifst.StateIterator(graph):
            for arc in kaldifst.ArcIterator(graph, state):
                if arc.ilabel > self.num_classes or arc.olabel >= self.num_words:
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


def _run(utterances: list[tuple[str, np.ndarray]], search: Search) -> list[BestPath]:
    # The graph is read in here, not in _start, so that its errors reach the parent as they are.
    assert _searcher is not None
    return [_searcher.best(utt_id, x, search) for utt_id, x in utterances]
