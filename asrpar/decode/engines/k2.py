"""The k2 engine: batches over ``HLG.pt`` on CPU or GPU, 1-best by shortest path."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

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
from asrpar.decode.lexicon import lexicon_of
from asrpar.decode.times import word_spans
from asrpar.errors import AsrparError, DataError
from asrpar.files.paths import check_opens, require_file


class K2Engine(Engine):
    """Pruned intersection of the graph with a batch of log-probabilities."""

    name = "k2"

    def __init__(
        self,
        config: DecodeConfig,
        graph: Path | None,
        frame_seconds: float,
        lang: Path | None = None,
        device: str = "cpu",
    ) -> None:
        if graph is None:
            raise AsrparError("the k2 engine needs --graph; --engine greedy decodes without one")
        self.k2 = import_k2()
        path = graph / "HLG.pt"
        require_file(path, MADE_BY)
        self.config = config
        self.frame_seconds = frame_seconds
        self.device = device
        self.tokens_file = graph / "tokens.txt"
        self.classes = read_classes(self.tokens_file)
        self.words = read_words(graph)
        self.files = [path, graph / "words.txt", self.tokens_file]
        self.lexicon = lexicon_of(lang, self.classes)
        self.graph = self._load(path)
        self._scores = self.graph.scores.clone()
        self._words_on_arc = (self.graph.aux_labels > 0).float()

    def decode(
        self, utterances: Sequence[tuple[str, np.ndarray]], point: SearchPoint = DEFAULT_POINT
    ) -> list[Hypothesis]:
        """See `Engine.decode`."""
        for _, log_probs in utterances[:1]:
            check_num_classes(log_probs.shape[1], self.classes, self.tokens_file)
        self.graph.scores = self._scores - point.word_penalty * self._words_on_arc
        found = {i: Hypothesis(u, complete=False) for i, (u, x) in enumerate(utterances) if len(x) == 0}
        spoken = [(i, u) for i, u in enumerate(utterances) if len(u[1])]
        for pack in packs([u for _, u in spoken], self.config.k2_batch_frames):
            where = [spoken[i][0] for i in pack]
            arrays = [to_array(utterances[i][1], point) for i in where]
            ids = [utterances[i][0] for i in where]
            hypotheses = self._search(ids, arrays, point, allow_partial=False)
            # A path that ends in no final state is accepted only where there is no other.
            lost = [n for n, h in enumerate(hypotheses) if h is None]
            if lost:
                partial = self._search([ids[n] for n in lost], [arrays[n] for n in lost], point, allow_partial=True)
                for n, hypothesis in zip(lost, partial, strict=True):
                    hypotheses[n] = hypothesis or Hypothesis(ids[n])
                    hypotheses[n].complete = False
            found.update(zip(where, hypotheses, strict=True))
        return [found[i] for i in range(len(utterances))]

    def _load(self, path: Path) -> Any:
        try:
            values = torch.load(path, map_location="cpu", weights_only=True)
            graph = self.k2.Fsa.from_dict(values)
            labels = int(graph.labels.max())
            words = int(graph.aux_labels.max())
        except Exception as e:
            check_opens(path)
            raise DataError(
                f"{path} is no usable k2 graph ({type(e).__name__}): run asrpar make-graph (stage 5) again"
            ) from e
        if labels >= len(self.classes) or words >= len(self.words):
            raise DataError(
                f"{path} has label {labels}:{words}, beyond the {len(self.classes)} tokens or "
                f"{len(self.words)} words beside it: run asrpar make-graph (stage 5) again"
            )
        # intersect_dense_pruned wants a graph without trace of autograd, sorted by label.
        graph.requires_grad_(False)
        return self.k2.arc_sort(graph).to(self.device)

    def _search(
        self, ids: list[str], arrays: list[np.ndarray], point: SearchPoint, allow_partial: bool
    ) -> list[Hypothesis | None]:
        lens = [len(x) for x in arrays]
        log_probs = torch.zeros(len(arrays), max(lens), arrays[0].shape[1])
        for row, x in zip(log_probs, arrays, strict=True):
            row[: len(x)] = torch.from_numpy(x)
        segments = torch.tensor([[i, 0, n] for i, n in enumerate(lens)], dtype=torch.int32)
        dense = self.k2.DenseFsaVec(log_probs.to(self.device), segments)
        lattice = self.k2.intersect_dense_pruned(
            self.graph,
            dense,
            search_beam=point.beam / point.lm_scale,
            output_beam=min(self.config.k2_output_beam, point.beam) / point.lm_scale,
            min_active_states=self.config.min_active,
            max_active_states=self.config.max_active,
            allow_partial=allow_partial,
        )
        best = self.k2.shortest_path(lattice, use_double_scores=True)
        splits = best.arcs.shape().row_splits(2)[best.arcs.shape().row_splits(1).long()].tolist()
        labels, words, scores = best.labels.tolist(), best.aux_labels.tolist(), best.scores.double().tolist()
        answers: list[Hypothesis | None] = []
        for n, utt_id in enumerate(ids):
            arcs = range(splits[n], splits[n + 1])
            if not arcs:
                answers.append(None)
                continue
            # Each arc but the last, which has label -1, is one frame.
            alignment = [labels[a] for a in arcs if labels[a] >= 0]
            pairs = [(t, words[a]) for t, a in enumerate(arcs) if words[a] > 0]
            spelled = [self.words[w] for _, w in pairs]
            spans = word_spans(alignment, spelled, [t for t, _ in pairs], self.lexicon)
            answers.append(
                Hypothesis(
                    utt_id,
                    spelled,
                    [start * self.frame_seconds for start, _ in spans],
                    [end * self.frame_seconds for _, end in spans],
                    sum(scores[a] for a in arcs) * point.lm_scale,
                )
            )
        return answers


def import_k2() -> Any:
    """The k2 module.

    Raises:
        AsrparError: it is missing or broken; the message says what to do.
    """
    try:
        import k2
    except (ImportError, OSError) as e:
        raise AsrparError(
            f"k2 cannot be imported ({' '.join(str(e).split())}): install it with tools/install_k2.sh, "
            "or decode with --engine kaldi"
        ) from e
    return k2
