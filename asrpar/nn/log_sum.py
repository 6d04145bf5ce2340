"""Sums over all paths through HMMs, of many utterances at once: denominator and numerators of LF-MMI.

Povey et al. 2016. A frame is one product of a sparse matrix with the nodes' probabilities. Those are probabilities, not
logarithms; each frame divides them by their sum, so float32 is enough where all nodes can be reached from all others
(and half precision never is), and float64 where paths have an order, so that those that lag behind are not lost.
"""

import warnings
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from asrpar.nn.objective import Hmm

# Steps of which the nodes' average share is what the leak leads to, as in Kaldi.
LEAK_STEPS = 100


class LogSums(ABC):
    """HMMs ready for sums, with S nodes in all; a column of numbers for M utterances that share them, or for one.

    Attributes:
        leak: how much of all probability goes from anywhere to anywhere in each frame.
    """

    leak = 0.0
    _forth: Tensor  # (S, S) from columns to rows
    _back: Tensor  # its transpose
    _initial: Tensor  # (S, 1)
    _final: Tensor  # (S, 1)
    _leaks_to: Tensor  # (S, 1)

    @abstractmethod
    def _heard(self, scores: Tensor) -> tuple[Tensor, Tensor]:
        """Scores (N, T, C) -> the greatest of each frame (N, T), and what `_emission` takes frames from."""

    @abstractmethod
    def _emission(self, heard: Tensor, frame: int) -> Tensor:
        """(S, M) what a frame multiplies the nodes with."""

    @abstractmethod
    def _sum(self, nodes: Tensor) -> Tensor:
        """(S, M) -> (N,) the sum over each utterance's nodes."""

    @abstractmethod
    def _each(self, utterances: Tensor) -> Tensor:
        """(N,) -> to be combined with (S, M)."""

    @abstractmethod
    def _by_class(self, nodes: Tensor, classes: int) -> Tensor:
        """(S, M) -> (N, C) the sum over the nodes of each class."""

    def log_sum(self, scores: Tensor, lens: Tensor) -> Tensor:
        """(N,) logarithms of the sums over all paths, to differentiate by ``scores``.

        Where all paths have vanished beside others that reach no end, in float32 some 90 nats below them and in float64
        some 700, the sum is not finite, and the gradient 0.

        Args:
            scores: (N, T, C), log-likelihoods up to a constant for each frame.
            lens: (N,) frames of each, from 1 to T; what is behind them does not matter, and has gradient 0.
        """
        return _LogSum.apply(scores, lens.to(scores.device), self)

    def forward(self, scores: Tensor, lens: Tensor) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Frame by frame from the beginning.

        Returns:
            (N,) float64 logarithms of the sums; what frames multiplied nodes with; and T times the shares of the nodes
            (S, M), which sum to 1 with what leaks into them.
        """
        frames = scores.shape[1]
        top, heard = self._heard(scores)
        inside = torch.arange(frames, device=scores.device) < lens[:, None]
        total = top.masked_fill(~inside, 0.0).double().sum(1)
        leaked, last, nodes = self.leak / (1 + self.leak) * self._leaks_to, torch.zeros_like(total), []
        for t in range(frames):
            at = self._forth @ (nodes[-1] + leaked) if t else self._initial
            at = at * self._emission(heard, t)
            scale = self._sum(at) * (1 + self.leak)
            nodes.append(at / self._each(scale))
            total += scale.double().log().masked_fill(~inside[:, t], 0.0)
            last = torch.where(inside[:, t], self._sum((nodes[-1] + leaked) * self._final).double(), last)
        return total + last.log(), heard, nodes

    def occupation(self, scores: Tensor, lens: Tensor, heard: Tensor, *nodes: Tensor) -> Tensor:
        """(N, T, C) how often each class is used at each frame on average; from what `forward` was given and gave."""
        frames, classes = scores.shape[1:]
        used = torch.zeros_like(scores)
        ends = behind = self._final.expand_as(nodes[0])
        for t in range(frames - 1, -1, -1):
            if t + 1 < frames:
                came = self._back @ (behind * self._emission(heard, t + 1))
                # Any scale will do, as shares are divided by their sum; this one keeps numbers from vanishing.
                came = came / self._each(self._sum(came))
                behind = torch.where(self._each(t + 1 < lens), came, ends)
            if self.leak:
                behind = behind + self.leak * (self._leaks_to * behind).sum(0)
            share = nodes[t] * behind
            share = share / self._each(self._sum(share))
            used[:, t] = torch.where(t < lens[:, None], self._by_class(share, classes), 0.0)
        return used


class SharedHmm(LogSums):
    """One HMM, through which paths of all utterances lead.

    Args:
        hmm: which.
        num_classes: C of the scores.
        leak: how much of all probability goes from anywhere to anywhere in each frame, as if another utterance began:
            paths that look hopeless cannot vanish. 0 for none.
        dtype: of the computation and the scores, float32 or float64.
        device: of the scores.
    """

    def __init__(
        self,
        hmm: Hmm,
        num_classes: int,
        leak: float = 0.0,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> None:
        count, self.hmm, self.leak = len(hmm.pdfs), hmm, leak
        self._pdfs = torch.from_numpy(hmm.pdfs).to(device)
        self._forth, self._back = transitions(hmm.sources, hmm.targets, hmm.log_probs, count, dtype, device)
        self._initial, self._final = (column(x, dtype, device) for x in (hmm.initial, hmm.final))
        self._classes = matrix(hmm.pdfs, np.arange(count), np.ones(count), (num_classes, count), dtype, device)
        self._leaks_to = self._average()

    def _average(self) -> Tensor:
        """(S, 1) the share of each node in the first steps from the start, if nothing is heard."""
        at, total = self._initial / self._initial.sum(), torch.zeros_like(self._initial)
        for _ in range(LEAK_STEPS):
            total += at
            at = self._forth @ at
            at = at / at.sum()
        return total / LEAK_STEPS

    def _heard(self, scores: Tensor) -> tuple[Tensor, Tensor]:
        top = scores.amax(dim=2)
        return top, (scores - top[:, :, None]).exp().permute(1, 2, 0).contiguous()  # (T, C, N)

    def _emission(self, heard: Tensor, frame: int) -> Tensor:
        return heard[frame].index_select(0, self._pdfs)

    def _sum(self, nodes: Tensor) -> Tensor:
        return nodes.sum(0)

    def _each(self, utterances: Tensor) -> Tensor:
        return utterances

    def _by_class(self, nodes: Tensor, classes: int) -> Tensor:
        return (self._classes @ nodes).T

    def best_phones(self, scores: Tensor, lens: Tensor) -> list[list[int]]:
        """The phones of each utterance's best path; the arguments are those of `log_sum`.

        Empty where no path has so many frames.
        """
        weights = torch.from_numpy(self.hmm.log_probs).to(scores)[:, None]
        sources, targets = (torch.from_numpy(x).to(scores.device) for x in (self.hmm.sources, self.hmm.targets))
        frames, nodes, count = scores.shape[1], len(self._pdfs), len(scores)
        to = targets[:, None].expand(-1, count)
        number = torch.arange(len(sources), device=scores.device)[:, None]
        back = torch.full((frames, nodes, count), -1, device=scores.device)
        at = self._initial.log() + scores[:, 0].T[self._pdfs]
        lens = lens.to(scores.device)
        for t in range(1, frames):
            ways = at[sources] + weights
            best = torch.full_like(at, -torch.inf).scatter_reduce_(0, to, ways, "amax")
            chosen = torch.where(ways == best.gather(0, to), number, -1)
            back[t].scatter_reduce_(0, to, chosen, "amax")
            at = torch.where(t < lens, best + scores[:, t].T[self._pdfs], at)
        score, node = (at + self._final.log()).max(dim=0)
        columns = torch.arange(count, device=scores.device)
        path = torch.empty((frames, count), dtype=torch.int64, device=scores.device)
        for t in range(frames - 1, -1, -1):
            path[t] = node
            before = sources[back[t, node, columns].clamp(min=0)]
            node = torch.where(t < lens, before, node) if t else node
        found, steps = score.isfinite().tolist(), path.T.cpu().numpy()
        return [self._phones(steps[i, :n]) if found[i] else [] for i, n in enumerate(lens.tolist())]

    def _phones(self, path: np.ndarray) -> list[int]:
        """The phones that nodes (T,) of successive frames are of, each once."""
        new = self.hmm.begins[path] & np.append(True, path[1:] != path[:-1])
        return self.hmm.phones[path[new]].tolist()


class OwnHmms(LogSums):
    """An HMM for each utterance, side by side as one whose parts are not connected; in float64.

    Args:
        hmms: of N utterances.
        num_classes: C of the scores.
        device: of the scores.
    """

    def __init__(self, hmms: Sequence[Hmm], num_classes: int, device: torch.device | str = "cpu") -> None:
        sizes, dtype = [len(hmm.pdfs) for hmm in hmms], torch.float64
        begins, count = np.cumsum([0, *sizes[:-1]]), sum(sizes)

        def all_of(name: str) -> np.ndarray:
            return np.concatenate([getattr(hmm, name) for hmm in hmms])

        sources, targets = (
            np.concatenate([getattr(hmm, name) + begin for hmm, begin in zip(hmms, begins, strict=True)])
            for name in ("sources", "targets")
        )
        self._forth, self._back = transitions(sources, targets, all_of("log_probs"), count, dtype, device)
        self._initial, self._final = (column(all_of(name), dtype, device) for name in ("initial", "final"))
        self._leaks_to = torch.zeros_like(self._final)
        owners = np.repeat(np.arange(len(hmms)), sizes)
        self._sums = matrix(owners, np.arange(count), np.ones(count), (len(hmms), count), dtype, device)
        pdfs = all_of("pdfs")
        cells, shape = owners * num_classes + pdfs, (len(hmms) * num_classes, count)
        self._classes = matrix(cells, np.arange(count), np.ones(count), shape, dtype, device)
        self._owners, self._pdfs = (torch.from_numpy(x).to(device) for x in (owners, pdfs))

    def _heard(self, scores: Tensor) -> tuple[Tensor, Tensor]:
        # Relative to the utterance's own nodes, however much more likely classes are that none of them has.
        heard = scores.transpose(0, 1)[:, self._owners, self._pdfs].double()  # (T, S)
        top = heard.new_full((len(heard), len(scores)), -torch.inf)
        top.scatter_reduce_(1, self._owners.expand_as(heard), heard, "amax")
        return top.T, (heard - top[:, self._owners]).exp()

    def _emission(self, heard: Tensor, frame: int) -> Tensor:
        return heard[frame][:, None]

    def _sum(self, nodes: Tensor) -> Tensor:
        return (self._sums @ nodes)[:, 0]

    def _each(self, utterances: Tensor) -> Tensor:
        return utterances[self._owners][:, None]

    def _by_class(self, nodes: Tensor, classes: int) -> Tensor:
        return (self._classes @ nodes).view(-1, classes)


class _LogSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, scores: Tensor, lens: Tensor, hmms: LogSums) -> Tensor:
        sums, heard, nodes = hmms.forward(scores.detach(), lens)
        ctx.hmms = hmms
        ctx.save_for_backward(scores, lens, heard, *nodes)
        ctx.finite = sums.isfinite()[:, None, None]
        return sums.to(scores.dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        occupied = torch.where(ctx.finite, ctx.hmms.occupation(*ctx.saved_tensors), 0.0)
        return grad[:, None, None] * occupied, None, None


def transitions(
    sources: np.ndarray,
    targets: np.ndarray,
    log_probs: np.ndarray,
    nodes: int,
    dtype: torch.dtype,
    device: torch.device | str,
) -> tuple[Tensor, Tensor]:
    """Arcs (A,) as two sparse matrices (S, S): from columns to rows, and back."""
    probs = np.exp(log_probs)
    forth = matrix(targets, sources, probs, (nodes, nodes), dtype, device)
    return forth, matrix(sources, targets, probs, (nodes, nodes), dtype, device)


def column(logs: np.ndarray, dtype: torch.dtype, device: torch.device | str) -> Tensor:
    """Logarithms (S,) of probabilities -> those, (S, 1)."""
    return torch.from_numpy(np.exp(logs)).to(device, dtype)[:, None]


def matrix(
    rows: np.ndarray,
    columns: np.ndarray,
    values: np.ndarray,
    shape: tuple[int, int],
    dtype: torch.dtype,
    device: torch.device | str,
) -> Tensor:
    """A sparse matrix (CSR) of values (A,) at rows and columns (A,), each pair of which comes once."""
    order = np.lexsort((columns, rows))
    begins = np.zeros(shape[0] + 1, np.int64)
    np.cumsum(np.bincount(rows, minlength=shape[0]), out=begins[1:])
    parts = (torch.from_numpy(x).to(device) for x in (begins, columns[order], values[order]))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support")  # it is in beta state
        return torch.sparse_csr_tensor(*parts, size=shape, dtype=dtype, device=device, check_invariants=False)
