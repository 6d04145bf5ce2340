"""What is told about an epoch that has ended."""

import zlib
from dataclasses import dataclass

import torch
from torch import Tensor

from asrpar.errors import TrainingError
from asrpar.log import get_logger
from asrpar.numbers import ratio
from asrpar.parallel.comm import Comm
from asrpar.train.average import Models
from asrpar.train.evaluate import DevSet, Evaluation
from asrpar.train.learner import AcousticLearner
from asrpar.train.position import Position
from asrpar.train.progress import Progress
from asrpar.train.timing import Timing

log = get_logger(__name__)

# Quantities whose mean over an epoch is kept in the history, beside the losses.
KEPT = ("staleness", "consensus_distance")


@dataclass
class Trained:
    """What the learners tell of an epoch's training.

    Attributes:
        loss: in nats per frame; NaN of nothing.
        left_out: utterances that were in no loss.
        skipped: updates that were not finite, so far, by rank.
    """

    loss: float
    left_out: int
    skipped: list[int]

    @classmethod
    def gather(cls, learner: AcousticLearner, comm: Comm) -> "Trained":
        """Take the tallies of all learners since the last time. Collective."""
        tally = torch.tensor(learner.take_tally(), dtype=torch.float64)
        comm.allreduce(tally)
        loss_sum, frames, left_out = tally.tolist()
        if left_out and not frames and comm.rank == 0:
            log.warning("nothing of this epoch was in a loss, so nothing was learnt")
        return cls(ratio(loss_sum, frames), round(left_out), comm.allgather_object(learner.nonfinite))


def epoch_values(p: Position, trained: Trained, dev: Evaluation, lr: float) -> dict[str, float]:
    """What the history keeps of an epoch that ended at ``p``, and now lies behind the last entry of it."""
    before = p.history[-1] if p.history else {"frames": 0.0, "seconds": 0.0}
    return {
        "epoch": float(p.epoch),
        "frames": float(p.frames),
        "seconds": p.seconds,
        "train_loss": trained.loss,
        "dev_loss": dev.loss,
        "dev_error_rate": dev.error_rate,
        "frames_per_second": ratio(p.frames - before["frames"], p.seconds - before["seconds"]),
        "lr": lr,
    }


def log_epoch(values: dict[str, float], trained: Trained, errors_are: str) -> None:
    """One line about an epoch."""
    extra = f", {trained.left_out} utterances in no loss" if trained.left_out else ""
    if any(trained.skipped):
        extra += f", updates skipped so far as not finite, by rank: {trained.skipped}"
    log.info(
        "epoch %d: train loss %.4f, dev loss %.4f, dev %s %.2f %%, %.0f frames/s, lr %.2e%s",
        values["epoch"], values["train_loss"], values["dev_loss"], errors_are, values["dev_error_rate"],
        values["frames_per_second"], values["lr"], extra,
    )  # fmt: skip


class Reports:
    """Evaluates the models of each epoch's end, and tells about them and the epoch.

    Args:
        learner: of this rank.
        timing: what the time went to.
        progress: where scalars go.
        dev: held-out set.
        both: whether the strategy's model is evaluated beside its average over time.
    """

    def __init__(
        self,
        learner: AcousticLearner,
        timing: Timing,
        progress: Progress,
        dev: DevSet,
        *,
        both: bool,
    ) -> None:
        self.learner, self.timing, self.progress = learner, timing, progress
        self.dev, self.both = dev, both

    def tell(self, models: Models, p: Position, comm: Comm) -> None:
        """About the epoch that ended at ``p``, with these models, into its history, too. Collective."""
        trained = Trained.gather(self.learner, comm)
        check_agreement(models.plain, comm, p.epoch)
        values = epoch_values(p, trained, self.dev.evaluate(models.final, comm), self.learner.lr)
        if self.both:
            plain = self.dev.evaluate(models.plain, comm)
            values |= {"dev_loss_unaveraged": plain.loss, "dev_error_rate_unaveraged": plain.error_rate}
        log_epoch(values, trained, self.learner.objective.errors_are)
        times = self.timing.end_epoch()
        shown = {f"epoch/{k}": v for k, v in values.items() if k not in ("epoch", "frames", "seconds")}
        self.progress.scalars(shown | times, p.frames)
        p.history.append(values | {name: times[f"time/{name}"] for name in KEPT if f"time/{name}" in times})


def check_agreement(model: Tensor, comm: Comm, epoch: int) -> None:
    """`TrainingError` unless all learners hold the same model, which rounding on unlike machines could prevent."""
    sums = comm.allgather_object(zlib.crc32(model.detach().cpu().numpy()))
    if len(set(sums)) > 1:
        raise TrainingError(
            f"after epoch {epoch} the learners hold different models (checksums by rank: {sums}): "
            "their processors or libraries round differently; run on machines of one kind"
        )
