"""Trained models as scorers of frames, and what their classes are."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from asrpar.align.contract import Given, Scorer
from asrpar.align.data import Item
from asrpar.errors import AsrparError, ConfigError, DataError
from asrpar.feats.config import read_settings
from asrpar.feats.front_end import front_end
from asrpar.hmm.phones import Phones
from asrpar.hmm.topologies import TOPOLOGIES
from asrpar.hmm.topologies.contract import StateTopology
from asrpar.hmm.tree import FILE, Tree
from asrpar.log import get_logger
from asrpar.train.identity import Identity
from asrpar.train.model_io import load_acoustic_model

LOG = get_logger(__name__)


def load_model(given: Given) -> tuple[nn.Module, dict[str, Any]]:
    """The model of the experiment, and what was saved with it.

    Raises:
        DataError: the features are others than those of its training. AsrparError: the file cannot be used.
    """
    module, facts = load_acoustic_model(given.model, given.device)
    identity: Identity | None = facts["identity"]
    if identity is not None and (changed := identity.other_features(front_end(read_settings(given.feats)))):
        raise DataError(
            f"{given.feats} has other features than {given.model} was trained with ({'; '.join(changed)}): extract "
            "them with the settings of its training (asrpar extract-features, stage 2)"
        )
    return module, facts


def tree_of(given: Given, facts: dict[str, Any]) -> Tree:
    """The tree whose leaves a model's classes are.

    It is the one that was given, else that of the alignment of its training, else the tree without contexts of the
    chosen topology if that is it.

    Raises:
        ConfigError: none of these is the model's. DataError: the language folder has other units.
    """
    identity: Identity | None = facts["identity"]
    wanted = identity.tree if identity is not None else ""
    for path in _places(given):
        tree = Tree.read(path)
        if wanted not in ("", tree.digest) or tree.num_pdfs != facts["num_classes"]:
            if given.tree is not None:
                raise ConfigError(f"{path} is not the tree that {given.model} was trained with: give that by --tree")
            continue
        return _checked(tree, given)
    topology = TOPOLOGIES.make(given.config)
    if isinstance(topology, StateTopology):
        tree = Tree.monophone(Phones.of_lang(given.lang), topology)
        if wanted == tree.digest:
            return tree
    raise ConfigError(f"{given.model}: no tree that fits its {facts['num_classes']} classes was found: give --tree")


def _places(given: Given) -> list[Path]:
    """Where a model's tree may be."""
    if given.tree is not None:
        return [given.tree]
    found = [given.exp / FILE]
    config = given.exp / "config.yaml"
    if config.is_file():
        try:
            from asrpar.config import load_config
            from asrpar.train.config import TrainConfig

            ali = load_config(TrainConfig, config).data.ali
            found += [Path(ali) / FILE] if ali else []
        except AsrparError as e:
            LOG.warning("%s does not say where the tree is: %s", config, e)
    return [path for path in found if path.is_file()]


def _checked(tree: Tree, given: Given) -> Tree:
    known = Phones.of_lang(given.lang).names
    if tree.phones.names[: len(given.lang.tokens) - 1] != known[: len(given.lang.tokens) - 1]:
        raise DataError("the language folder has other units than the tree: give the folder of the model's training")
    return tree


class ModelScorer(Scorer):
    """Log-probabilities of a model, with priors taken out where it has them.

    Args:
        module: the model, in evaluation mode.
        device: where it is.
        scale: of the scores.
        log_priors: (C,) to subtract; None for nothing.
    """

    def __init__(self, module: nn.Module, device: str, scale: float = 1.0, log_priors: Tensor | None = None) -> None:
        self.module, self.device, self.scale = module, device, scale
        self.subsampling = module.subsampling
        self.log_priors = None if log_priors is None else log_priors.to(device)

    def outputs(self, features: Sequence[np.ndarray]) -> tuple[Tensor, Tensor]:
        """(N, T', C) scores of N matrices (T, C), and the lengths (N,) that belong to them."""
        lens = torch.tensor([len(one) for one in features])
        batch = torch.zeros(len(features), int(lens.max()), features[0].shape[1])
        for row, one in zip(batch, features, strict=True):
            row[: len(one)] = torch.from_numpy(one)
        found, frames = self.module(batch.to(self.device), lens.to(self.device))
        found = found.float()
        return self.scale * (found if self.log_priors is None else found - self.log_priors), frames.cpu()

    def scores(self, items: Sequence[Item], features: Sequence[np.ndarray]) -> Tensor:
        found, frames = self.outputs(features)
        if frames.tolist() != [item.frames for item in items]:
            raise DataError("the model gives other numbers of frames than its subsampling says")
        return found
