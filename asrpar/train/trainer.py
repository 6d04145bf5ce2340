"""The trainer: one loop for every model and every strategy."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from asrpar.feats import Batch
from asrpar.parallel.comm import Comm, LearnerLost
from asrpar.parallel.contract import Strategy
from asrpar.parallel.look import Look
from asrpar.parallel.strategies import STRATEGIES
from asrpar.train.average import Average, Models
from asrpar.train.build import Parts
from asrpar.train.company import Company, need_rejoining
from asrpar.train.config import TrainConfig
from asrpar.train.course import Course
from asrpar.train.dealing import OnDemand
from asrpar.train.epochs import Due, Intervals, Outcome, Part
from asrpar.train.evaluate import DevSet
from asrpar.train.final import FinalModels
from asrpar.train.members import Members
from asrpar.train.model_io import initial_weights
from asrpar.train.position import Position
from asrpar.train.progress import Progress
from asrpar.train.report import Reports
from asrpar.train.rounds import Rounds
from asrpar.train.schedules import SCHEDULES
from asrpar.train.state import Machine, Stateful, check_same_data, restore, whole_state
from asrpar.train.summary import Result
from asrpar.train.timing import Timing
from asrpar.train.warm_start import Work, begin_together, first_alone


class Trainer:
    """Trains one acoustic model; every rank has one.

    Args:
        config: checked settings.
        settings: the strategy's.
        comm: all learners.
        parts: makes what the trainer is made of.
    """

    def __init__(self, config: TrainConfig, settings: Any, comm: Comm, parts: Parts | None = None) -> None:
        self.config, self.comm, self.parts = config, comm, parts or Parts(config)
        exp = Path(config.exp)
        self.company, invitation = Company(comm), comm.invitation
        need_rejoining(config.strategy, comm)
        # Learners start from one model but must not share dropout masks.
        torch.manual_seed(config.seed * 1009 + comm.seat)
        workers = STRATEGIES.load(config.strategy).workers(settings, comm.size)
        loader = self.parts.loader(invitation.brief.workers if invitation else workers, comm.rank)
        self.learner = self.parts.learner(loader.num_features, comm)
        self.schedule = SCHEDULES.make(config, self.learner.lr, loader.frames_per_epoch, config.epochs)
        self.identity = invitation.brief.identity if invitation else self.parts.examine(loader, comm)
        self.timing = Timing(comm, exp / "trace", config.trace)
        self.learner.trace = self.timing.trace
        strategy, seen = self.parts.strategy(settings, self.learner, comm)
        self.together = Work.of(strategy, loader, self.parts.shares(strategy, seen, workers), comm)
        warm = config.warm_start_epochs and comm.size > 1
        self.take_up(first_alone(strategy, self.parts.loader, seen) if warm else self.together)
        self.intervals = Intervals.of(config)
        self.watchdog = self.parts.watchdog(comm, self.timing, strategy)
        self.position = Position()
        self.average = Average(config.ema, strategy.observed(), loader.frames_per_epoch)
        self.course = Course(self.schedule, self.undoable)
        self.checkpoints = self.parts.checkpoints(comm)
        self.stop = self.parts.stop(comm)
        self.groups = [self.timing, self.checkpoints, self.stop, self.watchdog]
        frames, every = loader.frames_per_epoch, config.tensorboard_every_steps
        self.progress = Progress(comm.rank if invitation is None else comm.size, exp / "tensorboard", frames, every)
        self.dev = DevSet(config, self.learner, self.watchdog.beat)
        both = config.ema.enabled and config.ema.both
        self.reports = Reports(self.learner, self.timing, self.progress, self.dev, both=both)
        self.final = FinalModels(config, self.parts.objective, self.identity, loader.num_features)
        # In this epoch, of which nothing can be saved then.
        self.learner_lost = False

    def take_up(self, work: Work) -> None:
        """Work so from now on."""
        self.strategy, self.loader, self.shares, self.look = work

    def begin(self, allow_learner_change: bool = False) -> None:
        """Take up the newest checkpoint, or start afresh; or come in, in a lost learner's place."""
        if self.company.new:
            with self.watchdog.waiting():
                self.join()
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
                if not self.shares.own_pace:
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
                self.join()
                models = Models(self.strategy, self.average)
        return stopped, models

    def join(self) -> None:
        """Let in those who are ready to come in lost learners' places; or come in. Collective."""
        try:
            self.company.join(self)
        except LearnerLost:
            self.company.recover(self)

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
            return self.pass_over_data()
        finally:
            self.position.seconds += self.timing.lap()

    def pass_over_data(self) -> int:
        """What `train_epoch` times."""
        p, stopped = self.position, 0
        self.progress.begin_epoch(p.epoch + 1, self.config.epochs, p.frames - p.epoch * self.loader.frames_per_epoch)
        if (
            self.comm.recalls
            and self.strategy.own_pace
            and not self.shares.own_pace
            and self.comm.size < self.company.size
        ):
            # Who had equal shares has lost learners: those who are called back come in at any time from now on.
            self.company.meet(self, self.comm)
        workers = self.workers()
        if self.shares.own_pace and not p.within_epoch and self.loader.num_learners != workers:
            self.loader = self.parts.reshared(self.loader, workers, self.comm.rank)
        joining = True
        while joining:
            joining = False
            for part in self.shares.parts(self.comm, self.loader, p):
                self.pause(part.due)
                self.take(part)
                stopped, joining = part.outcome.stopped, part.outcome.joining
            if joining:
                self.join()
        # Whoever had a wish since is asked again at the epoch's end, where all wait for each other anyway.
        self.look.settle()
        self.average.observe(self.strategy, p)
        self.progress.end_epoch()
        return stopped

    def workers(self) -> int:
        """How many of the learners are dealt batches."""
        return type(self.strategy).workers(self.strategy.settings, self.comm.size)

    def take(self, part: Part) -> None:
        """Take the steps of a part; those that are left go on if a learner is lost meanwhile."""
        outcome = part.outcome = Outcome()
        try:
            with part as batches:
                outcome.stopped = self.take_steps(part, batches, outcome)
                outcome.joining = self.stop.joining
        except LearnerLost:
            if self.strategy.lockstep and outcome.unfinished is not None:
                self.taken(outcome.unfinished, outcome)
            if self.shares.own_pace:
                raise
            outcome.survivors = self.regroup(part.members)

    def take_steps(self, part: Part, batches: Iterator[Batch], outcome: Outcome) -> int:
        """Consume all batches of a part; returns the signal that stopped it, else 0."""
        while True:
            batch = outcome.unfinished = self.next_batch(batches)
            if not self.strategy.step(batch):
                break
            if batch is not None:
                self.taken(batch, outcome)
                if self.strategy.lockstep and self.strategy.synchronised:
                    part.members.synchronised(self.position.step - self.strategy.lag)
            self.average.observe(self.strategy, self.position)
            self.watchdog.beat(self.position.steps)
            if batch is not None and ((stopped := self.between_steps(part)) or self.stop.joining):
                return stopped
        self.synchronise()
        # Learners that went at their own pace may have seen a signal while this one was still, or no longer, computing.
        return 0 if self.strategy.lockstep else self.stop.agreed()

    def next_batch(self, batches: Iterator[Batch]) -> Batch | None:
        """The next batch, None after the last, and the learning rate of its step."""
        with self.timing.trace.span("data"):
            batch = next(batches, None)
        self.learner.lr = self.schedule.rate(self.position.frames)
        return batch

    def taken(self, batch: Batch, outcome: Outcome) -> None:
        """The step of a batch has been taken."""
        outcome.unfinished = None
        self.count(batch)
        outcome.consumed.append(batch.share)

    def count(self, batch: Batch) -> None:
        """A step was taken with a batch."""
        self.position.advance(batch.global_frames)
        self.timing.frames += batch.num_frames
        self.strategy.wire.advance(batch.global_frames)
        self.progress.step(batch.global_frames, self.learner, self.position.frames, self.timing.elapsed())

    def synchronise(self) -> None:
        """Bring the strategy to a synchronised state."""
        with self.watchdog.waiting():
            self.strategy.finish()

    def between_steps(self, part: Part) -> int:
        """Dev loss, checkpoint, stop signals where they are due within a part; returns the signal to stop, else 0."""
        # Who shares the batches of a lost learner is no longer at the same step as the others.
        alike = part.alike and not self.learner_lost
        # Where learners at their own pace were stopped, some had passed what lay before others: nobody goes back to it.
        alike = alike and (self.strategy.lockstep or self.position.step > part.members.furthest)
        due = self.intervals.due(self.position.steps) if alike else Due()
        stopped = self.stop.agreed() if self.should_ask(due) else 0
        if any(due) and not stopped:
            if not self.strategy.lockstep:
                part.members.synchronised(self.position.step)
            self.pause(due)
        return stopped

    def should_ask(self, due: Due) -> bool:
        """Whether learners now ask each other for stop signals; those at their own pace are synchronised then.

        Nobody waits for the others in order to ask them; but whoever has reason to wait makes all of them ask.
        """
        if self.strategy.lockstep:
            return self.look.step(self.stop.wish() != 0)
        self.company.notice(self)
        ask = any(due) or self.strategy.should_sync(self.stop.noticed())
        if ask:
            self.synchronise()
        return ask

    def pause(self, due: Due) -> None:
        """Dev loss and checkpoint, where they are due, within an epoch. Collective."""
        if not any(due):
            return
        self.position.seconds += self.timing.lap()
        models = Models(self.strategy, self.average)
        if due.dev:
            found = self.dev.evaluate(models.final, self.comm)
            self.progress.scalars({"dev/loss": found.loss, "dev/error_rate": found.error_rate}, self.position.frames)
        if due.save:
            self.save(models)
        self.timing.begin()

    def go_on(self, strategy: Strategy) -> None:
        """Go on with a strategy that is among the learners of `comm`, after some were lost or came. Collective."""
        p, self.strategy = self.position, strategy
        workers = self.workers()
        together = strategy.lockstep
        self.shares = Rounds(self.comm) if together else OnDemand(self.comm, workers, self.intervals)
        self.look = Look(self.comm, strategy.apart)
        if together:
            self.average.agree(p, self.comm)
        # Positions within an epoch are those of its learners, and those of rounds are no steps of it.
        self.learner_lost = p.within_epoch and (together or self.loader.num_learners != workers)
        if self.comm.rank == 0 and self.progress.rank:
            self.parts.take_over()
            self.progress.take_over(p.frames, p.epoch + 1, self.config.epochs)

    def regroup(self, members: Members) -> Comm:
        """Go on among those who are left after a learner was lost; returns them. Collective."""
        p, before = self.position, self.comm.rank
        comm = self.comm = members.survivors(self.comm)
        for part in self.groups:
            part.regroup(comm)
        if comm.rank == 0 and before:
            self.parts.take_over()
            self.progress.take_over(p.frames, p.epoch + 1, self.config.epochs)
        self.strategy = self.strategy.survive(comm)
        # From the next epoch on the data are dealt to those who are left.
        self.loader = self.parts.loader(comm.size, comm.rank)
        self.learner_lost = True
        return comm

    def end_epoch(self, models: Models) -> Models:
        """Count the epoch, report on it, do what follows from it, and save where that is due.

        Returns the models with which training goes on. If a learner is lost meanwhile, the epoch has not ended.
        """
        if not self.shares.own_pace:
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

    def undoable(self) -> dict[str, Stateful]:
        """What goes back where an epoch is taken back."""
        return {
            "learner": self.learner,
            "strategy": self.strategy,
            "wire": self.strategy.wire,
            "ema": self.average,
        }

    def stateful(self) -> dict[str, Stateful]:
        """All that goes on after an interruption, in the order in which it does."""
        return {
            "position": self.position,
            **self.undoable(),
            "course": self.course,
            "timing": self.timing,
            "machine": Machine(self.learner.device),
        }

    def save(self, models: Models) -> None:
        """Write a checkpoint of everything, on all ranks; not in what is left of an epoch in which a learner was lost.

        Who has consumed which of its batches is known to nobody who would resume there.
        """
        if not self.learner_lost:
            self.checkpoints.save(self.position.epoch, self.position.steps, lambda: self.state(models))
            self.watchdog.saved()

    def state(self, models: Models) -> dict[str, Any]:
        """What a checkpoint of this rank holds. Collective."""
        consensus = None if self.position.within_epoch else models.consensus()
        return {
            "strategy_name": self.config.strategy,
            "identity": self.identity.state(),
            "consensus": consensus if self.comm.rank == 0 else None,
            **whole_state(self.stateful()),
        }

    def resume(self, allow_learner_change: bool) -> bool:
        """Restore the newest checkpoint; False if there is none."""
        state = self.checkpoints.load(torch.device("cpu"), allow_learner_change)
        if state is None:
            return False
        check_same_data(state, self.identity, Path(self.config.exp), tell=self.comm.rank == 0)
        if state["position"]["epoch"] >= self.config.warm_start_epochs:
            self.take_up(self.together)
        restore(self.stateful(), state, self.comm.size)
        self.watchdog.beat(self.position.steps)
        return True

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
