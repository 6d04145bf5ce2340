"""Whether a model, features and units belong together."""

from collections.abc import Sequence
from pathlib import Path

from asrpar.errors import DataError
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


def check_units(identity: Identity | None, model: Path, units: Sequence[str], where: Path) -> None:
    """Raise `DataError` if ``units``, the symbols in the file ``where``, are not the model's in the same order."""
    changed = identity.other_units(units) if identity is not None else []
    if changed:
        raise DataError(
            f"{where} has other units than {model} was trained with ({'; '.join(changed)}): decode with the graph of "
            "the language folder of its training"
        )
