"""The trainer: one loop for every model and every strategy."""

import time
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from asrpar.errors import TrainingError
from asrpar.lang.lang import Lang
from asrpar.log import get_logger
from asrpar.parallel.comm import Comm
from asrpar.parallel.ema import Ema
from asrpar.parallel.strategies import algorithm_class, make_strategy
from asrpar.train.build import check_transcripts, make_learner, make_loader, without_speech
from asrpar.train.checkpoint import Checkpoints
from asrpar.train.config import TrainConfig
from asrpar.train.evaluate import Evaluation, evaluate
from asrpar.train.model_io import save_acoustic_model
from asrpar.train.progress import Progress
from asrpar.train.schedules import learning_rate
from asrpar.train.signals import StopRequest

log = get_logger(__name__)

# Steps between two looks at stop signals: agreeing costs a message of a few bytes.
STOP_CHECK_STEPS = 10


@dataclass
class Position:
    """Where a run is: finished epochs, consumed steps of the current one, and totals over all learners."""

    epoch: int = 0
    step: int = 0
    steps: int = 0
    frames: int = 0
    ema_frames: int = 0
    seconds: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)


class Trainer:
    """Trains one acoustic model; every rank has one.

    Args:
        config: checked settings.
        settings: the strategy's.
        comm: all learners.
    """

    def __init__(self, config: TrainConfig, settings: Any, comm: Comm) -> None:
        self.config = config
        self.comm = comm
        self.exp = Path(config.exp)
        self.feats = Path(config.data.feats)
        # Learners start from one model but must not share dropout masks.
        torch.manual_seed(config.seed * 1009 + comm.rank)
        lang = Lang.load(config.data.lang)
        workers = algorithm_class(config.strategy).workers(settings, comm.size)
        self.serves = comm.rank >= workers
        self.loader = make_loader(config, workers, comm.rank)
        check_transcripts(lang, self.loader.texts, config)
        self.num_classes = lang.num_tokens
        self.learner = make_learner(config, lang, self.loader.num_features, comm.rank)
        self.device = self.learner.device
        self.strategy = make_strategy(config.strategy, settings, self.learner, comm)
        self.ema: Ema | None = None
        self.position = Position()
        self.checkpoints = Checkpoints(self.exp / "checkpoints", comm, config.checkpoint.keep)
        self.clock = 0.0
        self.stop_checked = 0
        self.stopped_by = 0

    def run(self) -> int:
        """Train to the end, once `begin` is done. Returns 0, or the signal that stopped it."""
        config = self.config
        p = self.position
        last = min(config.epochs, config.stop_after_epochs or config.epochs)
        try:
            while p.epoch < last:
                number = self.train_epoch()
                if not number:
                    self.end_epoch()
                    number = self.stop.agreed() if p.epoch < last else 0
                if number:
                    self.save()
                    self.result = self.shipped()
                    return number
        finally:
            self.close()
        self.finish()
        return 0

    def begin(self, allow_learner_change: bool = False) -> None:
        """Take up the newest checkpoint, or start afresh."""
        config = self.config
        if not self.resume(allow_learner_change):
            self.strategy.start()
            if config.ema.enabled:
                self.ema = Ema(self.strategy.observed(), config.ema.decay_epochs * self.loader.frames_per_epoch)
        self.stop = StopRequest(self.comm, config.time_limit_minutes)
        total = self.loader.frames_per_epoch
        self.progress = Progress(self.comm.rank, self.exp / "tensorboard", total, self.position.frames)

    def close(self) -> None:
        """Give back what `begin` took: signals, progress bar, TensorBoard's file."""
        self.progress.close()
        self.stop.close()

    def train_epoch(self) -> int:
        """One pass over the data, or what is left of it; returns the signal that stopped it within the pass, else 0."""
        p, config = self.position, self.config
        self.clock = time.perf_counter()
        seen = sum(self.loader.global_frames(p.epoch)[: p.step])
        self.progress.begin_epoch(p.epoch + 1, config.epochs, seen)
        batches = self.loader.epoch(p.epoch, start_step=p.step)
        batches = without_speech(batches) if self.serves else batches
        while True:
            batch = next(batches, None)
            self.learner.lr = learning_rate(
                config.schedule, config.optimizer.lr, p.frames, self.loader.frames_per_epoch, config.epochs
            )
            if not self.strategy.step(batch):
                break
            if batch is not None:
                p.step += 1
                p.steps += 1
                p.frames += batch.global_frames
                self.strategy.wire.advance(batch.global_frames)
                self.progress.step(batch.global_frames, self.running_loss(), self.learner.lr)
            self.observe()
            if batch is not None and self.between_steps():
                return self.stopped_by
        self.strategy.finish()
        self.observe()
        self.progress.end_epoch()
        self.lap()
        # Learners that went at their own pace may have seen a signal while this one was still, or no longer, computing.
        return 0 if self.strategy.lockstep else self.stop.agreed()

    def between_steps(self) -> bool:
        """Dev loss, checkpoint and stop signals where they are due within an epoch; True to stop."""
        p, config = self.position, self.config
        dev = config.dev_every_steps and p.steps % config.dev_every_steps == 0
        save = config.checkpoint.every_steps and p.steps % config.checkpoint.every_steps == 0
        if self.strategy.lockstep:
            look = p.steps - self.stop_checked >= STOP_CHECK_STEPS
        else:
            # Nobody waits for the others in order to ask them; but whoever has reason to wait makes all of them ask.
            look = dev or save or self.stop.noticed()
            if look:
                self.strategy.finish()
        if look:
            self.stop_checked = p.steps
            self.stopped_by = self.stop.agreed()
        if dev or save or self.stopped_by:
            self.lap()
        if dev and not self.stopped_by:
            found = self.evaluate()
            self.progress.scalars({"dev/loss": found.loss, "dev/ter": found.ter}, p.frames)
        if save and not self.stopped_by:
            self.save()
        if dev or save:
            self.clock = time.perf_counter()
        return bool(self.stopped_by)

    def end_epoch(self) -> None:
        """Count the epoch, report on it, and save where that is due."""
        p = self.position
        p.epoch += 1
        p.step = 0
        self.report()
        config = self.config
        if p.epoch % config.checkpoint.every_epochs == 0 or p.epoch in (config.epochs, config.stop_after_epochs):
            self.save()

    def lap(self) -> None:
        """Add the time since the last call to the training time, which leaves out dev sets."""
        now = time.perf_counter()
        self.position.seconds += now - self.clock
        self.clock = now

    def observe(self) -> None:
        """Show the synchronised model to the observers."""
        frames = self.position.frames - self.position.ema_frames
        if self.ema is not None and self.strategy.synchronised and frames:
            self.ema.update(self.strategy.observed(), frames)
            self.position.ema_frames = self.position.frames

    def shipped(self) -> Tensor:
        """(P,) what is evaluated and saved: θ̄ if there is one, else the strategy's model. Collective."""
        return self.strategy.consensus(self.ema.mean if self.ema is not None else self.strategy.observed())

    def evaluate(self) -> Evaluation:
        """Dev loss and token error rate of the shipped model."""
        config = self.config
        return evaluate(self.learner, self.shipped(), self.comm, self.feats, config.data.dev, config.dev_max_frames)

    def report(self) -> None:
        """Evaluate, and write one line about the epoch that has just ended."""
        p = self.position
        before = p.history[-1] if p.history else {"frames": 0.0, "seconds": 0.0}
        frames_per_second = (p.frames - before["frames"]) / max(p.seconds - before["seconds"], 1e-9)
        tally = torch.tensor(self.learner.take_tally(), dtype=torch.float64)
        self.comm.allreduce(tally)
        loss_sum, frames, left_out = tally.tolist()
        self.check_agreement()
        skipped = self.comm.allgather_object(self.learner.nonfinite)
        dev = self.evaluate()
        values = {
            "epoch": float(p.epoch),
            "frames": float(p.frames),
            "seconds": p.seconds,
            "train_loss": loss_sum / max(frames, 1.0),
            "dev_loss": dev.loss,
            "dev_ter": dev.ter,
            "frames_per_second": frames_per_second,
            "lr": self.learner.lr,
        }
        p.history.append(values)
        extra = f", {left_out:.0f} utterances too short for their transcript" if left_out else ""
        extra += f", updates skipped so far as not finite, by rank: {skipped}" if any(skipped) else ""
        log.info(
            "epoch %d: train loss %.4f, dev loss %.4f, dev token errors %.2f %%, %.0f frames/s, lr %.2e%s",
            p.epoch, values["train_loss"], dev.loss, dev.ter, frames_per_second, self.learner.lr, extra,
        )  # fmt: skip
        self.progress.scalars(
            {f"epoch/{k}": v for k, v in values.items() if k not in ("epoch", "frames", "seconds")}, p.frames
        )

    def check_agreement(self) -> None:
        """`TrainingError` unless all learners hold the same model, which rounding on unlike machines could prevent."""
        sums = self.comm.allgather_object(zlib.crc32(self.strategy.model().detach().cpu().numpy()))
        if len(set(sums)) > 1:
            raise TrainingError(
                f"after epoch {self.position.epoch} the learners hold different models (checksums by rank: {sums}): "
                "their processors or libraries round differently; run on machines of one kind"
            )

    def running_loss(self) -> float | None:
        """This rank's mean training loss in the current epoch, nats per frame."""
        return self.learner.loss_sum / self.learner.loss_frames if self.learner.loss_frames else None

    def save(self) -> None:
        """Write a checkpoint of everything, on all ranks."""
        p = self.position
        state = {
            "strategy_name": self.config.strategy,
            "position": {**vars(p)},
            "learner": self.learner.state_dict(),
            "strategy": self.strategy.state_dict(),
            "wire": self.strategy.wire.state_dict(),
            "ema": self.ema.state_dict() if self.ema is not None else None,
            "threads": torch.get_num_threads(),
            "device": self.device.type,
            "random": torch.get_rng_state(),
            "cuda_random": torch.cuda.get_rng_state(self.device) if self.device.type == "cuda" else None,
        }
        self.checkpoints.save(p.epoch, p.steps, state)

    def resume(self, allow_learner_change: bool) -> bool:
        """Restore the newest checkpoint; False if there is none."""
        state = self.checkpoints.load(torch.device("cpu"), allow_learner_change)
        if state is None:
            return False
        self.position = Position(**state["position"])
        before, now = (state["device"], state["threads"]), (self.device.type, torch.get_num_threads())
        if before != now:
            log.warning("resuming on %s with %d threads what ran on %s with %d: last bits may differ", *now, *before)
        self.learner.load_state_dict(state["learner"])
        self.strategy.load_state_dict(state["strategy"])
        self.strategy.wire.load_state_dict(state["wire"])
        if state["ema"] is not None:
            self.ema = Ema(self.strategy.observed(), self.config.ema.decay_epochs * self.loader.frames_per_epoch)
            self.ema.load_state_dict(state["ema"])
        if state["learners"] == self.comm.size:
            torch.set_rng_state(state["random"])
            if state["cuda_random"] is not None and self.device.type == "cuda":
                torch.cuda.set_rng_state(state["cuda_random"], self.device)
        return True

    def finish(self) -> None:
        """Write the model that is shipped (rank 0)."""
        self.result = self.shipped()
        self.learner.weights.copy_(self.result)
        self.strategy.close()
        if self.comm.rank == 0:
            p, config = self.position, self.config
            notes = {"strategy": config.strategy, "learners": self.comm.size, "seed": config.seed, "frames": p.frames}
            save_acoustic_model(
                self.exp / "final.pt",
                self.learner.module,
                config.model,
                self.loader.num_features,
                self.num_classes,
                notes,
            )
        self.comm.barrier()
