"""What a way to align has to offer: something that scores frames, and the tree whose classes it scores."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from asrpar.align.config import AlignConfig
from asrpar.align.data import AlignSet, Item
from asrpar.feats.config import InputConfig
from asrpar.feats.stats import MeanStd
from asrpar.graph.utterance import UtteranceHmms
from asrpar.hmm.tree import Tree
from asrpar.lang.lang import Lang


class Scorer(ABC):
    """Log-likelihoods of frames.

    Attributes:
        subsampling: feature frames for each score.
    """

    subsampling: int = 1

    @abstractmethod
    def scores(self, items: Sequence[Item], features: Sequence[np.ndarray]) -> Tensor:
        """Log-likelihoods up to a constant for each frame, scaled as they are to count.

        Args:
            items: N utterances.
            features: of each, (T, C) normalised.

        Returns:
            (N, T', pdfs), where utterance n has ``items[n].frames`` of T'; what is behind them does not matter.
        """


@dataclass(frozen=True)
class Given:
    """What an alignment is made from.

    Attributes:
        config: settings.
        lang: units and pronunciations.
        feats: FEATS folder.
        device: that models run on.
        exp: experiment of a trained model, if one was given.
        model: its model file.
        tree: file or folder of a tree, if one was given.
    """

    config: AlignConfig
    lang: Lang
    feats: Path
    device: str
    exp: Path | None = None
    model: Path | None = None
    tree: Path | None = None


class Method(ABC):
    """A way to align. A page of `asrpar.align.methods` has one as ``Method``, beside ``Settings``.

    Attributes:
        needs_exp: it starts from a trained model.
        mean_std: global statistics to normalise features with; None for those of the FEATS folder.
        inputs: what the model sees of the features; None for the features themselves.
        subsampling: feature frames for each label.

    Args:
        settings: the page's ``Settings``.
        given: what there is.

    Raises:
        ConfigError, DataError: what is needed is not there, or does not fit.
    """

    needs_exp: bool = False
    mean_std: MeanStd | None = None
    inputs: InputConfig | None = None
    subsampling: int = 1

    def __init__(self, settings: Any, given: Given) -> None:
        self.settings, self.given = settings, given

    @abstractmethod
    def tree(self) -> Tree:
        """Whose classes are scored."""

    @abstractmethod
    def fit(self, train: AlignSet, hmms: UtteranceHmms) -> Scorer:
        """What aligns all sets; estimated on ``train`` where there is something to estimate.

        Args:
            train: the set for training.
            hmms: that its HMMs are from.
        """
