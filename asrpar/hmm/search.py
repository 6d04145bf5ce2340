"""Viterbi and forward-backward over small HMMs, many at once: for alignment.

In logarithms, so that no path vanishes beside others; sums in training (LF-MMI) are those of `asrpar.nn.log_sum`, which
are quicker. Nothing is pruned: an HMM has a path through its frames, or has fewer frames than its shortest one needs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from asrpar.errors import DataError

# The logarithm of 0. Finite, since sums of infinities are no numbers.
ZERO = -1e30
# What a sum is above that: no path has come there.
HARDLY = ZERO / 2
# Back-pointers are predecessors' numbers in a byte.
MOST_PREDECESSORS = 255


@dataclass(frozen=True)
class Net:
    """The HMM of one utterance, without epsilons: each node emits each frame that a path spends in it.

    Attributes:
        pdfs: (S,) int64, the class of each node.
        sources: (S, K) int64, the nodes that each can follow, itself among them if it loops; 0 where there is none.
        weights: (S, K) float32, log-probabilities of those; `ZERO` where there is none.
        initial: (S,) float32, log-probability of beginning in a node; `ZERO` where no path does.
        final: (S,) float32, likewise of ending.
    """

    pdfs: np.ndarray
    sources: np.ndarray
    weights: np.ndarray
    initial: np.ndarray
    final: np.ndarray

    @classmethod
    def of_arcs(
        cls,
        pdfs: Sequence[int],
        arcs: Sequence[tuple[int, int, float]],
        initial: dict[int, float],
        final: dict[int, float],
    ) -> "Net":
        """From arcs (source, target, log-probability), in which a pair of nodes may come once.

        Raises:
            DataError: a node follows more nodes than can be numbered.
        """
        nodes = len(pdfs)
        target = np.array([a[1] for a in arcs], np.int64)
        order = np.argsort(target, kind="stable")
        degree = np.bincount(target, minlength=nodes)
        widest = int(degree.max(initial=1))
        if widest > MOST_PREDECESSORS:
            raise DataError(
                f"a state of an utterance's HMM follows {widest} others, and at most {MOST_PREDECESSORS} can: "
                "a word has too many pronunciations"
            )
        sources, weights = np.zeros((nodes, widest), np.int64), np.full((nodes, widest), ZERO, np.float32)
        row = target[order]
        column = np.arange(len(row)) - np.repeat(np.cumsum(degree) - degree, degree)
        sources[row, column] = np.array([a[0] for a in arcs], np.int64)[order]
        weights[row, column] = np.array([a[2] for a in arcs], np.float32)[order]
        first, last = np.full(nodes, ZERO, np.float32), np.full(nodes, ZERO, np.float32)
        first[list(initial)], last[list(final)] = list(initial.values()), list(final.values())
        return cls(np.asarray(pdfs, np.int64), sources, weights, first, last)

    @cached_property
    def fewest_frames(self) -> int:
        """The frames of the shortest path; 0 if there is no path at all."""
        ends = self.final > HARDLY
        here, frames = self.initial > HARDLY, 1
        reached = here.copy()
        can = self.weights > HARDLY
        while here.any():
            if (here & ends).any():
                return frames
            here = (here[self.sources] & can).any(axis=1) & ~reached
            reached |= here
            frames += 1
        return 0


class NetBatch:
    """Nets side by side, padded with nodes that no path enters.

    Attributes:
        pdfs: (B, S) int64.
        sources: (B, S, K) int64.
        weights: (B, S, K) float32.
        initial: (B, S) float32.
        final: (B, S) float32.
    """

    def __init__(
        self, nets: Sequence[Net], device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32
    ) -> None:
        """Pad ``nets``, on ``device``; weights become ``dtype``."""
        count = len(nets)
        nodes, widest = max(len(n.pdfs) for n in nets), max(n.sources.shape[1] for n in nets)
        pdfs = np.zeros((count, nodes), np.int64)
        sources = np.zeros((count, nodes, widest), np.int64)
        weights = np.full((count, nodes, widest), ZERO, np.float32)
        ends = np.full((2, count, nodes), ZERO, np.float32)
        for i, net in enumerate(nets):
            size, degree = net.sources.shape
            pdfs[i, :size] = net.pdfs
            sources[i, :size, :degree], weights[i, :size, :degree] = net.sources, net.weights
            ends[0, i, :size], ends[1, i, :size] = net.initial, net.final
        self.pdfs = torch.from_numpy(pdfs).to(device)
        self.sources = torch.from_numpy(sources).to(device)
        self.weights, self.initial, self.final = (
            torch.from_numpy(x).to(device, dtype) for x in (weights, ends[0], ends[1])
        )

    def __len__(self) -> int:
        return len(self.pdfs)

    def emissions(self, scores: Tensor, frame: int) -> Tensor:
        """(B, S) the scores (B, T, C) of the nodes' classes at a frame."""
        return scores[:, frame].gather(1, self.pdfs)

    def before(self, at: Tensor) -> Tensor:
        """(B, S, K): the values ``at`` (B, S) of each node's predecessors, with the arcs' weights added."""
        return at.gather(1, self.sources.flatten(1)).view_as(self.weights) + self.weights


