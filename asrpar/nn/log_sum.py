"""The sum over all paths through one HMM, of many utterances at once: the denominator of LF-MMI.

Povey et al. 2016. A frame is one product of a sparse matrix with the utterances' node probabilities. Those are
probabilities, not logarithms; each frame divides them by their sum, so float32 is enough, and half precision never is.
"""

import warnings
from typing import Any

import numpy as np
import torch
from torch import Tensor

from asrpar.nn.objective import Hmm

# Steps of which the nodes' average share is what the leak leads to, as in Kaldi.
LEAK_STEPS = 100


class SharedHmm:
    """One HMM on one device, ready for sums.

    Args:
        hmm: which.
        num_classes: C of the scores.
        leak: how much of all probability goes from anywhere to anywhere in each frame, as if another utterance began:
            paths that look hopeless cannot vanish. 0 for none.
        dtype: of the computation, float32 or float64.
    """

    def __init__(
        self,
        hmm: Hmm,
        num_classes: int,
        leak: float = 0.0,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> None:
        nodes = len(hmm.pdfs)
        self.leak, self.num_classes, self.hmm = leak, num_classes, hmm
        self.pdfs = torch.from_numpy(hmm.pdfs).to(device)
        probs = np.exp(hmm.log_probs)

        def matrix(rows: np.ndarray, columns: np.ndarray, values: np.ndarray, shape: tuple[int, int]) -> Tensor:
            order = np.lexsort((columns, rows))
            begins = np.zeros(shape[0] + 1, np.int64)
            np.cumsum(np.bincount(rows, minlength=shape[0]), out=begins[1:])
            parts = (torch.from_numpy(x).to(device) for x in (begins, columns[order], values[order]))
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message="Sparse CSR tensor support")  # it is in beta state
                return torch.sparse_csr_tensor(*parts, size=shape, dtype=dtype, device=device, check_invariants=False)

        self.forth = matrix(hmm.targets, hmm.sources, probs, (nodes, nodes))
        self.back = matrix(hmm.sources, hmm.targets, probs, (nodes, nodes))
        self.by_class = matrix(hmm.pdfs, np.arange(nodes), np.ones(nodes), (num_classes, nodes))
        self.initial, self.final = (
            torch.from_numpy(np.exp(x)).to(device, dtype)[:, None] for x in (hmm.initial, hmm.final)
        )
        self.leaks_to = self._average()

    def _average(self) -> Tensor:
        """(S, 1) the share of each node in the first steps from the start, if nothing is heard."""
        at, total = self.initial / self.initial.sum(), torch.zeros_like(self.initial)
        for _ in range(LEAK_STEPS):
            total += at
            at = self.forth @ at
            at = at / at.sum()
        return total / LEAK_STEPS

    def log_sum(self, scores: Tensor, lens: Tensor) -> Tensor:
        """(N,) logarithms of the sums over all paths, to differentiate by ``scores``.

        Args:
            scores: (N, T, C), log-likelihoods up to a constant for each frame; of the type given to the constructor.
            lens: (N,) frames of each, from 1 to T; what is behind them does not matter, and has gradient 0.
        """
        return _LogSum.apply(scores, lens.to(scores.device), self)

    def forward(self, scores: Tensor, lens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Frame by frame from the beginning.

        Returns:
            (N,) logarithms of the sums; (T, S, N) shares of the nodes, which sum to 1 with what leaks into them; and
            (T, C, N) what frames multiply them with.
        """
        frames = scores.shape[1]
        top = scores.amax(dim=2)  # (N, T)
        heard = (scores - top[:, :, None]).exp().permute(1, 2, 0).contiguous()  # (T, C, N)
        inside = torch.arange(frames, device=scores.device) < lens[:, None]
        total = top.masked_fill(~inside, 0.0).double().sum(1)
        nodes = scores.new_empty(frames, len(self.pdfs), len(scores))
        leaked = self.leak / (1 + self.leak) * self.leaks_to
        last = self.initial.new_zeros(len(scores))
        for t in range(frames):
            at = self.forth @ (nodes[t - 1] + leaked) if t else self.initial
            at = at * heard[t].index_select(0, self.pdfs)
            scale = at.sum(0) * (1 + self.leak)
            nodes[t] = at / scale
            total += scale.double().log().masked_fill(~inside[:, t], 0.0)
            last = torch.where(inside[:, t], ((nodes[t] + leaked) * self.final).sum(0), last)
        return total + last.double().log(), nodes, heard

    def occupation(self, lens: Tensor, nodes: Tensor, heard: Tensor) -> Tensor:
        """(N, T, C) how often each class is used at each frame on average; from what `forward` gave."""
        frames, _, count = nodes.shape
        used = nodes.new_zeros(frames, self.num_classes, count)
        ends = behind = self.final.expand(-1, count)
        for t in range(frames - 1, -1, -1):
            if t + 1 < frames:
                came = self.back @ (behind * heard[t + 1].index_select(0, self.pdfs))
                # Any scale will do, as shares are normalised below; this one keeps numbers from vanishing.
                came = came / came.amax(0).clamp(min=torch.finfo(came.dtype).tiny)
                behind = torch.where(t + 1 < lens, came, ends)
            behind = behind + self.leak * (self.leaks_to * behind).sum(0)
            share = nodes[t] * behind
            used[t] = self.by_class @ (share / share.sum(0))
        inside = torch.arange(frames, device=lens.device)[:, None] < lens
        return torch.where(inside[:, None], used, 0.0).permute(2, 0, 1)

    def best_phones(self, scores: Tensor, lens: Tensor) -> list[list[int]]:
        """The phones of each utterance's best path; the arguments are those of `log_sum`.

        Empty where no path has so many frames.
        """
        weights = torch.from_numpy(self.hmm.log_probs).to(scores)[:, None]
        sources, targets = (torch.from_numpy(x).to(scores.device) for x in (self.hmm.sources, self.hmm.targets))
        frames, nodes, count = scores.shape[1], len(self.pdfs), len(scores)
        to = targets[:, None].expand(-1, count)
        number = torch.arange(len(sources), device=scores.device)[:, None]
        back = torch.full((frames, nodes, count), -1, device=scores.device)
        at = self.initial.log() + scores[:, 0].T[self.pdfs]
        lens = lens.to(scores.device)
        for t in range(1, frames):
            ways = at[sources] + weights
            best = torch.full_like(at, -torch.inf).scatter_reduce_(0, to, ways, "amax")
            chosen = torch.where(ways == best.gather(0, to), number, -1)
            back[t].scatter_reduce_(0, to, chosen, "amax")
            at = torch.where(t < lens, best + scores[:, t].T[self.pdfs], at)
        score, node = (at + self.final.log()).max(dim=0)
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


class _LogSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, scores: Tensor, lens: Tensor, hmm: SharedHmm) -> Tensor:
        sums, nodes, heard = hmm.forward(scores.detach(), lens)
        ctx.hmm = hmm
        ctx.save_for_backward(lens, nodes, heard)
        return sums.to(scores.dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        return grad[:, None, None] * ctx.hmm.occupation(*ctx.saved_tensors), None, None
