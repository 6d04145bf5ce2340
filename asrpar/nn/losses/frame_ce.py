"""Cross-entropy of single frames, against labels that an alignment gives: the loss of hybrid DNN-HMM models.

Bourlard and Morgan 1994; with a ``label_delay`` for models that do not see what comes, as Sak et al. 2014 train LSTMs.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from asrpar.errors import ConfigError, DataError
from asrpar.nn.cross_entropy import cross_entropy
from asrpar.nn.frontend import output_frames
from asrpar.nn.objective import Misfit, Objective, Sources, Spoken
from asrpar.rules import below_one, need, not_negative

# The label of a frame that has none.
NONE = -1
# Utterances whose labels are kept as they have been checked: about those of a pool.
CHECKED = 4096


@dataclass
class Settings:
    """Cross-entropy of frames.

    Attributes:
        label_delay: output frames by which the model may answer late; the first so many have no label. Of windows the
            last so many labels are lost, unless batch.context shows what is behind.
        label_smoothing: share of a frame's target that is spread over all classes.
        silence_share: share of the frames of silence that are in the loss, evenly spread; priors are those of what is
            left.
    """

    label_delay: int = 0
    label_smoothing: float = 0.0
    silence_share: float = 1.0

    def validate(self) -> None:
        not_negative(self, "label_delay")
        below_one(self, "label_smoothing")
        need(self, "silence_share", 0 < self.silence_share <= 1, "must be above 0, and at most 1")


class Loss(Objective[np.ndarray]):
    """A label for each output frame, (T',) int64; `NONE`, or any below 0, for frames that are in no loss.

    Those are frames of utterances without labels, the first of a ``label_delay``, those that a batch shows only as
    context of others, and silence beyond its share. They add nothing to the sum and are not counted: what is minimised
    is the mean over the frames that have a label, whatever batches they are in.
    """

    lacking = "no labels of frames"
    of_scores = True
    of_labels = True

    def __init__(self, settings: Settings, sources: Sources) -> None:
        if sources.labels is None:
            raise ConfigError(
                "loss is frame_ce, which needs labels of frames from an alignment: this training has none, give "
                "--set data.ali=FOLDER (stage 4, asrpar align), or use loss=ctc"
            )
        given = sources.labels
        self.delay, self.smoothing = settings.label_delay, settings.label_smoothing
        self.subsampling = sources.subsampling
        self.labels, self.num_classes, self.lengths = given.labels, given.num_classes, given.lengths
        self.classes, self.tree = given.names, given.tree
        self.silences, self.share = np.array(given.silences, np.int64), settings.silence_share
        self._checked = functools.lru_cache(CHECKED)(self._check)
        self.log_priors = None if given.counts is None else log_priors(self._counted(given.counts))

    def targets(self, utterance: Spoken, frames: np.ndarray | None = None) -> np.ndarray:
        labels = self._of_input_frames(utterance)
        if labels is None:
            return np.empty(0, np.int64)
        if frames is not None:
            labels = np.where(frames < 0, NONE, labels[frames])
        # An output frame belongs to the first input frame of those that it stands for.
        labels = labels[:: self.subsampling]
        delayed = np.full(len(labels), NONE, np.int64)
        delayed[self.delay :] = labels[: max(0, len(labels) - self.delay)]
        return delayed

    def loss(self, output: Tensor, lens: Tensor, targets: list[np.ndarray]) -> tuple[Tensor, list[bool]]:
        labels = self._padded(output, lens, targets)
        # The dev set's loss is that of the labels themselves, so that trainings can be compared.
        smoothing = self.smoothing if torch.is_grad_enabled() else 0.0
        on_device = torch.from_numpy(labels).to(output.device)
        total = cross_entropy(output.flatten(0, 1), on_device.flatten(), NONE, smoothing)
        return total, (labels != NONE).any(axis=1).tolist()

    def frames_in(self, targets: list[np.ndarray]) -> int:
        return int((np.concatenate(targets) >= 0).sum()) if targets else 0

    def errors(self, output: Tensor, lens: Tensor, targets: list[np.ndarray]) -> tuple[int, int]:
        labels = torch.from_numpy(self._padded(output, lens, targets)).to(output.device)
        known = labels != NONE
        return int((output.argmax(-1) != labels)[known].sum()), int(known.sum())

    def misfit(self, utterance: Spoken, frames: int) -> Misfit | None:
        if self._of_input_frames(utterance) is None:
            return Misfit(missing=(utterance.id,))
        return Misfit(frames=self.delay + 1) if frames <= self.delay else None

    def doubtful(self, ids: Sequence[str], num_frames: np.ndarray) -> np.ndarray | None:
        if self.lengths is None:
            return None
        known, fewer = self.lengths(ids), output_frames(num_frames, self.subsampling)
        return ((known != num_frames) & (known != fewer)) | (fewer <= self.delay)

    def _of_input_frames(self, utterance: Spoken) -> np.ndarray | None:
        """(T,) a label for each of an utterance's frames; None if there are none."""
        # Of windows, an utterance has dozens in a pool.
        return self._checked(utterance.id, utterance.num_frames)

    def _check(self, name: str, frames: int) -> np.ndarray | None:
        labels = self.labels.get(name)
        if labels is None:
            return None
        labels, fewer = np.asarray(labels), output_frames(frames, self.subsampling)
        if labels.ndim != 1 or labels.dtype.kind not in "iu" or len(labels) not in (frames, fewer):
            also = f" or {fewer}, for every {self.subsampling}" if fewer != frames else ""
            raise DataError(
                f"the labels of utterance {name} are {labels.dtype} of shape {labels.shape}: {frames} integers "
                f"are needed, one for each frame{also}; take labels of the features that the training is on"
            )
        if len(labels) and labels.max() >= self.num_classes:
            raise DataError(
                f"utterance {name} has label {labels.max()}, but there are {self.num_classes} classes: "
                "take labels and classes that were made together"
            )
        if self.share < 1:
            labels = self._with_less_silence(labels, 1 if len(labels) < frames else self.subsampling)
        if len(labels) < frames:
            # Each input frame has the label of the output frame next to it, so that a batch may begin at any.
            nearest = (np.arange(frames) + self.subsampling // 2) // self.subsampling
            labels = labels[np.minimum(nearest, fewer - 1)]
        return labels

    def _with_less_silence(self, labels: np.ndarray, together: int) -> np.ndarray:
        """``labels`` (T,), `NONE` at all frames of silence but for an evenly spread share.

        So many frames are kept or left out ``together``: of those, an output frame has the label of one. If each had
        its own turn, every third label might be kept and every third one asked for, and no two of them the same.
        """
        where = np.flatnonzero(np.isin(labels, self.silences))
        turn = np.arange(len(where)) // together
        labels = labels.astype(np.int64)
        labels[where[np.floor((turn + 1) * self.share) == np.floor(turn * self.share)]] = NONE
        return labels

    def _counted(self, counts: np.ndarray) -> np.ndarray:
        """(C,) how often classes are labels in this loss."""
        counts = np.array(counts, np.float64)
        counts[self.silences] *= self.share
        return counts

    @staticmethod
    def _padded(output: Tensor, lens: Tensor, targets: list[np.ndarray]) -> np.ndarray:
        """(N, T') int64 for scores (N, T', C), `NONE` where a frame is in no loss."""
        # Of windows there are thousands in a batch: no loop over them.
        known, frames = np.fromiter(map(len, targets), np.int64, len(targets)), lens.cpu().numpy()
        wrong = np.flatnonzero((known != 0) & (known != frames))
        if len(wrong):
            raise DataError(f"a model gave {frames[wrong[0]]} output frames where there are {known[wrong[0]]} labels")
        labels = np.full(output.shape[:2], NONE, np.int64)
        if known.any():
            labels[np.arange(output.shape[1]) < known[:, None]] = np.maximum(np.concatenate(targets), NONE)
        return labels


def log_priors(counts: np.ndarray) -> np.ndarray:
    """(C,) counts of classes -> (C,) float32 logarithms of (n + 1) / (Σ n + C), so that one never seen has a prior."""
    counts = np.asarray(counts, np.float64)
    return np.log((counts + 1) / (counts.sum() + len(counts))).astype(np.float32)