@dataclass(frozen=True)
class Paths:
    """Best paths.

    Attributes:
        nodes: of each utterance, (T,) int64 the node of each frame; None where no path has so many frames.
        scores: (B,) float64 log-probabilities of the paths; `ZERO` and less where there is none.
    """

    nodes: list[np.ndarray | None]
    scores: np.ndarray


def viterbi(batch: NetBatch, scores: Tensor, lens: Tensor) -> Paths:
    """The best path of each utterance.

    Args:
        batch: B nets.
        scores: (B, T, C) log-likelihoods of the frames' classes, scaled as they are to count.
        lens: (B,) frames of each; what is behind them does not matter.
    """
    frames, lens = scores.shape[1], lens.to(scores.device)
    at = batch.initial + batch.emissions(scores, 0)
    total = torch.zeros(len(batch), dtype=torch.float64, device=scores.device)
    back = torch.zeros((frames, *batch.pdfs.shape), dtype=torch.uint8, device=scores.device)
    for t in range(1, frames):
        at, total = _rescaled(at, total, t < lens)
        best, number = batch.before(at).max(dim=2)
        back[t] = number.to(torch.uint8)
        at = torch.where((t < lens)[:, None], (best + batch.emissions(scores, t)).clamp(min=ZERO), at)
    score, node = (at + batch.final).max(dim=1)
    path = torch.zeros((frames, len(batch)), dtype=torch.int64, device=scores.device)
    rows = torch.arange(len(batch), device=scores.device)
    for t in range(frames - 1, -1, -1):
        path[t] = node
        before = batch.sources[rows, node, back[t, rows, node].long()]
        node = torch.where(t < lens, before, node)
    found = (score > HARDLY).tolist()
    steps = path.T.cpu().numpy()
    nodes = [steps[i, :n].copy() if found[i] else None for i, n in enumerate(lens.tolist())]
    return Paths(nodes, (total + score.double()).cpu().numpy())


def forward_backward(batch: NetBatch, scores: Tensor, lens: Tensor) -> tuple[Tensor, Tensor]:
    """The sum over all paths, and how often each class is used at each frame on average.

    Args:
        batch: B nets.
        scores: (B, T, C) log-likelihoods of the frames' classes.
        lens: (B,) frames of each, at least 1; what is behind them does not matter.

    Returns:
        (B,) float64 log of the sum, below `HARDLY` where there is no path, and (B, T, C) the occupations, which sum to
        1 over the classes of each frame, and are 0 behind the end and where there is no path. They are the gradient
        of the former with respect to ``scores``.
    """
    frames, lens = scores.shape[1], lens.to(scores.device)
    at = batch.initial + batch.emissions(scores, 0)
    total = torch.zeros(len(batch), dtype=torch.float64, device=scores.device)
    at, total = _rescaled(at, total)
    history = [at]
    for t in range(1, frames):
        at = torch.logsumexp(batch.before(at), dim=2) + batch.emissions(scores, t)
        at, total = _rescaled(at.clamp(min=ZERO), total, t < lens)
        at = torch.where((t < lens)[:, None], at, history[-1])
        history.append(at)
    last = at + batch.final
    rest = torch.logsumexp(last, dim=1)
    occupied = torch.zeros_like(scores)
    # The share of each node in the last frame; then each gives its share on to those that it came from.
    share = torch.exp(last - rest[:, None]) * (rest > HARDLY)[:, None]
    for t in range(frames - 1, -1, -1):
        inside = (t < lens)[:, None]
        occupied[:, t].scatter_add_(1, batch.pdfs, share * inside)
        if t:
            came = batch.before(history[t - 1])
            came = share[:, :, None] * torch.softmax(came, dim=2)
            given = torch.zeros_like(share).scatter_add_(1, batch.sources.flatten(1), came.flatten(1))
            share = torch.where(inside, given, share)
    return total + rest.double(), occupied


def _rescaled(at: Tensor, total: Tensor, where: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Take out the greatest of each row, so that sums over many frames stay exact, and add it to ``total``."""
    top = at.max(dim=1).values
    top = torch.where(top > HARDLY, top, torch.zeros_like(top))
    if where is not None:
        top = torch.where(where, top, torch.zeros_like(top))
    return at - top[:, None], total + top.double()
