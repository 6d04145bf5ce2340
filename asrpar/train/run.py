"""What one learner's training is made of, and where it is: what goes on, is saved, and taken up again."""

from pathlib import Path
from typing import Any

import torch

from asrpar.feats import Batch
from asrpar.parallel.comm import Comm
from asrpar.parallel.contract import Strategy
from asrpar.parallel.look import Look
from asrpar.parallel.strategies import STRATEGIES
from asrpar.train.average import Average, Models
from asrpar.train.build import Parts
from asrpar.train.config import TrainConfig
from asrpar.train.course import Course
from asrpar.train.dealing import OnDemand
from asrpar.train.epochs import Intervals
from asrpar.train.evaluate import DevSet
from asrpar.train.final import FinalModels
from asrpar.train.members import Members
from asrpar.train.position import Position
from asrpar.train.progress import Progress
from asrpar.train.report import Reports
from asrpar.train.rounds import Rounds
from asrpar.train.schedules import SCHEDULES
from asrpar.train.state import Machine, Stateful, check_same_data, restore, whole_state
from asrpar.train.timing import Timing
from asrpar.train.warm_start import Work, first_alone


class Run:
    """The training of one acoustic model, as one of its learners has it.

    Args:
        config: checked settings.
        settings: the strategy's.
        comm: all learners.
        parts: makes what it is made of.

    Attributes:
        groups: what goes on among other learners by its ``regroup(comm)``.
        learner_lost: in this epoch, of which nothing can be saved then.
    """

    def __init__(self, config: TrainConfig, settings: Any, comm: Comm, parts: Parts | None = None) -> None:
        self.config, self.comm, self.parts = config, comm, parts or Parts(config)
        exp, invitation = Path(config.exp), comm.invitation
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
        self.learner_lost = False

    def take_up(self, work: Work) -> None:
        """Work so from now on."""
        self.strategy, self.loader, self.shares, self.look = work

    def workers(self) -> int:
        """How many of the learners are dealt batches."""
        return type(self.strategy).workers(self.strategy.settings, self.comm.size)

    def count(self, batch: Batch) -> None:
        """A step was taken with a batch."""
        self.position.advance(batch.global_frames)
        self.timing.frames += batch.num_frames
        self.strategy.wire.advance(batch.global_frames)
        self.progress.step(batch.global_frames, self.learner, self.position.frames, self.timing.elapsed())

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
            self.lead()

    def regroup(self, members: Members) -> Comm:
        """Go on among those who are left after a learner was lost; returns them. Collective."""
        before = self.comm.rank
        comm = self.comm = members.survivors(self.comm)
        for part in self.groups:
            part.regroup(comm)
        if comm.rank == 0 and before:
            self.lead()
        self.strategy = self.strategy.survive(comm)
        # From the next epoch on the data are dealt to those who are left.
        self.loader = self.parts.loader(comm.size, comm.rank)
        self.learner_lost = True
        return comm

    def lead(self) -> None:
        """Be the first of the learners from now on, who keeps the folder and tells how far all are."""
        self.parts.take_over()
        self.progress.take_over(self.position.frames, self.position.epoch + 1, self.config.epochs)

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
