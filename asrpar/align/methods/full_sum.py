"""From transcripts alone, by the sum over all alignments: Zeyer et al. 2017, "CTC in the Context of Generalized
Full-Sum HMM Training".

A network from random weights on learns the occupations of the states that forward-backward finds with its own scores.
It costs more than Gaussians, and leaves bounds softer and silences wider.
"""

from dataclasses import dataclass, field

import numpy as np
import torch

from asrpar.align.contract import Method as Base
from asrpar.align.contract import Scorer
from asrpar.align.data import AlignSet, Item, batches
from asrpar.align.monophone import Rounds, chosen, monophone_tree
from asrpar.align.network import Network, NetworkSettings
from asrpar.graph.utterance import UtteranceHmms
from asrpar.hmm.search import NetBatch, forward_backward
from asrpar.hmm.tree import Tree
from asrpar.log import get_logger
from asrpar.rules import at_least, fraction, positive

LOG = get_logger(__name__)


@dataclass
class Settings:
    """Full-sum training.

    Attributes:
        epochs: of training.
        batch_frames: of a step, in whole utterances.
        acoustic_scale: of the network's scores in the sums.
        prior_scale: share of the log-priors that is subtracted in the sums.
        memory: share of the priors that stays from one step to the next.
        frames: to estimate on, at most: of larger corpora utterances are drawn at random.
        copies: estimate on copies at other speeds, too; they are aligned in any case.
        network: the network, with the scales for aligning.
    """

    epochs: int = 6
    batch_frames: int = 2000
    acoustic_scale: float = 0.3
    prior_scale: float = 0.3
    memory: float = 0.99
    frames: int = 2_000_000
    copies: bool = False
    network: NetworkSettings = field(default_factory=NetworkSettings)

    def validate(self) -> None:
        at_least(self, 1, "epochs", "batch_frames", "frames")
        positive(self, "acoustic_scale")
        fraction(self, "prior_scale", "memory")


class Method(Base):
    """Sums, network."""

    def tree(self) -> Tree:
        return monophone_tree(self.given)

    def fit(self, train: AlignSet, hmms: UtteranceHmms) -> Scorer:
        s, given = self.settings, self.given
        tree, seed = hmms.tree, given.config.seed
        items = chosen(train, s.frames, s.copies, seed)
        rounds = Rounds(given, train, items, tree)
        network = Network(s.network, train.store.num_features, tree.num_pdfs, seed, given.device)
        priors = torch.full((tree.num_pdfs,), 1.0 / tree.num_pdfs, device=given.device)
        generator = torch.Generator().manual_seed(seed)
        groups = list(batches(items, s.batch_frames))
        for epoch in range(1, s.epochs + 1):
            network.train()
            total, frames = 0.0, 0
            for at in torch.randperm(len(groups), generator=generator).tolist():
                loss, used, count = self._step(network, train, groups[at], priors)
                priors.mul_(s.memory).add_((1.0 - s.memory) * used)
                total, frames = total + loss, frames + count
            network.set_priors(priors * frames)
            rounds.align(network, f"full sum, epoch {epoch} (cross-entropy {total / frames:.3f})")
        return network

    def _step(
        self, network: Network, train: AlignSet, group: list[Item], priors: torch.Tensor
    ) -> tuple[float, torch.Tensor, int]:
        """One step; the sum of the cross-entropies, the mean posteriors (pdfs,), and the frames."""
        lens = torch.tensor([item.frames for item in group])
        rows = [network.bands(train.store.load(item.index)) for item in group]
        padded = torch.from_numpy(np.concatenate(rows).astype(np.float32)).to(network.device)
        starts = np.cumsum([0, *map(len, rows)])
        first = np.concatenate([start + np.arange(n) for start, n in zip(starts, lens.tolist(), strict=False)])
        output = network(network.windows(padded, torch.from_numpy(first).to(network.device)))
        with torch.no_grad():
            inside = (torch.arange(int(lens.max())) < lens[:, None]).to(network.device)
            scores = torch.zeros(*inside.shape, output.shape[1], device=network.device)
            scores[inside] = self.settings.acoustic_scale * (output - self.settings.prior_scale * priors.log())
            nets = NetBatch([item.hmm.net for item in group], network.device)
            _, occupied = forward_backward(nets, scores, lens)
            targets = occupied[inside]
        loss = -(targets * output).sum() / len(output)
        network.optimizer.zero_grad()
        loss.backward()
        network.optimizer.step()
        return float(loss) * len(output), output.detach().exp().mean(0), len(output)
