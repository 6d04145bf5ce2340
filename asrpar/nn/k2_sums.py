"""Sums over all paths with k2, which computes on GPUs with graphs of any shape."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from asrpar.nn.objective import Hmm

# Paths are dropped whose best continuation is so much worse than the best path: nearly none.
BEAM = 40.0


def log_sums(hmms: Sequence[Hmm], scores: Tensor, lens: Tensor, rows: Sequence[int]) -> Tensor:
    """(M,) logarithms of the sums over all paths, to differentiate by ``scores``.

    Args:
        hmms: M of them; one that comes several times is converted once.
        scores: (N, T, C) log-likelihoods of classes, float32.
        lens: (N,) frames of each.
        rows: for each HMM, which of the N scores it is to explain.
    """
    import k2

    order = torch.argsort(lens, descending=True, stable=True).cpu()  # as k2 wants its segments
    place = torch.argsort(order).to(torch.int32)
    sorted_lens = lens.cpu()[order]
    segments = torch.stack([order, torch.zeros_like(order), sorted_lens], dim=1).to(torch.int32)
    dense = k2.DenseFsaVec(scores.float(), segments)
    made: dict[int, Any] = {}
    for hmm in hmms:
        if id(hmm) not in made:
            made[id(hmm)] = k2.Fsa(arcs_of(hmm))
    graphs = k2.create_fsa_vec([made[id(hmm)] for hmm in hmms]).to(scores.device)
    to_scores = place[torch.tensor(rows)].to(scores.device)
    # k2 wants this map, too, to be sorted: of each row, all HMMs.
    by_row = torch.argsort(to_scores, stable=True)
    graphs = k2.index_fsa(graphs, by_row.to(torch.int32))
    paths = k2.intersect_dense(graphs, dense, output_beam=BEAM, a_to_b_map=to_scores[by_row].contiguous())
    sums = paths.get_tot_scores(log_semiring=True, use_double_scores=True)
    return sums[torch.argsort(by_row)].to(scores.dtype)


def arcs_of(hmm: Hmm) -> Tensor:
    """(A, 4) int32: source, target, class, and the bits of the log-probability, sorted by source, as k2 reads them.

    State 0 is before the first frame, the last one behind the last frame, the HMM's nodes lie between.
    """
    nodes = len(hmm.pdfs)
    begins, ends = np.flatnonzero(np.isfinite(hmm.initial)), np.flatnonzero(np.isfinite(hmm.final))
    sources = np.concatenate([np.zeros(len(begins)), hmm.sources + 1, ends + 1])
    targets = np.concatenate([begins + 1, hmm.targets + 1, np.full(len(ends), nodes + 1)])
    labels = np.concatenate([hmm.pdfs[begins], hmm.pdfs[hmm.targets], np.full(len(ends), -1)])
    weights = np.concatenate([hmm.initial[begins], hmm.log_probs, hmm.final[ends]]).astype(np.float32)
    order = np.lexsort((targets, labels, sources))
    columns = [x[order].astype(np.int32) for x in (sources, targets, labels)]
    return torch.from_numpy(np.stack([*columns, weights[order].view(np.int32)], axis=1))
