"""From a model trained with CTC: units have to be where its spikes are, Gaussians and a network find their bounds.

The spikes say which pronunciation was spoken, and about where, but no times: a spike lies somewhere within its unit, so
words that went from spike to spike would begin late and end early.
"""

from dataclasses import dataclass
from typing import Any

from asrpar.align.contract import Given, Scorer
from asrpar.align.contract import Method as Base
from asrpar.align.data import AlignSet
from asrpar.align.methods import flat
from asrpar.align.monophone import Rounds, chosen, equal_labels, gaussian_rounds, monophone_tree, network_rounds
from asrpar.align.spikes import AtSpikes, find_spikes, spike_labels
from asrpar.align.trained import ModelScorer, load_model
from asrpar.errors import ConfigError, DataError
from asrpar.graph.utterance import UtteranceHmms
from asrpar.hmm.tree import Tree
from asrpar.log import get_logger
from asrpar.rules import not_negative, positive

LOG = get_logger(__name__)


@dataclass
class Settings(flat.Settings):
    """The start from spikes.

    Attributes:
        penalty: log-likelihood that a frame with a spike loses in any phone but the spike's, for the Gaussians.
        reach: seconds from a spike to where silence begins, in the labels to begin with.
    """

    penalty: float = 20.0
    reach: float = 0.12

    def validate(self) -> None:
        super().validate()
        not_negative(self, "penalty")
        positive(self, "reach")


class Method(Base):
    """Spikes, Gaussians, network."""

    needs_exp = True

    def __init__(self, settings: Any, given: Given) -> None:
        super().__init__(settings, given)
        self.module, self.facts = load_model(given)
        if self.facts["blank"] is None:
            raise ConfigError(f"{given.model} was trained with {self.facts['loss']}, not ctc: give --method model")
        if self.facts["num_classes"] != given.lang.num_tokens:
            raise DataError(
                f"{given.model} has {self.facts['num_classes']} classes, the language folder {given.lang.num_tokens} "
                "tokens: give the folder of the model's training"
            )
        identity = self.facts["identity"]
        self.mean_std = identity.mean_std if identity is not None else None
        if identity is not None and identity.inputs:
            raise ConfigError(
                f"{given.model} was trained with input settings (differences, streams or neighbours), but spikes are "
                "looked for in the features that Gaussians see: train a CTC model without them"
            )

    def tree(self) -> Tree:
        return monophone_tree(self.given)

    def fit(self, train: AlignSet, hmms: UtteranceHmms) -> Scorer:
        s, config, tree = self.settings, self.given.config, hmms.tree
        rounds = Rounds(self.given, train, chosen(train, s.frames, s.copies, config.seed), tree)
        model = ModelScorer(self.module, self.given.device)
        spikes = find_spikes(train.store, rounds.items, hmms, model, config.max_frames)
        lost = [item for item in rounds.items if item.utterance.id not in spikes]
        if lost:
            LOG.warning("%d utterances have too few output frames for CTC: they start from equal lengths", len(lost))
        reach = max(1, round(s.reach / float(train.store.config.fbank.get("frame_shift", 0.01))))
        labels = equal_labels(lost, hmms)
        for item in rounds.items:
            if found := spikes.get(item.utterance.id):
                labels[item.utterance.id] = spike_labels(item, found, hmms, reach)
        gaussians = gaussian_rounds(
            rounds, labels, s.cepstra, s.rounds, s.changed, lambda scorer, _: AtSpikes(scorer, spikes, tree, s.penalty)
        )
        if not s.network_rounds:
            return gaussians
        return network_rounds(rounds, s.network, s.network_rounds, s.epochs, s.networks)
