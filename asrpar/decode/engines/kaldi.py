"""The default engine: kaldi-decoder's beam search over ``HLG.fst``, in parallel processes.

This module must stay free of torch: each process imports it, and should start in a moment.
"""

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import kaldi_decoder
import kaldifst
import numpy as np

from asrpar.decode.config import DecodeConfig
from asrpar.decode.engine import (
    DEFAULT_POINT,
    MADE_BY,
    Engine,
    Hypothesis,
    SearchPoint,
    check_num_classes,
    packs,
    read_classes,
    read_words,
    to_array,
)
from asrpar.decode.lexicon import Lexicon, lexicon_of
from asrpar.decode.times import word_spans
from asrpar.errors import AsrparError, DataError
from asrpar.files.paths import check_opens, require_file
from asrpar.workers import Workers

# Enough arcs to find a graph of the wrong tokens for certain, few enough to cost a second.
ARCS_CHECKED = 1_000_000


class KaldiEngine(Engine):
    """Beam search over ``HLG.fst``; each process loads the graph once."""

    name = "kaldi"

    def __init__(
        self, config: DecodeConfig, graph: Path | None, frame_seconds: float, lang: Path | None = None, device: str = ""
    ) -> None:
        if graph is None:
            raise AsrparError("the kaldi engine needs --graph; --engine greedy decodes without one")
        self.fst = graph / "HLG.fst"
        require_file(self.fst, MADE_BY)
        self.tokens_file = graph / "tokens.txt"
        self.classes = read_classes(self.tokens_file)
        self.searcher = Searcher(
            str(self.fst),
            read_words(graph),
            len(self.classes),
            lexicon_of(lang, self.classes),
            frame_seconds,
            config.max_active,
            config.min_active,
        )
        self.files = [self.fst, graph / "words.txt", self.tokens_file]
        self.jobs = config.jobs or len(os.sched_getaffinity(0))
        # spawn: forking a process that runs torch's threads can hang.
        self._workers = Workers(self.jobs, "spawn", begin=partial(_start, self.searcher))

    def decode(
        self, utterances: Sequence[tuple[str, np.ndarray]], point: SearchPoint = DEFAULT_POINT
    ) -> list[Hypothesis]:
        """See `Engine.decode`. Raises `DataError` for a graph that cannot be used with these classes."""
        for _, log_probs in utterances[:1]:
            check_num_classes(log_probs.shape[1], self.classes, self.tokens_file)
        if self.jobs == 1 or len(utterances) < 2:
            return [self.searcher.search(utt_id, x, point) for utt_id, x in utterances]
        frames = sum(len(x) for _, x in utterances)
        # About eight tasks for each process, longest first, so that all end at nearly the same time.
        parts = list(packs(utterances, max(1, frames // (8 * self.jobs))))
        futures = [
            self._workers.submit(_run, [(utterances[i][0], to_array(utterances[i][1])) for i in part], point)
            for part in parts
        ]
        found: dict[int, Hypothesis] = {}
        for part, future in zip(parts, futures, strict=True):
            found.update(zip(part, self._workers.result(future, "decoding"), strict=True))
        return [found[i] for i in range(len(utterances))]

    def close(self) -> None:
        """Stop the processes."""
        self._workers.close()


class Searcher:
    """Searches one utterance at a time; picklable as long as it has not searched."""

    def __init__(
        self,
        fst: str,
        words: list[str],
        num_classes: int,
        lexicon: Lexicon | None,
        frame_seconds: float,
        max_active: int,
        min_active: int,
    ) -> None:
        self.fst = fst
        self.words = words
        self.num_classes = num_classes
        self.lexicon = lexicon
        self.frame_seconds = frame_seconds
        self.max_active = max_active
        self.min_active = min_active
        self._graphs: dict[float, Any] = {}

    def search(self, utt_id: str, log_probs: np.ndarray, point: SearchPoint) -> Hypothesis:
        """The best path of one utterance; ``log_probs`` is (T, C)."""
        x = to_array(log_probs, point)
        options = kaldi_decoder.FasterDecoderOptions(
            beam=point.beam / point.lm_scale, max_active=self.max_active, min_active=self.min_active
        )
        decoder = kaldi_decoder.FasterDecoder(self._graph(point.word_penalty), options)
        decoder.decode(kaldi_decoder.DecodableCtc(x))
        complete = decoder.reached_final()
        found, path = decoder.get_best_path(True)
        if not found:
            return Hypothesis(utt_id, complete=False)
        *_, weight = kaldifst.get_linear_symbol_sequence(path)
        alignment, word_ids, emitted = _read_path(path)
        words = [self.words[w] for w in word_ids]
        spans = word_spans(alignment, words, emitted, self.lexicon)
        return Hypothesis(
            utt_id,
            words,
            [start * self.frame_seconds for start, _ in spans],
            [end * self.frame_seconds for _, end in spans],
            -(weight.value1 + weight.value2) * point.lm_scale,
            complete,
        )

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
            for w in range(1, len(self.words)):
                penalty.add_arc(0, kaldifst.StdArc(w, w, word_penalty, 0))
            self._graphs[word_penalty] = kaldifst.compose(self._graphs[0.0], penalty)
        return self._graphs[word_penalty]

    def _check_labels(self, graph: Any) -> None:
        # kaldi-decoder reads beyond the log-probabilities for a label that is no class.
        seen = 0
        for state in kaldifst.StateIterator(graph):
            for arc in kaldifst.ArcIterator(graph, state):
                if arc.ilabel > self.num_classes or arc.olabel >= len(self.words):
                    raise DataError(
                        f"{self.fst} has label {arc.ilabel}:{arc.olabel}, beyond the {self.num_classes} tokens or "
                        f"{len(self.words)} words beside it: run asrpar make-graph (stage 5) again"
                    )
                seen += 1
            if seen > ARCS_CHECKED:
                return


def _read_path(path: Any) -> tuple[list[int], list[int], list[int]]:
    """Classes per frame, word ids, and the frame of each word's label, of a linear lattice."""
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
    return alignment, words, emitted


_searcher: Searcher | None = None


def _start(searcher: Searcher) -> None:
    global _searcher
    _searcher = searcher


def _run(utterances: list[tuple[str, np.ndarray]], point: SearchPoint) -> list[Hypothesis]:
    # The graph is read in here, not in _start, so that its errors reach the parent as they are.
    assert _searcher is not None
    return [_searcher.search(utt_id, x, point) for utt_id, x in utterances]
