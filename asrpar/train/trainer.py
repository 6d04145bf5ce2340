"""The trainer: one loop for every model and every strategy."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from asrpar.feats import Batch
from asrpar.nn.models import MODELS
from asrpar.parallel.comm import Comm
from asrpar.parallel.compress import COMPRESSIONS, make_wire
from asrpar.parallel.ema import Ema
from asrpar.parallel.faults import with_faults
from asrpar.parallel.look import Look
from asrpar.parallel.strategies import STRATEGIES, make_strategy
from asrpar.train.build import Parts
from asrpar.train.config import TrainConfig
from asrpar.train.dealing import make_shares
from asrpar.train.evaluate import Evaluation, evaluate
from asrpar.train.model_io import initial_weights, save_acoustic_model
from asrpar.train.progress import Progress
from asrpar.train.report import report
from asrpar.train.schedules import learning_rate
from asrpar.train.state import Position, restore, whole_state
from asrpar.train.timing import Timing


class Trainer:
    """Trains one acoustic model; every rank has one.

    Args:
        config: checked settings.
        settings: the strategy's.
        comm: all learners.
        parts: makes what the trainer is made of.
    """

    def __init__(self, config: TrainConfig, settings: Any, comm: Comm, parts: Parts | None = None) -> None:
        self.parts = parts or Parts(config)
        self.config = config
        self.comm = comm
        self.exp = Path(config.exp)
        self.feats = Path(config.data.feats)
        # Learners start from one model but must not share dropout masks.
        torch.manual_seed(config.seed * 1009 + comm.rank)
        workers = STRATEGIES.load(config.strategy).workers(settings, comm.size)
        self.serves = comm.rank >= workers
        self.loader = self.parts.loader(workers, comm.rank)
        self.objective = self.parts.objective
        self.learner = self.parts.learner(self.loader.num_features, comm)
        self.identity = self.parts.examine(self.loader, comm)
        self.device = self.learner.device
        self.timing = Timing(comm, self.exp / "trace", config.trace)
        self.learner.trace = self.trace = self.timing.trace
        wire = make_wire(config.compression, COMPRESSIONS.of(config), self.learner.shapes, self.learner.weights)
        seen = self.parts.witness(*with_faults(self.learner, comm, config.faults))
        self.strategy = make_strategy(config.strategy, settings, *seen, wire)
        self.shares = make_shares(config.batch.deal, self.strategy, seen[1], workers)
        self.watchdog = self.parts.watchdog(comm, self.timing, self.strategy)
        self.ema: Ema | None = None
        self.position = Position()
        self.checkpoints = self.parts.checkpoints(comm)
        self.batch: Batch | None = None
        # Shares of the epoch that this learner has consumed since the last synchronised moment.
        self.consumed: list[int] = []
        # A learner was lost in this epoch.
        self.learner_lost = False
        self.look = Look(comm, self.strategy.apart)
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
                    self.result = self.final_weights()
                    self.strategy.close()
                    return number
        finally:
            self.close()
        self.finish()
        return 0

    def begin(self, allow_learner_change: bool = False) -> None:
        """Take up the newest checkpoint, or start afresh."""
        config = self.config
        if not self.resume(allow_learner_change):
            if config.init_from:
                self.learner.weights.copy_(initial_weights(config.init_from, self.learner.shapes, self.identity))
            self.strategy.start()
            if config.ema.enabled:
                self.ema = self.average()
        self.stop = self.parts.stop(self.comm)
        total = self.loader.frames_per_epoch
        every = config.tensorboard_every_steps
        self.progress = Progress(self.comm.rank, self.exp / "tensorboard", total, self.position.frames, every)

    def close(self) -> None:
        """Give back what `begin` took: signals, progress bar, TensorBoard's file."""
        try:
            self.progress.close()
        finally:
            self.stop.close()

    def train_epoch(self) -> int:
        """One pass over the data, or what is left of it; returns the signal that stopped it within the pass, else 0."""
        p, config = self.position, self.config
        self.timing.begin()
        self.progress.begin_epoch(p.epoch + 1, config.epochs, p.frames - p.epoch * self.loader.frames_per_epoch)
        number = self.shares.run(self)
        # Whoever had a wish since is asked again at the epoch's end, where all wait for each other anyway.
        self.look.settle()
        self.observe()
        self.progress.end_epoch()
        self.lap()
        return number

    def consume(self, batches: Iterator[Batch]) -> int:
        """Take all batches of an epoch, or of a part of one; returns the signal that stopped it, else 0."""
        p, config = self.position, self.config
        while True:
            with self.trace.span("data"):
                batch = self.batch = next(batches, None)
            self.learner.lr = learning_rate(
                config.schedule, config.optimizer.lr, p.frames, self.loader.frames_per_epoch, config.epochs
            )
            if not self.strategy.step(batch):
                break
            self.batch = None
            if batch is not None:
                p.step += 1
                p.steps += 1
                p.frames += batch.global_frames
                self.consumed.append(batch.share)
                self.timing.frames += batch.num_frames
                self.strategy.wire.advance(batch.global_frames)
                self.progress.step(batch.global_frames, self.learner, p.frames, self.timing.elapsed())
            self.observe()
            self.watchdog.beat(p.steps)
            if batch is not None and self.between_steps():
                return self.stopped_by
        with self.watchdog.waiting():
            self.strategy.finish()
        # Learners that went at their own pace may have seen a signal while this one was still, or no longer, computing.
        return 0 if self.strategy.lockstep else self.stop.agreed()

    def rebuild(self, comm: Comm) -> None:
        """Go on among the learners of ``comm`` after others were lost."""
        if comm.rank == 0 and self.comm.rank != 0:
            p = self.position
            every = self.config.tensorboard_every_steps
            self.progress = Progress(0, self.exp / "tensorboard", self.loader.frames_per_epoch, p.frames, every)
            self.progress.begin_epoch(p.epoch + 1, self.config.epochs, 0)
        self.comm = self.checkpoints.comm = self.stop.comm = self.timing.comm = comm
        self.watchdog.regroup(comm)
        self.strategy = self.strategy.survive(comm)
        # From the next epoch on the data are dealt to those who are left.
        self.loader = self.parts.loader(comm.size, comm.rank)
        self.serves, self.learner_lost = False, True

    def between_steps(self) -> bool:
        """Dev loss, checkpoint and stop signals where they are due within an epoch; True to stop."""
        p, config = self.position, self.config
        # Who shares the batches of a lost learner is no longer at the same step as the others.
        due = p.steps if self.shares.alike and not self.learner_lost else 0
        dev = config.dev_every_steps and due and due % config.dev_every_steps == 0
        save = config.checkpoint.every_steps and due and due % config.checkpoint.every_steps == 0
        # Nobody waits for the others in order to ask them; but whoever has reason to wait makes all of them ask.
        if self.strategy.lockstep:
            look = self.look.step(self.stop.seen() > 0)
        else:
            look = bool(dev or save) or self.strategy.should_sync(self.stop.noticed())
            if look:
                with self.watchdog.waiting():
                    self.strategy.finish()
        if look:
            self.stopped_by = self.stop.agreed()
        self.pause(dev and not self.stopped_by, save and not self.stopped_by)
        return bool(self.stopped_by)

    def pause(self, dev: bool, save: bool) -> None:
        """Dev loss and checkpoint, where they are due, within an epoch. Collective."""
        if not (dev or save):
            return
        self.shares.synchronised(self.position.step)
        self.lap()
        if dev:
            found = self.evaluate()
            self.progress.scalars({"dev/loss": found.loss, "dev/ter": found.ter}, self.position.frames)
        if save:
            self.save()
        self.timing.begin()

    def end_epoch(self) -> None:
        """Count the epoch, report on it, and save where that is due."""
        p = self.position
        p.epoch += 1
        p.step, p.done = 0, []
        self.consumed.clear()
        if self.learner_lost:
            p.steps, p.frames = self.comm.broadcast_object((p.steps, p.frames))
            p.ema_frames, self.learner_lost = p.frames, False
        report(self)
        config = self.config
        if p.epoch % config.checkpoint.every_epochs == 0 or p.epoch in (config.epochs, config.stop_after_epochs):
            self.save()

    def lap(self) -> None:
        """Add the time since the last call to the training time, which leaves out dev sets."""
        self.position.seconds += self.timing.lap()

    def average(self) -> Ema:
        """A new average over time, which begins with the strategy's model."""
        ema = self.config.ema
        decay = ema.decay_epochs * self.loader.frames_per_epoch
        return Ema(self.strategy.observed(), decay, warmup=ema.warmup)

    def observe(self) -> None:
        """Show the synchronised model to the observers."""
        frames = self.position.frames - self.position.ema_frames
        if self.ema is not None and self.strategy.synchronised and frames > 0:
            self.ema.update(self.strategy.observed(), frames)
            self.position.ema_frames = self.position.frames

    def final_weights(self) -> Tensor:
        """(P,) what is evaluated and saved: θ̄ if there is one, else the strategy's model. Collective."""
        return self.strategy.consensus(self.ema.model()) if self.ema is not None else self.strategy.model()

    def evaluate(self, averaged: bool = True) -> Evaluation:
        """Dev loss and token error rate of the final weights, or of the one that is not ``averaged`` over time."""
        config = self.config
        return evaluate(
            self.learner,
            self.final_weights() if averaged else self.strategy.model(),
            self.comm,
            self.feats,
            config.data.dev,
            config.dev_max_frames,
            self.watchdog.beat,
        )

    def save(self) -> None:
        """Write a checkpoint of everything, on all ranks; not in what is left of an epoch in which a learner was lost.

        Who has taken which of its batches is known to nobody who would resume there.
        """
        if self.learner_lost:
            return
        self.checkpoints.save(self.position.epoch, self.position.steps, lambda: whole_state(self))
        self.watchdog.beat()

    def resume(self, allow_learner_change: bool) -> bool:
        """Restore the newest checkpoint; False if there is none."""
        state = self.checkpoints.load(torch.device("cpu"), allow_learner_change)
        if state is not None:
            restore(self, state)
        return state is not None

    def finish(self) -> None:
        """Write the final weights (rank 0)."""
        self.result = self.final_weights()
        if self.ema is not None and self.config.ema.both:
            self.write(self.strategy.model(), "unaveraged.pt")
        self.write(self.result, "final.pt")
        self.strategy.close()
        self.comm.barrier()

    def write(self, weights: Tensor, name: str) -> None:
        """Save a model (rank 0); its weights stay in the module."""
        self.learner.weights.copy_(weights)
        if self.comm.rank == 0:
            p, config = self.position, self.config
            notes = {"strategy": config.strategy, "learners": self.comm.size, "seed": config.seed, "frames": p.frames}
            save_acoustic_model(
                self.exp / name,
                self.learner.own_module(),
                model=config.model,
                settings=MODELS.of(config),
                loss=config.loss,
                blank=self.objective.blank,
                num_features=self.loader.num_features,
                num_classes=self.objective.num_classes,
                notes=notes,
                identity=self.identity,
            )
