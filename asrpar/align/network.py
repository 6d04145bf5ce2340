"""A small network that classifies frames: what refines an alignment.

Two hidden layers over spliced filter banks. It is there to align, not to recognise: it has to be quick, and not to
remember single utterances.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from asrpar.align.contract import Scorer
from asrpar.align.data import Item
from asrpar.rules import at_least, not_negative, positive

BANDS = 40  # filter banks of more are averaged over neighbours: for alignment they say no more


@dataclass
class NetworkSettings:
    """The network and its training.

    Attributes:
        context: frames that it sees to each side.
        hidden: units of its two layers.
        batch: frames of a step.
        lr: of Adam, in the first round.
        decay: of the rate from one round to the next: what single steps have left must not decide about bounds.
        acoustic_scale: of its scores in the search.
        prior_scale: how much of the logarithm of the classes' frequencies is subtracted.
    """

    context: int = 7
    hidden: int = 256
    batch: int = 512
    lr: float = 0.002
    decay: float = 0.5
    acoustic_scale: float = 1.0
    prior_scale: float = 1.0

    def validate(self) -> None:
        at_least(self, 1, "hidden", "batch")
        not_negative(self, "context", "prior_scale")
        positive(self, "lr", "decay", "acoustic_scale")


class Network(Scorer, nn.Module):
    """Frames to classes.

    Args:
        settings: of it.
        num_features: C of the features.
        num_pdfs: classes.
        seed: of the weights.
        device: where it is.
    """

    def __init__(self, settings: NetworkSettings, num_features: int, num_pdfs: int, seed: int, device: str) -> None:
        nn.Module.__init__(self)
        self.settings, self.device = settings, device
        self._fold = -(-num_features // BANDS)
        bands = -(-num_features // self._fold)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            width, layers = (2 * settings.context + 1) * bands, []
            for _ in range(2):
                layers += [nn.Linear(width, settings.hidden), nn.ReLU(), nn.BatchNorm1d(settings.hidden)]
                width = settings.hidden
            self.layers = nn.Sequential(*layers, nn.Linear(width, num_pdfs)).to(device)
        self.log_priors = torch.zeros(num_pdfs, device=device)
        self.optimizer = torch.optim.Adam(self.parameters(), lr=settings.lr)

    def bands(self, features: np.ndarray) -> np.ndarray:
        """(T + 2 context, bands): neighbouring bands averaged, the outermost frames repeated outside."""
        frames, width = features.shape
        lacking = -width % self._fold
        even = np.pad(features, ((0, 0), (0, lacking)), mode="edge") if lacking else features
        folded = even.reshape(frames, -1, self._fold).mean(axis=2)
        return np.pad(folded, ((self.settings.context, self.settings.context), (0, 0)), mode="edge")

    def slow_down(self) -> None:
        """Begin another round, with a smaller rate."""
        for group in self.optimizer.param_groups:
            group["lr"] *= self.settings.decay

    def forward(self, windows: Tensor) -> Tensor:
        """(N, (2 context + 1) bands) -> (N, pdfs) log-probabilities."""
        return F.log_softmax(self.layers(windows), dim=-1)

    def windows(self, padded: Tensor, frames: Tensor) -> Tensor:
        """The spliced input of the frames that begin at the rows ``frames`` (N,) of ``padded`` (rows, bands)."""
        offsets = torch.arange(2 * self.settings.context + 1, device=padded.device)
        return padded[frames[:, None] + offsets].flatten(1)

    def set_priors(self, counts: np.ndarray | Tensor) -> None:
        """From how often the classes were used, each once more than that."""
        counts = torch.as_tensor(counts, dtype=torch.float64) + 1.0
        self.log_priors = torch.log(counts / counts.sum()).float().to(self.device)

    def scores(self, items: Sequence[Item], features: Sequence[np.ndarray]) -> Tensor:
        self.eval()
        found = torch.zeros(len(features), max(map(len, features)), len(self.log_priors), device=self.device)
        for row, one in zip(found, features, strict=True):
            padded = torch.from_numpy(self.bands(one)).to(self.device)
            row[: len(one)] = self.scaled(self(self.windows(padded, torch.arange(len(one), device=self.device))))
        return found

    def scaled(self, log_probs: Tensor) -> Tensor:
        """What posteriors count in a search."""
        return self.settings.acoustic_scale * (log_probs - self.settings.prior_scale * self.log_priors)


class Committee(Scorer):
    """Networks whose scores are averaged: what the weights of one began with then matters less for bounds.

    Args:
        members: networks of the same classes.
    """

    def __init__(self, members: Sequence[Network]) -> None:
        self.members = members

    def scores(self, items: Sequence[Item], features: Sequence[np.ndarray]) -> Tensor:
        return sum((member.scores(items, features) for member in self.members[1:]),
                   self.members[0].scores(items, features)) / len(self.members)  # fmt: skip


@dataclass(frozen=True)
class Frames:
    """Frames of many utterances, to train on.

    Attributes:
        padded: (rows, bands) all utterances behind each other, each with its context.
        first: (T,) row at which the window of each frame begins.
        labels: (T,) their classes.
    """

    padded: Tensor
    first: Tensor
    labels: Tensor

    @classmethod
    def of(cls, network: Network, features: Sequence[np.ndarray], labels: Sequence[np.ndarray]) -> "Frames":
        """Those of utterances with these features and labels (T,)."""
        rows = [network.bands(one) for one in features]
        starts = np.cumsum([0, *map(len, rows)])
        first = np.concatenate([start + np.arange(len(y)) for start, y in zip(starts, labels, strict=False)])
        parts = (np.concatenate(rows).astype(np.float32), first, np.concatenate(labels).astype(np.int64))
        return cls(*(torch.from_numpy(p).to(network.device) for p in parts))

    def relabelled(self, labels: Sequence[np.ndarray]) -> "Frames":
        """The same frames with other labels."""
        found = torch.from_numpy(np.concatenate(labels).astype(np.int64))
        return replace(self, labels=found.to(self.labels.device))


def train_epoch(network: Network, frames: Frames, generator: torch.Generator) -> float:
    """One pass over all frames in random order; the mean cross-entropy."""
    network.train()
    total = torch.zeros((), device=network.device)
    count = len(frames.first)
    for chosen in _shuffled(count, network.settings.batch, generator):
        chosen = chosen.to(network.device)
        output = network(network.windows(frames.padded, frames.first[chosen]))
        loss = F.nll_loss(output, frames.labels[chosen])
        network.optimizer.zero_grad()
        loss.backward()
        network.optimizer.step()
        total += loss.detach() * len(chosen)
    return float(total) / count


def _shuffled(count: int, size: int, generator: torch.Generator) -> Iterator[Tensor]:
    order = torch.randperm(count, generator=generator)
    for start in range(0, count, size):
        # A step of one frame has no variance to normalise with.
        if count - start > 1:
            yield order[start : start + size]
