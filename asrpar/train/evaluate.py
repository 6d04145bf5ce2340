"""Loss and token error rate on a held-out set, shared over the learners."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from asrpar.feats import Batch, eval_batches
from asrpar.numbers import ratio
from asrpar.parallel.comm import Comm
from asrpar.train.learner import AcousticLearner, frames_in


@dataclass
class Evaluation:
    """``loss`` in nats per frame; ``ter``, token errors of the best path in percent; NaN if there was nothing."""

    loss: float
    ter: float


def evaluate(
    learner: AcousticLearner,
    weights: Tensor,
    comm: Comm,
    feats: Path,
    split: str,
    max_frames: int,
    beat: Callable[[], None] = lambda: None,
) -> Evaluation:
    """Evaluate the model ``weights`` (P,) on ``split``; all ranks call it, and all get the same result.

    The learner's own weights, counters and random state are as before afterwards. ``beat`` is called for each batch.
    """
    own = learner.weights.clone()
    learner.weights.copy_(weights)
    learner.module.eval()
    batches = eval_batches(feats, split, max_frames, num_learners=comm.size, rank=comm.rank)
    totals = tally(learner, batches, beat)
    learner.weights.copy_(own)
    comm.allreduce(totals)
    loss_sum, frames, errors, tokens = totals.tolist()
    return Evaluation(ratio(loss_sum, frames), 100.0 * ratio(errors, tokens))


@torch.no_grad()
def tally(learner: AcousticLearner, batches: Iterable[Batch], beat: Callable[[], None]) -> Tensor:
    """(4,) float64: summed loss, frames, token errors of the best path and tokens of this learner's batches."""
    import kaldialign

    totals = torch.zeros(4, dtype=torch.float64)
    for batch in batches:
        beat()
        if not batch.texts:
            continue
        loss, used, log_probs, lens = learner.batch_loss(batch)
        best = log_probs.argmax(-1).cpu()
        errors = tokens = 0
        for path, n, text in zip(best, lens.tolist(), batch.texts, strict=True):
            variants = learner.encode(text)
            if not variants:
                continue
            hypothesis = [t for t in torch.unique_consecutive(path[:n]).tolist() if t != 0]
            errors += min(kaldialign.edit_distance(reference, hypothesis)["total"] for reference in variants)
            tokens += len(variants[0])
        totals += torch.tensor([loss.item(), frames_in(batch, used), errors, tokens], dtype=torch.float64)
    return totals
