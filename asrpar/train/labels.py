"""Labels of frames from an ALI folder, and whether they are labels of the features that a training is on."""

import hashlib
from collections import ChainMap
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from asrpar.errors import DataError
from asrpar.feats.config import FeatureConfig, read_settings
from asrpar.feats.store import Utterance
from asrpar.nn.objective import FrameLabels
from asrpar.train.config import DataConfig

MADE_BY = "stage 4 (asrpar align)"


class Aligned(Protocol):
    """What of an ALI folder labels are made of: `asrpar.hmm.alignments.Alignments`.

    Attributes:
        tree: whose leaves (pdfs) labels are.
        frame_shift: seconds between two feature frames.
        subsampling: feature frames for each label.
        splits: names of the sets that are aligned.
    """

    tree: Any
    frame_shift: float
    subsampling: int
    splits: Sequence[str]

    def labels(self, split: str) -> Mapping[str, np.ndarray]:
        """Pdfs (T,) of the frames of each utterance of a set that could be aligned."""

    def counts(self) -> np.ndarray:
        """(num_pdfs,) frames of each pdf in the training set."""


def open_alignments(folder: str | Path) -> Aligned:
    """An ALI folder. Raises `AsrparError` where it is none."""
    from asrpar.hmm.alignments import Alignments

    return Alignments.open(folder)


def frame_labels(data: DataConfig, subsampling: int) -> FrameLabels | None:
    """Labels for the training and dev sets; None if the settings name no ALI folder.

    Args:
        data: where all is.
        subsampling: input frames for each output frame of the model.

    Raises:
        DataError: labels of other frames, or of other sets.
    """
    if not data.ali:
        return None
    found = open_alignments(data.ali)
    check_frames(found, data, read_settings(data.feats), subsampling)
    tree = found.tree
    silences = tuple(i for i in range(tree.num_pdfs) if all(tree.phones.is_silence(p) for p, _ in tree.phones_of(i)))
    labels = ChainMap(*(found.labels(split) for split in sets(found, data)))
    return FrameLabels(tree.num_pdfs, labels, tuple(tree.names), found.counts(), silences, tree.digest)


def check_frames(found: Aligned, data: DataConfig, features: FeatureConfig, subsampling: int) -> None:
    """Raise `DataError` unless labels are one for each feature frame, or for each output frame of the model."""
    # 0.01 s is Lhotse's default, which a configuration may leave out.
    shift = float(features.fbank.get("frame_shift", 0.01))
    if abs(found.frame_shift - shift) > 1e-6:
        raise DataError(
            f"{data.ali} has labels of features every {found.frame_shift:g} s, but those in {data.feats} come every "
            f"{shift:g} s: align with these features ({MADE_BY})"
        )
    if found.subsampling not in (1, subsampling):
        raise DataError(
            f"{data.ali} has a label for every {found.subsampling} frames, but the model gives an output for every "
            f"{subsampling}: set the model's subsampling to {found.subsampling}, or align frame by frame ({MADE_BY})"
        )


def sets(found: Aligned, data: DataConfig) -> list[str]:
    """The sets of a training, each once. Raises `DataError` for one that is not aligned."""
    wanted = list(dict.fromkeys((data.train, data.dev)))
    absent = [split for split in wanted if split not in found.splits]
    if absent:
        raise DataError(
            f"{data.ali} has no alignment of the set '{absent[0]}' (but of {', '.join(found.splits) or 'none'}): align "
            f"it, too ({MADE_BY})"
        )
    return wanted


def alignment_of(
    data: DataConfig, utterances: Mapping[str, Sequence[Utterance]], digest: Callable[[Iterable[Any]], str]
) -> dict[str, Any]:
    """What the labels of a training are, as `Identity` keeps it: empty without.

    Args:
        data: of the training.
        utterances: of its sets.
        digest: of plain values.
    """
    if not data.ali:
        return {}
    found = open_alignments(data.ali)
    facts: dict[str, Any] = {"tree": found.tree.digest, "subsampling": found.subsampling}
    for split in sets(found, data):
        labels = found.labels(split)
        facts[split] = digest([u.id, fingerprint(labels.get(u.id))] for u in utterances[split])
    return facts


def fingerprint(labels: np.ndarray | None) -> str:
    """Of the labels of one utterance; empty without."""
    return "" if labels is None else hashlib.sha256(np.asarray(labels, np.int32).tobytes()).hexdigest()
