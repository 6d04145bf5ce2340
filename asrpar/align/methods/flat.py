"""From transcripts alone: one Gaussian a state from equal lengths on, then a small network.

The Gaussians find the words, which a network that starts from equal lengths does not: it settles on a worse point, and
that few frames still change says nothing of it. The network, with fresh weights on their alignment, finds the phones.
"""

from dataclasses import dataclass, field

from asrpar.align.contract import Method as Base
from asrpar.align.contract import Scorer
from asrpar.align.data import AlignSet
from asrpar.align.monophone import Rounds, chosen, equal_labels, gaussian_rounds, monophone_tree, network_rounds
from asrpar.align.network import NetworkSettings
from asrpar.graph.utterance import UtteranceHmms
from asrpar.hmm.tree import Tree
from asrpar.rules import at_least, fraction


@dataclass
class Settings:
    """The flat start.

    Attributes:
        cepstra: that the Gaussians see, with their differences; made from the stored filter banks.
        rounds: of Gaussians at most.
        changed: stop them when a smaller share of the frames changes.
        networks: how many are trained; the mean of their scores aligns, which depends less on the seed than one's.
        network_rounds: times that the network is trained, and aligns; 0 leaves the alignment to the Gaussians.
        epochs: of training in each of these.
        frames: to estimate on, at most: of larger corpora utterances are drawn at random.
        copies: estimate on copies at other speeds, too; they are aligned in any case.
        network: the network.
    """

    cepstra: int = 13
    rounds: int = 25
    changed: float = 0.01
    networks: int = 4
    network_rounds: int = 3
    epochs: int = 1
    frames: int = 2_000_000
    copies: bool = False
    network: NetworkSettings = field(default_factory=NetworkSettings)

    def validate(self) -> None:
        at_least(self, 1, "cepstra", "rounds", "epochs", "frames", "networks")
        at_least(self, 0, "network_rounds")
        fraction(self, "changed")


class Method(Base):
    """Equal lengths, Gaussians, network."""

    def tree(self) -> Tree:
        return monophone_tree(self.given)

    def fit(self, train: AlignSet, hmms: UtteranceHmms) -> Scorer:
        s, config = self.settings, self.given.config
        rounds = Rounds(self.given, train, chosen(train, s.frames, s.copies, config.seed), hmms.tree)
        gaussians = gaussian_rounds(rounds, equal_labels(rounds.items, hmms), s.cepstra, s.rounds, s.changed)
        if not s.network_rounds:
            return gaussians
        return network_rounds(rounds, s.network, s.network_rounds, s.epochs, s.networks)
