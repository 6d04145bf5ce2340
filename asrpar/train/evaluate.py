"""Loss and error rate on a held-out set, shared over the learners."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from asrpar.feats import Batch, eval_batches
from asrpar.numbers import ratio
from asrpar.parallel.comm import Comm
from asrpar.train.config import TrainConfig
from asrpar.train.learner import AcousticLearner, frames_in


@dataclass
class Evaluation:
    """``loss`` in nats per frame; ``error_rate``, the objective's errors in percent; NaN if there was nothing."""

    loss: float
    error_rate: float


class DevSet:
    """The held-out set of a training.

    Args:
        config: which, and how large its batches are.
        learner: of this rank; its own weights, counters and random state are after each evaluation as before.
        beat: called for each batch.
    """

    def __init__(self, config: TrainConfig, learner: AcousticLearner, beat: Callable[[], None]) -> None:
        self.feats, self.split = Path(config.data.feats), config.data.dev
        self.max_frames, self.learner, self.beat = config.dev_max_frames, learner, beat
        self.inputs = config.input

    def evaluate(self, weights: Tensor, comm: Comm) -> Evaluation:
        """Evaluate the model ``weights`` (P,); all ranks call it, and all get the same result."""
        self.learner.module.eval()
        share = {"num_learners": comm.size, "rank": comm.rank, "objective": self.learner.objective}
        share["inputs"] = self.inputs
        batches = eval_batches(self.feats, self.split, self.max_frames, **share)
        with weights_of(self.learner, weights):
            totals = tally(self.learner, batches, self.beat)
        comm.allreduce(totals)
        loss_sum, frames, errors, count = totals.tolist()
        return Evaluation(ratio(loss_sum, frames), 100.0 * ratio(errors, count))


@contextmanager
def weights_of(learner: AcousticLearner, weights: Tensor) -> Iterator[None]:
    """Within, the learner has the ``weights`` (P,) of a model; nothing is copied."""
    own = learner.weights
    learner.move(weights)
    try:
        yield
    finally:
        learner.move(own)


@torch.no_grad()
def tally(learner: AcousticLearner, batches: Iterable[Batch], beat: Callable[[], None]) -> Tensor:
    """(4,) float64: summed loss, its frames, errors, and of how many, in this learner's batches."""
    totals = torch.zeros(4, dtype=torch.float64)
    for batch in batches:
        beat()
        if not batch.ids:
            continue
        loss, used, output, lens = learner.batch_loss(batch)
        errors, count = learner.objective.errors(output, lens, batch.targets)
        frames = frames_in(batch, used, learner.objective)
        totals += torch.tensor([loss.item(), frames, errors, count], dtype=torch.float64)
    return totals
