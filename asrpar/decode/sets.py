"""Sets of features to decode."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from torch import Tensor

from asrpar.errors import DataError, MissingInputError
from asrpar.feats import Batch, eval_batches
from asrpar.feats.config import FeatureConfig, InputConfig, read_settings
from asrpar.files.paths import entries, require_file


def check_sets(feats: Path, names: Sequence[str]) -> None:
    """Raise `MissingInputError` unless the folder has features of all these sets."""
    if not feats.is_dir():
        raise MissingInputError(f"there are no features in {feats}: run asrpar extract-features (stage 2) first")
    known = [p.name[len("cuts_") : -len(".jsonl.gz")] for p in entries(feats, "cuts_*.jsonl.gz")]
    for name in names:
        if name not in known:
            raise MissingInputError(f"{feats} has no set '{name}'; it has {', '.join(known) or 'none'}")


def feature_settings(feats: Path) -> FeatureConfig:
    """The settings that features were extracted with."""
    require_file(feats / "feats.yaml", "asrpar extract-features (stage 2)")
    return read_settings(feats)


def batches(
    feats: Path,
    name: str,
    max_frames: int,
    width: int,
    mean_std: tuple[Tensor, Tensor] | None,
    inputs: InputConfig | None = None,
    part: tuple[int, int] = (0, 1),
) -> Iterator[Batch]:
    """The batches of a set, or each n-th of them.

    Args:
        feats: FEATS folder.
        name: of the set.
        max_frames: in a batch.
        width: features a frame, as the model was trained with.
        mean_std: the model's statistics; None, of models of earlier versions, for those of the folder.
        inputs: what the model sees of the features.
        part: which, from 0, and n.

    Raises:
        DataError: features of another width.
        MissingInputError: the set has no such streams as the model was trained with.
    """
    rank, of = part
    found = eval_batches(feats, name, max_frames, num_learners=of, rank=rank, mean_std=mean_std, inputs=inputs)
    for batch in found:
        seen = batch.features.shape[2]
        if seen != width:
            raise DataError(
                f"the set '{name}' in {feats} has {seen} features a frame, but the model was trained with {width}: "
                "decode features of the same settings"
            )
        yield batch
