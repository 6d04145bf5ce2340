"""One pass over the data, or what is left of it: steps, and what is due between them."""

from collections.abc import Iterator

from asrpar.feats import Batch
from asrpar.parallel.comm import LearnerLost
from asrpar.train.average import Models
from asrpar.train.company import Company
from asrpar.train.epochs import Due, Outcome, Part
from asrpar.train.run import Run


class EpochPass:
    """What is left of an epoch, of which one learner takes its steps.

    Args:
        run: the training.
        company: its learners.
    """

    def __init__(self, run: Run, company: Company) -> None:
        self.run, self.company = run, company

    def take(self) -> int:
        """Take it; returns the signal that stopped it, else 0."""
        run, stopped = self.run, 0
        self.begin()
        joining = True
        while joining:
            joining = False
            for part in run.shares.parts(run.comm, run.loader, run.position):
                self.pause(part.due)
                self.take_part(part)
                stopped, joining = part.outcome.stopped, part.outcome.joining
            if joining:
                self.company.join(run)
        # Whoever had a wish since is asked again at the epoch's end, where all wait for each other anyway.
        run.look.settle()
        run.average.observe(run.strategy, run.position)
        run.progress.end_epoch()
        return stopped

    def begin(self) -> None:
        """What precedes the first step."""
        run, p = self.run, self.run.position
        run.progress.begin_epoch(p.epoch + 1, run.config.epochs, p.frames - p.epoch * run.loader.frames_per_epoch)
        if (
            run.comm.recalls
            and run.strategy.own_pace
            and not run.shares.deals_anew
            and run.comm.size < self.company.size
        ):
            # Who had equal shares has lost learners: those who are called back come in at any time from now on.
            self.company.meet(run, run.comm)
        workers = run.workers()
        if run.shares.deals_anew and not p.within_epoch and run.loader.num_learners != workers:
            run.loader = run.parts.reshared(run.loader, workers, run.comm.rank)

    def take_part(self, part: Part) -> None:
        """Take the steps of a part; those that are left go on if a learner is lost meanwhile."""
        run = self.run
        outcome = part.outcome = Outcome()
        try:
            with part as batches:
                outcome.stopped = self.take_steps(part, batches, outcome)
                outcome.joining = run.stop.joining
        except LearnerLost:
            if run.strategy.lockstep and outcome.unfinished is not None:
                self.taken(outcome.unfinished, outcome)
            if run.shares.deals_anew:
                raise
            outcome.survivors = run.regroup(part.members)

    def take_steps(self, part: Part, batches: Iterator[Batch], outcome: Outcome) -> int:
        """Consume all batches of a part; returns the signal that stopped it, else 0."""
        run = self.run
        while True:
            batch = outcome.unfinished = self.next_batch(batches)
            if not run.strategy.step(batch):
                break
            if batch is not None:
                self.taken(batch, outcome)
                if run.strategy.lockstep and run.strategy.synchronised:
                    part.members.synchronised(run.position.step - run.strategy.lag)
            run.average.observe(run.strategy, run.position)
            run.watchdog.beat(run.position.steps)
            if batch is not None and ((stopped := self.between_steps(part)) or run.stop.joining):
                return stopped
        self.synchronise()
        # Learners that went at their own pace may have seen a signal while this one was still, or no longer, computing.
        return 0 if run.strategy.lockstep else run.stop.agreed()

    def next_batch(self, batches: Iterator[Batch]) -> Batch | None:
        """The next batch, None after the last, and the learning rate of its step."""
        with self.run.timing.trace.span("data"):
            batch = next(batches, None)
        self.run.learner.lr = self.run.schedule.rate(self.run.position.frames)
        return batch

    def taken(self, batch: Batch, outcome: Outcome) -> None:
        """The step of a batch has been taken."""
        outcome.unfinished = None
        self.run.count(batch)
        outcome.consumed.append(batch.share)

    def synchronise(self) -> None:
        """Bring the strategy to a synchronised state."""
        with self.run.watchdog.waiting():
            self.run.strategy.finish()

    def between_steps(self, part: Part) -> int:
        """Dev loss, checkpoint, stop signals where they are due within a part; returns the signal to stop, else 0."""
        run = self.run
        # Who shares the batches of a lost learner is no longer at the same step as the others.
        alike = part.alike and not run.learner_lost
        # Where learners at their own pace were stopped, some had passed what lay before others: nobody goes back to it.
        alike = alike and (run.strategy.lockstep or run.position.step > part.members.furthest)
        due = run.intervals.due(run.position.steps) if alike else Due()
        stopped = run.stop.agreed() if self.should_ask(due) else 0
        if any(due) and not stopped:
            if not run.strategy.lockstep:
                part.members.synchronised(run.position.step)
            self.pause(due)
        return stopped

    def should_ask(self, due: Due) -> bool:
        """Whether learners now ask each other for stop signals; those at their own pace are synchronised then.

        Nobody waits for the others in order to ask them; but whoever has reason to wait makes all of them ask.
        """
        run = self.run
        if run.strategy.lockstep:
            return run.look.step(run.stop.wish() != 0)
        self.company.notice(run)
        ask = any(due) or run.strategy.should_sync(run.stop.noticed())
        if ask:
            self.synchronise()
        return ask

    def pause(self, due: Due) -> None:
        """Dev loss and checkpoint, where they are due, within an epoch. Collective."""
        run = self.run
        if not any(due):
            return
        run.position.seconds += run.timing.lap()
        models = Models(run.strategy, run.average)
        if due.dev:
            found = run.dev.evaluate(models.final, run.comm)
            run.progress.scalars({"dev/loss": found.loss, "dev/error_rate": found.error_rate}, run.position.frames)
        if due.save:
            run.save(models)
        run.timing.begin()
