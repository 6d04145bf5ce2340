"""Connectionist temporal classification (Graves et al. 2006), with torch or with k2."""

import functools
import itertools
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from asrpar.errors import ConfigError
from asrpar.nn.objective import Misfit, Objective, Sources, Spoken
from asrpar.rules import one_of


@dataclass
class Settings:
    """CTC.

    Attributes:
        implementation: ``torch``, or ``k2`` where it is installed (the same value up to pruning).
    """

    implementation: str = "torch"

    def validate(self) -> None:
        one_of(self, "implementation", ("torch", "k2"))
        if self.implementation == "k2":
            try:
                import k2  # noqa: F401
            except (ImportError, OSError) as e:
                raise ConfigError(
                    f"implementation is k2, which cannot be imported ({e}): tools/install_k2.sh installs it, "
                    "or use torch"
                ) from e


def frames_needed(tokens: list[int]) -> int:
    """Output frames that CTC needs for ``tokens``: one each, and a blank between equal neighbours."""
    return len(tokens) + sum(a == b for a, b in itertools.pairwise(tokens))


# The token sequences that a transcript may have been spoken as. Their probabilities are added: the model finds out
# which pronunciation it hears.
Variants = list[list[int]]


class Loss(Objective[Variants]):
    """The tokens of a transcript, wherever they are; class 0 is the blank.

    Utterances whose transcript needs more output frames than there are have no path, and some have no token sequence at
    all; they are left out and counted.
    """

    blank = 0
    errors_are = "token errors"
    of_text = True
    lacking = "words without pronunciation"

    def __init__(self, settings: Settings, sources: Sources) -> None:
        self.implementation = settings.implementation
        self.transcripts = sources.transcripts
        self.num_classes = sources.transcripts.num_tokens
        self.encode = functools.cache(sources.transcripts.encode_variants)

    def targets(self, utterance: Spoken, frames: np.ndarray | None = None) -> Variants:
        return self.encode(utterance.text)

    def loss(self, output: Tensor, lens: Tensor, targets: list[Variants]) -> tuple[Tensor, list[bool]]:
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
            return output.sum() * 0.0, used
        index = torch.tensor(rows, device=output.device)
        # The backward of output[index] adds repeated rows in the order in which threads arrive; this one does not.
        each = self._each(output.index_select(0, index), lens[index], sequences)
        if sum(used) == len(sequences):
            return each.sum(), used
        table = each.new_full((len(targets), max(columns) + 1), float("inf"))
        table = table.index_put((index, torch.tensor(columns, device=index.device)), each)
        return -torch.logsumexp(-table.index_select(0, index.unique()), dim=1).sum(), used

    def errors(self, output: Tensor, lens: Tensor, targets: list[Variants]) -> tuple[int, int]:
        """Token errors of the best path against the nearest variant, and the tokens of the first."""
        import kaldialign

        errors = tokens = 0
        for path, n, variants in zip(output.argmax(-1).cpu(), lens.tolist(), targets, strict=True):
            if not variants:
                continue
            hypothesis = [t for t in torch.unique_consecutive(path[:n]).tolist() if t != self.blank]
            errors += min(kaldialign.edit_distance(reference, hypothesis)["total"] for reference in variants)
            tokens += len(variants[0])
        return errors, tokens

    def misfit(self, utterance: Spoken, frames: int) -> Misfit | None:
        text = utterance.text
        if unknown := self.transcripts.unknown(text):
            return Misfit(missing=tuple(sorted(unknown)))
        # With a blank after each token any transcript fits, and most are that short: only others are spelt out.
        if 2 * self.transcripts.num_units(text) > frames:
            fewest = min(map(frames_needed, self.transcripts.encode_variants(text)))
            if fewest > frames:
                return Misfit(frames=fewest)
        return None

    def _each(self, log_probs: Tensor, lens: Tensor, targets: list[list[int]]) -> Tensor:
        """(K, T', C), (K,), K token sequences -> (K,) losses."""
        if self.implementation == "k2":
            return self._k2(log_probs, lens, targets)
        flat = torch.tensor([token for t in targets for token in t], dtype=torch.long, device=log_probs.device)
        sizes = torch.tensor([len(t) for t in targets], dtype=torch.long, device=log_probs.device)
        return F.ctc_loss(log_probs.transpose(0, 1), flat, lens, sizes, blank=self.blank, reduction="none")

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
