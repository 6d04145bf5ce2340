"""What a learner gets in a step, and who says what its targets are."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch

from asrpar.feats.store import Utterance


@dataclass
class Batch:
    """One learner's share of one global batch; N may be 0.

    N are utterances, or windows of them, or it is 1 where single frames of many utterances are in one row.
    """

    features: torch.Tensor  # (V · N, T, C) float32, 0 after an utterance's end; V views, one behind the other
    feature_lens: torch.Tensor  # (V · N,) int64, frames
    targets: list[Any]  # of each utterance, as the objective made them; its transcript where there is no objective
    ids: list[str]
    num_frames: int  # of this share's utterances, without padding; `feature_lens` lack those that a random start drops
    global_frames: int  # of the whole global batch over all learners, without padding
    epoch: int
    step: int  # in the epoch
    share: int = -1  # in the epoch: step · learners + the learner that it was made for


class MakesTargets(Protocol):
    """Who knows what utterances' targets are, and how many ``views`` of each a batch is to have, if more than one: an
    `asrpar.nn.objective.Objective`.
    """

    def targets(self, utterance: Utterance, frames: np.ndarray | None = None) -> Any:
        """The targets of an utterance of which a batch shows ``frames`` (T,); None if it shows all in their order.

        A number below 0 stands for a frame that is shown as context of others.
        """
