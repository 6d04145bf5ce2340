"""Cross-entropy of single frames, against labels that an alignment gives: the loss of hybrid DNN-HMM models.

Bourlard and Morgan 1994; with a ``label_delay`` for models that do not see what comes, as Sak et al. 2014 train LSTMs.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from asrpar.errors import ConfigError, DataError
from asrpar.nn.cross_entropy import cross_entropy
from asrpar.nn.frontend import output_frames
from asrpar.nn.objective import Misfit, Objective, Sources, Spoken
from asrpar.rules import not_negative

# The label of a frame that has none.
NONE = -1


@dataclass
class Settings:
    """Cross-entropy of frames.

    Attributes:
        label_delay: output frames by which the model may answer late; the first so many have no label.
    """

    label_delay: int = 0

    def validate(self) -> None:
        not_negative(self, "label_delay")


class Loss(Objective[np.ndarray]):
    """A label for each output frame, (T',) int64; `NONE`, or any below 0, for frames that are in no loss."""

    lacking = "no labels of frames"
    of_scores = True

    def __init__(self, settings: Settings, sources: Sources) -> None:
        if sources.labels is None:
            raise ConfigError(
                "loss is frame_ce, which needs labels of frames from an alignment: this training has none, use loss=ctc"
            )
        self.delay, self.subsampling = settings.label_delay, sources.subsampling
        self.labels, self.num_classes = sources.labels.labels, sources.labels.num_classes

    def targets(self, utterance: Spoken, frames: np.ndarray | None = None) -> np.ndarray:
        labels = self._of_input_frames(utterance)
        if labels is None:
            return np.empty(0, np.int64)
        # An output frame belongs to the first input frame of those that it stands for.
        labels = (labels if frames is None else labels[frames])[:: self.subsampling]
        delayed = np.full(len(labels), NONE, np.int64)
        delayed[self.delay :] = labels[: max(0, len(labels) - self.delay)]
        return delayed

    def loss(self, output: Tensor, lens: Tensor, targets: list[np.ndarray]) -> tuple[Tensor, list[bool]]:
        labels = self._padded(output, lens, targets)
        return cross_entropy(output.flatten(0, 1), labels.flatten(), NONE), [bool((t >= 0).any()) for t in targets]

    def errors(self, output: Tensor, lens: Tensor, targets: list[np.ndarray]) -> tuple[int, int]:
        labels = self._padded(output, lens, targets)
        known = labels != NONE
        return int((output.argmax(-1) != labels)[known].sum()), int(known.sum())

    def misfit(self, utterance: Spoken, frames: int) -> Misfit | None:
        if self._of_input_frames(utterance) is None:
            return Misfit(missing=(utterance.id,))
        return Misfit(frames=self.delay + 1) if frames <= self.delay else None

    def _of_input_frames(self, utterance: Spoken) -> np.ndarray | None:
        """(T,) a label for each of an utterance's frames; None if there are none."""
        labels = self.labels.get(utterance.id)
        if labels is None:
            return None
        labels = np.asarray(labels)
        frames, fewer = utterance.num_frames, output_frames(utterance.num_frames, self.subsampling)
        if labels.ndim != 1 or labels.dtype.kind not in "iu" or len(labels) not in (frames, fewer):
            also = f" or {fewer}, for every {self.subsampling}" if fewer != frames else ""
            raise DataError(
                f"the labels of utterance {utterance.id} are {labels.dtype} of shape {labels.shape}: {frames} integers "
                f"are needed, one for each frame{also}; take labels of the features that the training is on"
            )
        if len(labels) and labels.max() >= self.num_classes:
            raise DataError(
                f"utterance {utterance.id} has label {labels.max()}, but there are {self.num_classes} classes: "
                "take labels and classes that were made together"
            )
        if len(labels) < frames:
            # Each input frame has the label of the output frame next to it, so that a batch may begin at any.
            nearest = (np.arange(frames) + self.subsampling // 2) // self.subsampling
            labels = labels[np.minimum(nearest, fewer - 1)]
        return labels

    @staticmethod
    def _padded(output: Tensor, lens: Tensor, targets: list[np.ndarray]) -> Tensor:
        """(N, T') int64 on the device of ``output``, `NONE` where a frame is in no loss."""
        labels = np.full(output.shape[:2], NONE, np.int64)
        for row, frames, t in zip(labels, lens.tolist(), targets, strict=True):
            if len(t) not in (0, frames):
                raise DataError(f"a model gave {frames} output frames where there are {len(t)} labels")
            row[: len(t)] = np.maximum(t, NONE)
        return torch.from_numpy(labels).to(output.device)
