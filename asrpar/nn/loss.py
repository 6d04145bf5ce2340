"""Connectionist temporal classification (Graves et al. 2006), with torch or with k2."""

import itertools
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from asrpar.errors import ConfigError


@dataclass
class LossConfig:
    """``implementation``: ``torch``, or ``k2`` where it is installed (a graph per utterance; the same value)."""

    implementation: str = "torch"


def frames_needed(targets: list[int]) -> int:
    """Output frames that CTC needs for ``targets``: one each, and a blank between equal neighbours."""
    return len(targets) + sum(a == b for a, b in itertools.pairwise(targets))


class CtcLoss(nn.Module):
    """Sum of the CTC losses of a batch, in nats.

    Utterances whose transcript needs more output frames than there are have no path, and some (None) have no token
    sequence at all; they are left out and counted.
    """

    def __init__(self, config: LossConfig) -> None:
        super().__init__()
        if config.implementation not in ("torch", "k2"):
            raise ConfigError(f"loss.implementation is '{config.implementation}'; known: torch, k2")
        if config.implementation == "k2":
            try:
                import k2  # noqa: F401
            except ImportError as e:
                raise ConfigError(
                    f"loss.implementation is k2, which cannot be imported ({e}): tools/install_k2.sh installs it, "
                    "or use --set loss.implementation=torch"
                ) from e
        self.implementation = config.implementation

    def forward(self, log_probs: Tensor, lens: Tensor, targets: list[list[int] | None]) -> tuple[Tensor, int]:
        """Log-probabilities (N, T', C), lens (N,), N token lists -> loss (), number of utterances left out."""
        fits = [t is not None and frames_needed(t) <= n for t, n in zip(targets, lens.tolist(), strict=True)]
        left_out = fits.count(False)
        if left_out:
            keep = torch.tensor([i for i, ok in enumerate(fits) if ok], dtype=torch.long, device=log_probs.device)
            log_probs, lens = log_probs[keep], lens[keep]
            targets = [t for t, ok in zip(targets, fits, strict=True) if ok]
        if not targets:
            return log_probs.sum() * 0.0, left_out
        if self.implementation == "k2":
            return self._k2(log_probs, lens, targets), left_out
        flat = torch.tensor([token for t in targets for token in t], dtype=torch.long, device=log_probs.device)
        sizes = torch.tensor([len(t) for t in targets], dtype=torch.long, device=log_probs.device)
        return F.ctc_loss(log_probs.transpose(0, 1), flat, lens, sizes, blank=0, reduction="sum"), left_out

    @staticmethod
    def _k2(log_probs: Tensor, lens: Tensor, targets: list[list[int]]) -> Tensor:
        import k2

        # k2 wants the supervisions sorted by falling length.
        order = torch.argsort(lens, descending=True, stable=True)
        lens_sorted = lens[order].to("cpu", torch.int32)
        segments = torch.stack([order.to("cpu", torch.int32), torch.zeros_like(lens_sorted), lens_sorted], dim=1)
        dense = k2.DenseFsaVec(log_probs, segments)
        graph = k2.ctc_graph([targets[i] for i in order.tolist()], device=log_probs.device)
        total = k2.intersect_dense(graph, dense, output_beam=10.0)
        return -total.get_tot_scores(log_semiring=True, use_double_scores=True).sum().to(log_probs.dtype)
