"""Whether a model, features and units belong together."""

from pathlib import Path

from asrpar.decode.engine import Symbols
from asrpar.decode.engines import ENGINES
from asrpar.errors import ConfigError, DataError
from asrpar.feats.config import FeatureConfig
from asrpar.feats.front_end import front_end
from asrpar.log import get_logger
from asrpar.train.identity import Identity

LOG = get_logger(__name__)


def check_features(identity: Identity | None, model: Path, feats: Path, config: FeatureConfig) -> None:
    """Refuse features of other settings than a model was trained with.

    Args:
        identity: the model's; None, for models of earlier versions, is a warning, as nothing can be compared.
        model: its file.
        feats: FEATS folder.
        config: of it.

    Raises:
        DataError: says what differs.
    """
    if identity is None:
        LOG.warning(
            "%s, of an earlier version, does not say which features and units it was trained with: see that these are "
            "they, or train again",
            model,
        )
        return
    changed = identity.other_features(front_end(config))
    if changed:
        raise DataError(
            f"{feats} has other features than {model} was trained with ({'; '.join(changed)}): extract them with the "
            "settings of its training (asrpar extract-features, stage 2)"
        )


def check_engine(identity: Identity | None, model: Path, engine: str) -> None:
    """Raise `ConfigError` for an engine without a graph where classes are states of phones, which spell nothing."""
    if identity is not None and identity.classes and not ENGINES.load(engine).needs_graph:
        raise ConfigError(
            f"the classes of {model} are states of phones, of which the {engine} engine makes no words: give --graph, "
            "and an engine that searches it, such as kaldi"
        )


def check_units(identity: Identity | None, model: Path, symbols: Symbols) -> None:
    """Raise `DataError` if classes are not the model's in the same order, or leaves of another tree."""
    changed = identity.other_units(symbols.classes) if identity is not None else []
    if changed:
        folder = "tree" if symbols.tree else "language folder"
        raise DataError(
            f"{symbols.where} has other units than {model} was trained with ({'; '.join(changed)}): decode with the "
            f"graph of the {folder} of its training"
        )
    if identity is not None and symbols.tree and symbols.tree != identity.tree:
        raise DataError(
            f"{symbols.where} has other questions or states than the tree that {model} was trained with: make the "
            "graph with the tree of its alignment (asrpar make-graph --tree, stage 5)"
        )
