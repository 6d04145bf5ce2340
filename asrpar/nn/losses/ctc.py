"""Connectionist temporal classification (Graves et al. 2006), with torch or with k2."""

import itertools
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from asrpar.errors import ConfigError


@dataclass
class LossConfig:
    """The criterion.

    Attributes:
        implementation: ``torch``, or ``k2`` where it is installed (the same value up to pruning).
    """

    implementation: str = "torch"


def frames_needed(targets: list[int]) -> int:
    """Output frames that CTC needs for ``targets``: one each, and a blank between equal neighbours."""
    return len(targets) + sum(a == b for a, b in itertools.pairwise(targets))


class CtcLoss(nn.Module):
    """Sum of the CTC losses of a batch, in nats.

    Utterances whose transcript needs more output frames than there are have no path, and some have no token sequence at
    all; they are left out and counted.
    """

    def __init__(self, config: LossConfig) -> None:
        super().__init__()
        if config.implementation not in ("torch", "k2"):
            raise ConfigError(f"loss.implementation is '{config.implementation}'; known: torch, k2")
        if config.implementation == "k2":
            try:
                import k2  # noqa: F401
            except (ImportError, OSError) as e:
                raise ConfigError(
                    f"loss.implementation is k2, which cannot be imported ({e}): tools/install_k2.sh installs it, "
                    "or use --set loss.implementation=torch"
                ) from e
        self.implementation = config.implementation

    def forward(self, log_probs: Tensor, lens: Tensor, targets: list[list[list[int]]]) -> tuple[Tensor, list[bool]]:
        """The loss of a batch.

        Args:
            log_probs: (N, T', C), class 0 is the blank.
            lens: (N,) frames T' of each utterance.
            targets: for each utterance the token sequences that its transcript may have been spoken as. Their
                probabilities are added: the model finds out which pronunciation it hears.

        Returns:
            The loss () and whether each utterance is in it.
        """
        rows: list[int] = []
        columns: list[int] = []
        sequences: list[list[int]] = []
        used: list[bool] = []
        for n, (variants, frames) in enumerate(zip(targets, lens.tolist(), strict=True)):
            fitting = [t for t in variants if frames_needed(t) <= frames]
            rows += [n] * len(fitting)
            columns += range(len(fitting))
            sequences += fitting
            used.append(bool(fitting))
        if not rows:
            return log_probs.sum() * 0.0, used
        index = torch.tensor(rows, device=log_probs.device)
        # The backward of log_probs[index] adds repeated rows in the order in which threads arrive; this one does not.
        each = self._each(log_probs.index_select(0, index), lens[index], sequences)
        if sum(used) == len(sequences):
            return each.sum(), used
        table = each.new_full((len(targets), max(columns) + 1), float("inf"))
        table = table.index_put((index, torch.tensor(columns, device=index.device)), each)
        return -torch.logsumexp(-table.index_select(0, index.unique()), dim=1).sum(), used

    def _each(self, log_probs: Tensor, lens: Tensor, targets: list[list[int]]) -> Tensor:
        """(K, T', C), (K,), K token sequences -> (K,) losses."""
        if self.implementation == "k2":
            return self._k2(log_probs, lens, targets)
        flat = torch.tensor([token for t in targets for token in t], dtype=torch.long, device=log_probs.device)
        sizes = torch.tensor([len(t) for t in targets], dtype=torch.long, device=log_probs.device)
        return F.ctc_loss(log_probs.transpose(0, 1), flat, lens, sizes, blank=0, reduction="none")

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
        losses = -total.get_tot_scores(log_semiring=True, use_double_scores=True).to(log_probs.dtype)
        return losses[torch.argsort(order)]
