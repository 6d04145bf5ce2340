"""What is told about an epoch that has ended."""

import zlib
from typing import TYPE_CHECKING

import torch

from asrpar.errors import TrainingError
from asrpar.log import get_logger
from asrpar.numbers import ratio

if TYPE_CHECKING:
    from asrpar.train.trainer import Trainer

log = get_logger(__name__)

# Quantities whose mean over an epoch is kept in the history, beside the losses.
KEPT = ("staleness", "consensus_distance")


def report(trainer: "Trainer") -> None:
    """Evaluate, and write one line about the epoch, and its scalars. Collective."""
    p, learner = trainer.position, trainer.learner
    before = p.history[-1] if p.history else {"frames": 0.0, "seconds": 0.0}
    frames_per_second = ratio(p.frames - before["frames"], p.seconds - before["seconds"])
    tally = torch.tensor(learner.take_tally(), dtype=torch.float64)
    trainer.comm.allreduce(tally)
    loss_sum, frames, left_out = tally.tolist()
    check_agreement(trainer)
    skipped = trainer.comm.allgather_object(learner.nonfinite)
    dev = trainer.evaluate()
    values = {
        "epoch": float(p.epoch),
        "frames": float(p.frames),
        "seconds": p.seconds,
        "train_loss": ratio(loss_sum, frames),
        "dev_loss": dev.loss,
        "dev_ter": dev.ter,
        "frames_per_second": frames_per_second,
        "lr": learner.lr,
    }
    if trainer.ema is not None and trainer.config.ema.both:
        plain = trainer.evaluate(averaged=False)
        values |= {"dev_loss_unaveraged": plain.loss, "dev_ter_unaveraged": plain.ter}
    p.history.append(values)
    extra = f", {left_out:.0f} utterances in no loss" if left_out else ""
    extra += f", updates skipped so far as not finite, by rank: {skipped}" if any(skipped) else ""
    log.info(
        "epoch %d: train loss %.4f, dev loss %.4f, dev %s %.2f %%, %.0f frames/s, lr %.2e%s",
        p.epoch, values["train_loss"], dev.loss, learner.objective.errors_are, dev.ter, frames_per_second, learner.lr,
        extra,
    )  # fmt: skip
    scalars = {f"epoch/{k}": v for k, v in values.items() if k not in ("epoch", "frames", "seconds")}
    times = trainer.timing.end_epoch()
    values |= {name: times[f"time/{name}"] for name in KEPT if f"time/{name}" in times}
    trainer.progress.scalars(scalars | times, p.frames)


def check_agreement(trainer: "Trainer") -> None:
    """`TrainingError` unless all learners hold the same model, which rounding on unlike machines could prevent."""
    sums = trainer.comm.allgather_object(zlib.crc32(trainer.strategy.model().detach().cpu().numpy()))
    if len(set(sums)) > 1:
        raise TrainingError(
            f"after epoch {trainer.position.epoch} the learners hold different models (checksums by rank: {sums}): "
            "their processors or libraries round differently; run on machines of one kind"
        )
