"""The trainer: one loop for every model and every strategy."""

from typing import Any

from asrpar.parallel.comm import Comm, LearnerLost
from asrpar.train.average import Models
from asrpar.train.build import Parts
from asrpar.train.company import Company, need_rejoining
from asrpar.train.config import TrainConfig
from asrpar.train.epoch_pass import EpochPass
from asrpar.train.model_io import initial_weights
from asrpar.train.run import Run
from asrpar.train.summary import Result
from asrpar.train.warm_start import begin_together


class Trainer(Run):
    """Trains one acoustic model; every rank has one.

    Args:
        config: checked settings.
        settings: the strategy's.
        comm: all learners.
        parts: makes what the trainer is made of.
    """

    def __init__(self, config: TrainConfig, settings: Any, comm: Comm, parts: Parts | None = None) -> None:
        self.company = Company(comm)
        need_rejoining(config.strategy, comm)
        super().__init__(config, settings, comm, parts)

    def begin(self, allow_learner_change: bool = False) -> None:
        """Take up the newest checkpoint, or start afresh; or come in, in a lost learner's place."""
        if self.company.new:
            with self.watchdog.waiting():
                self.company.join(self)
        elif not self.resume(allow_learner_change):
            self.start()
        self.stop.listen()
        self.progress.open(self.position.frames)

    def start(self) -> None:
        """The first moment of a fresh run."""
        origin = self.config.init_from
        if origin:
            self.learner.weights.copy_(initial_weights(origin, self.learner.shapes, self.identity))
        self.strategy.start()
        self.average.start(self.strategy.observed())

    def run(self) -> Result:
        """Train to the end, or until a signal stops it, once `begin` is done."""
        try:
            models, stopped = self.train()
        finally:
            self.close()
        if stopped:
            self.stop.ignore()
        else:
            self.write(models)
        return self.result(models, stopped)

    def train(self) -> tuple[Models, int]:
        """All epochs that are left; returns the models of the last moment, and the signal that stopped it, else 0."""
        p, config = self.position, self.config
        last = min(config.epochs, config.stop_after_epochs or config.epochs)
        models, stopped = Models(self.strategy, self.average), 0
        while p.epoch < last and not (stopped or self.course.over):
            del models  # of the epoch before: up to two vectors as long as the weights
            try:
                stopped, models = self.whole_epoch(last)
            except LearnerLost:
                if not self.shares.deals_anew:
                    raise
                self.timing.begin()
                self.company.recover(self)
                p.seconds += self.timing.lap()
                models = Models(self.strategy, self.average)
        if stopped:
            self.save(models)
        return models, stopped

    def whole_epoch(self, last: int) -> tuple[int, Models]:
        """What is left of an epoch, and all that follows it; returns what `train` does.

        Args:
            last: the epoch that ends the run.
        """
        stopped = self.train_epoch()
        models = Models(self.strategy, self.average)
        if not stopped:
            models = self.end_epoch(models)
            stopped = self.stop.agreed() if self.position.epoch < last else 0
            if self.stop.joining:
                self.company.join(self)
                models = Models(self.strategy, self.average)
        return stopped, models

    def close(self) -> None:
        """Give back what `begin` took: signals, progress bar, TensorBoard's file."""
        try:
            self.progress.close()
        finally:
            self.stop.close()

    def train_epoch(self) -> int:
        """One pass over the data, or what is left of it; returns the signal that stopped it within the pass, else 0."""
        self.timing.begin()
        try:
            return EpochPass(self, self.company).take()
        finally:
            self.position.seconds += self.timing.lap()

    def end_epoch(self, models: Models) -> Models:
        """Count the epoch, report on it, do what follows from it, and save where that is due.

        Returns the models with which training goes on. If a learner is lost meanwhile, the epoch has not ended.
        """
        if not self.shares.deals_anew:
            return self.conclude(models)
        p, tally = self.position, self.learner.take_tally()
        self.learner.give_back(tally)
        before, course = {**p.state_dict(), "history": list(p.history)}, self.course.state_dict()
        try:
            return self.conclude(models)
        except LearnerLost:
            p.load_state_dict(before)
            self.learner.take_tally()
            self.learner.give_back(tally)
            if course is not None:
                self.course.load_state_dict(course)
            raise

    def conclude(self, models: Models) -> Models:
        """What `end_epoch` does."""
        p, config = self.position, self.config
        p.end_epoch()
        if self.learner_lost:
            p.steps, p.frames = self.comm.broadcast_object((p.steps, p.frames))
            p.ema_frames, self.learner_lost = p.frames, False
        self.reports.tell(models, p, self.comm)
        if self.comm.rank == 0:
            self.final.keep(models, self.learner, self.comm.size, p)
        back = self.course.judge(models, p, self.comm)
        joined = p.epoch == config.warm_start_epochs and self.strategy is not self.together.strategy
        if joined:
            self.take_up(self.together)
            begin_together(self.strategy, self.learner, self.average, self.comm)
        if back or joined:
            models = Models(self.strategy, self.average)
        if joined and self.course.best is not None:
            # What was kept is of a learner alone, of whose state the strategy can make nothing.
            self.course.keep(models, self.course.best["epoch"] if back else p.epoch, self.comm.rank)
        last = p.epoch in (config.epochs, config.stop_after_epochs) or self.course.over
        if last or p.epoch % config.checkpoint.every_epochs == 0:
            self.save(models)
        return models

    def write(self, models: Models) -> None:
        """What the training was for, by the first rank. Collective."""
        models.prepare()
        if self.comm.rank == 0:
            self.final.write(models, self.learner, self.comm.size, self.position.frames)
        self.comm.barrier()

    def result(self, models: Models, stopped: int) -> Result:
        """What the training came to; nothing of it goes on. Collective."""
        weights = models.final
        self.strategy.close()
        times = self.timing.summary()
        self.timing.close()
        self.parts.close(self.comm.rank)
        cause = self.stop.cause(stopped) if stopped else ""
        saved, over = not self.learner_lost, self.course.over
        return Result(weights, self.position, self.comm, times, stopped, cause, saved=saved, over=over)
