"""One Gaussian with a diagonal covariance for each class: the start of an alignment from nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from asrpar.align.contract import Scorer
from asrpar.align.data import Item
from asrpar.feats.cepstra import cepstra

# Of the variance over all frames, the least that a class can have.
FLOOR = 0.01
# A class with fewer frames keeps what all frames have.
FEWEST = 3


@dataclass(frozen=True)
class Gaussians(Scorer):
    """Densities of classes.

    Attributes:
        linear: (D, P) weights of the features.
        quadratic: (D, P) weights of their squares.
        constant: (P,).
        count: of cepstra, see `asrpar.feats.cepstra`.
        known: cepstra (T, D) that have been computed already, by utterance.
    """

    linear: Tensor
    quadratic: Tensor
    constant: Tensor
    count: int
    known: Mapping[str, np.ndarray] = field(default_factory=dict)

    @classmethod
    def estimate(
        cls, known: Mapping[str, np.ndarray], labels: Mapping[str, np.ndarray], num_pdfs: int, count: int
    ) -> "Gaussians":
        """By maximum likelihood.

        Args:
            known: (T, D) float32 cepstra, by utterance.
            labels: (T,) class of each frame, of some of these utterances.
            num_pdfs: P.
            count: of cepstra.
        """
        x = torch.from_numpy(np.concatenate([known[u] for u in labels]))
        y = torch.from_numpy(np.concatenate(list(labels.values())).astype(np.int64))
        used = torch.bincount(y, minlength=num_pdfs)[:, None]
        shape = (num_pdfs, x.shape[1])
        n = used.clamp(min=1)
        mean = torch.zeros(shape, dtype=torch.float64).index_add_(0, y, x.double()) / n
        square = torch.zeros(shape, dtype=torch.float64).index_add_(0, y, x.double().square()) / n
        centre, spread = x.double().mean(0), x.double().var(0, unbiased=False)
        variance = (square - mean.square()).maximum(FLOOR * spread).clamp(min=1e-6)
        rare = used < FEWEST
        mean, variance = torch.where(rare, centre, mean), torch.where(rare, spread.clamp(min=1e-6), variance)
        constant = -0.5 * (torch.log(2 * torch.pi * variance) + mean.square() / variance).sum(1)
        parts = ((mean / variance).T, (-0.5 / variance).T, constant)
        return cls(*(p.float().contiguous() for p in parts), count, known)

    def scores(self, items: Sequence[Item], features: Sequence[np.ndarray]) -> Tensor:
        longest = max(map(len, features))
        found = torch.zeros(len(features), longest, len(self.constant))
        for row, item, one in zip(found, items, features, strict=True):
            x = self.known.get(item.utterance.id)
            x = torch.from_numpy(cepstra(one, self.count) if x is None else x)
            row[: len(x)] = x @ self.linear + x.square() @ self.quadratic + self.constant
        return found
