"""With a trained model whose classes are states of phones: hybrid, or LF-MMI."""

from dataclasses import dataclass
from typing import Any

from asrpar.align.contract import Given, Scorer
from asrpar.align.contract import Method as Base
from asrpar.align.data import AlignSet
from asrpar.align.trained import ModelScorer, load_model, tree_of
from asrpar.errors import ConfigError
from asrpar.graph.utterance import UtteranceHmms
from asrpar.hmm.tree import Tree
from asrpar.rules import not_negative, positive


@dataclass
class Settings:
    """Alignment with a model.

    Attributes:
        acoustic_scale: of its scores, against transition probabilities.
        prior_scale: how much of its log-priors is subtracted, where it has any.
    """

    acoustic_scale: float = 1.0
    prior_scale: float = 1.0

    def validate(self) -> None:
        positive(self, "acoustic_scale")
        not_negative(self, "prior_scale")


class Method(Base):
    """The best path of each transcript."""

    needs_exp = True

    def __init__(self, settings: Any, given: Given) -> None:
        super().__init__(settings, given)
        self.module, self.facts = load_model(given)
        if self.facts["blank"] is not None:
            raise ConfigError(
                f"{given.model} was trained with {self.facts['loss']}, whose classes are no states: give --method ctc, "
                "which starts from such a model"
            )
        identity = self.facts["identity"]
        self.mean_std = identity.mean_std if identity is not None else None
        self.inputs = identity.input_config if identity is not None else None
        self.subsampling = self.module.subsampling

    def tree(self) -> Tree:
        return tree_of(self.given, self.facts)

    def fit(self, train: AlignSet, hmms: UtteranceHmms) -> Scorer:
        priors = self.facts.get("log_priors")
        scaled = None if priors is None else self.settings.prior_scale * priors
        return ModelScorer(self.module, self.given.device, self.settings.acoustic_scale, scaled)
