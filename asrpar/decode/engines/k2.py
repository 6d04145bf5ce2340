"""k2's search of batches, on CPU or GPU: its lattices, or their best paths."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from asrpar.decode.engine import BestPath, Pruning, Search, SearchEngine, Symbols, packs
from asrpar.decode.lattices.lattice import Lattice
from asrpar.decode.scales import Scaled
from asrpar.errors import AsrparError, DataError
from asrpar.files.paths import check_opens
from asrpar.graph.folder import graph_file
from asrpar.rules import positive


@dataclass
class Settings(Pruning):
    """Settings of k2's search.

    Attributes:
        output_beam: lattice beam, counted as ``beams`` are.
        batch_frames: output frames in a batch.
    """

    output_beam: float = 6.0
    batch_frames: int = 10000

    def validate(self) -> None:
        super().validate()
        positive(self, "output_beam", "batch_frames")


class Engine(SearchEngine):
    """Pruned intersection of k2's graph with a batch of log-probabilities."""

    gives_lattices = True

    def __init__(self, settings: Settings, symbols: Symbols, graph: Path, device: str) -> None:
        self.k2 = import_k2()
        path = graph_file(graph, "pt")
        self.files = [path]
        self.settings = settings
        self.device = device
        self.graph = self._load(path, symbols)
        self._scores = self.graph.scores.clone()
        self._words_on_arc = (self.graph.aux_labels > 0).float()

    def search(self, utterances: Scaled, search: Search) -> list[BestPath]:
        beam = min(self.settings.output_beam, search.beam)
        return [
            BestPath.none(utt_id) if path is None else replace(path, complete=complete)
            for utt_id, path, complete in self._each(utterances, search, beam, self._paths)
        ]

    def lattices(self, utterances: Scaled, search: Search, then: Callable[[Lattice], Any]) -> list[Any]:
        beam = min(search.lattice_beam, search.beam)
        made = partial(self._lattices, word_penalty=search.word_penalty, then=then)
        found = self._each(utterances, search, beam, made)
        return [then(Lattice.none(utt_id)) if one is None else one for utt_id, one, _ in found]

    def _each(self, utterances: Scaled, search: Search, beam: float, made: "Made") -> list[tuple[str, Any, bool]]:
        """What ``made`` makes of the lattices of batches: id, that, and whether it ends in a final state."""
        self.graph.scores = self._scores - search.word_penalty * self._words_on_arc
        found = {i: (utterances.ids[i], None, False) for i, frames in enumerate(utterances.lens) if not frames}
        spoken = [i for i, frames in enumerate(utterances.lens) if frames]
        for pack in packs([utterances.lens[i] for i in spoken], self.settings.batch_frames):
            where = [spoken[i] for i in pack]
            batch = [utterances[i] for i in where]
            answers = made(batch, self._intersect(batch, search, beam, allow_partial=False), True)
            # A path that ends in no final state is accepted only where there is no other.
            lost = [n for n, answer in enumerate(answers) if answer is None]
            whole = [answer is not None for answer in answers]
            if lost:
                left = [batch[n] for n in lost]
                partial_ = made(left, self._intersect(left, search, beam, allow_partial=True), False)
                for n, answer in zip(lost, partial_, strict=True):
                    answers[n] = answer
            ids = [utt_id for utt_id, _ in batch]
            found.update(zip(where, zip(ids, answers, whole, strict=True), strict=True))
        return [found[i] for i in range(len(utterances))]

    def _load(self, path: Path, symbols: Symbols) -> Any:
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
        if labels >= len(symbols.classes) or words >= len(symbols.words):
            raise DataError(
                f"{path} has label {labels}:{words}, beyond the {len(symbols.classes)} tokens or "
                f"{len(symbols.words)} words beside it: run asrpar make-graph (stage 5) again"
            )
        # intersect_dense_pruned wants a graph without trace of autograd, sorted by label.
        graph.requires_grad_(False)
        return self.k2.arc_sort(graph).to(self.device)

    def _intersect(self, batch: list[tuple[str, np.ndarray]], search: Search, beam: float, allow_partial: bool) -> Any:
        lens = [len(x) for _, x in batch]
        log_probs = torch.zeros(len(batch), max(lens), batch[0][1].shape[1])
        for row, (_, x) in zip(log_probs, batch, strict=True):
            row[: len(x)] = torch.from_numpy(x)
        segments = torch.tensor([[i, 0, n] for i, n in enumerate(lens)], dtype=torch.int32)
        dense = self.k2.DenseFsaVec(log_probs.to(self.device), segments)
        return self.k2.intersect_dense_pruned(
            self.graph,
            dense,
            search_beam=search.beam / search.scale,
            output_beam=beam / search.scale,
            min_active_states=self.settings.min_active,
            max_active_states=self.settings.max_active,
            allow_partial=allow_partial,
        )

    def _paths(self, batch: list[tuple[str, np.ndarray]], lattice: Any, complete: bool) -> list[BestPath | None]:
        best = self.k2.shortest_path(lattice, use_double_scores=True)
        splits = _arcs_of(best)
        labels, words, scores = best.labels.tolist(), best.aux_labels.tolist(), best.scores.double().tolist()
        answers: list[BestPath | None] = []
        for n, (utt_id, _) in enumerate(batch):
            arcs = range(splits[n], splits[n + 1])
            if not arcs:
                answers.append(None)
                continue
            # Each arc but the last, which has label -1, is one frame.
            classes = np.array([labels[a] for a in arcs if labels[a] >= 0], dtype=np.int32)
            pairs = [(t, words[a]) for t, a in enumerate(arcs) if words[a] > 0]
            score = sum(scores[a] for a in arcs)
            answers.append(BestPath(utt_id, classes, [w for _, w in pairs], [t for t, _ in pairs], score))
        return answers

    def _lattices(
        self,
        batch: list[tuple[str, np.ndarray]],
        lattice: Any,
        complete: bool,
        word_penalty: float,
        then: Callable[[Lattice], Any],
    ) -> list[Any]:
        splits = _arcs_of(lattice)
        arcs = lattice.arcs.values()[:, :3].cpu().numpy()
        words, scores = lattice.aux_labels.cpu().numpy(), lattice.scores.double().cpu().numpy()
        answers: list[Any] = []
        for n, (utt_id, x) in enumerate(batch):
            here = slice(splits[n], splits[n + 1])
            if here.start == here.stop:
                answers.append(None)
                continue
            source, dest, label = arcs[here].T
            word, cost = np.maximum(words[here], 0), -scores[here]
            # Arcs of label -1 lead to the one final state: what they cost is the cost of ending.
            last = label < 0
            final = np.full(int(max(source.max(), dest.max())) + 1, np.inf)
            np.minimum.at(final, source[last], cost[last])
            columns = [column[~last] for column in (source, dest, label, word, cost)]
            made = Lattice.make(
                utt_id, len(x), [*columns, np.zeros(len(columns[0]))], final, complete=complete
            ).with_acoustics(x)
            # A score is that of the graph and of the frame together.
            graph = made.graph - made.acoustic - word_penalty * (made.word > 0)
            answers.append(then(replace(made, graph=graph)))
        return answers


# What is made of a batch's lattices, given whether they end in final states; None where there is none.
Made = Callable[[list[tuple[str, np.ndarray]], Any, bool], list[Any]]


def _arcs_of(fsas: Any) -> list[int]:
    """The first arc of each FSA, and the number of all."""
    shape = fsas.arcs.shape()
    return shape.row_splits(2)[shape.row_splits(1).long()].tolist()


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
