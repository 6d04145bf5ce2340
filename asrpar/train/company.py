"""The learners of a run, as some of them are lost and others come in their places.

What nobody waits for (starting a process, imports, data, model) is done by a newcomer alone. Then all meet, as they do
when one was lost: who is left tells how far it has come, those that others have overtaken follow them, and newcomers
take over everything that is not a learner's own. They begin with the mean of the others' weights, so that the mean of
all stays what it is.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from asrpar.errors import ConfigError, TrainingError
from asrpar.launch.rank import quorum
from asrpar.log import get_logger
from asrpar.parallel.comm import Comm, LearnerLost
from asrpar.parallel.contract import Strategy, mean_of
from asrpar.parallel.strategies import STRATEGIES
from asrpar.train.config import TrainConfig
from asrpar.train.identity import Identity
from asrpar.train.members import need_quorum
from asrpar.train.run import Run
from asrpar.train.stall import learners

log = get_logger(__name__)

# Seconds in which lost learners may come back until as many are there again as have to be.
GRACE = 60.0


@dataclass(frozen=True)
class Brief:
    """What a newcomer knows before it meets the others.

    Attributes:
        config: of the training, with what was decided by the way.
        identity: of the data, which it need not examine again.
        algorithm: what the others follow by now.
        settings: of that.
        size: learners that the run began with.
        workers: among whom the epoch is dealt, if that is still so when it comes in.
    """

    config: TrainConfig
    identity: Identity
    algorithm: type[Strategy]
    settings: Any
    size: int
    workers: int


def need_rejoining(strategy: str, comm: Comm) -> None:
    """`ConfigError` if learners are called back to a strategy that they cannot come back to."""
    if comm.recalls and not STRATEGIES.load(strategy).rejoins:
        able = ", ".join(name for name in STRATEGIES if STRATEGIES.load(name).rejoins)
        raise ConfigError(f"--rejoin: lost learners cannot come back to strategy '{strategy}', but to {able}")


class Company:
    """Who is there. All methods but `missing` are collective.

    Args:
        comm: all learners; or that of a newcomer, alone.

    Attributes:
        seat: this learner's.
        seats: of all, by rank.
        size: learners that the run began with.
        new: whether this one has still to meet the others.
    """

    def __init__(self, comm: Comm) -> None:
        self.seat, self.new = comm.seat, comm.invitation is not None
        self.size = comm.invitation.brief.size if self.new else comm.size
        self.seats = [self.seat] if self.new else list(range(comm.size))

    def missing(self, lost: Iterable[int] = ()) -> list[int]:
        """Seats of those who were lost and have not come back; and of those ranks that are ``lost`` by now."""
        here = set(self.seats) - {self.seats[rank] for rank in lost}
        return sorted(set(range(self.size)) - here)

    def notice(self, run: Run) -> None:
        """Call back those who are gone while the others pass over them. Not collective."""
        if lost := run.comm.lost():
            self._call_back(run, run.comm, lost)

    def _call_back(self, run: Run, comm: Comm, lost: Iterable[int] = ()) -> None:
        if comm.rank == 0 and (missing := self.missing(lost)):
            strategy, workers = run.strategy, run.loader.num_learners
            brief = Brief(run.config, run.identity, type(strategy), strategy.settings, self.size, workers)
            comm.call_back(missing, brief)

    def join(self, run: Run) -> None:
        """Let in those who are ready to come in lost learners' places; or come in, as one of them."""
        try:
            self._let_in(run)
        except LearnerLost:
            self.recover(run)

    def _let_in(self, run: Run) -> None:
        before = run.comm
        comm = before.grown()
        if comm is not before:
            self.meet(run, comm)

    def recover(self, run: Run) -> None:
        """Go on with those who are left, whatever they were doing when a learner was lost."""
        while True:
            try:
                comm = run.comm.survivors()
                if not comm.recalls:
                    need_quorum(comm.size, self.size)
                run.shares.abandon()
                self.meet(run, comm)
                self._wait_for_quorum(run)
                if comm.passes_over:
                    # Whoever was called back when the first one was lost may be ready, and all have stopped anyway.
                    self._let_in(run)
            except LearnerLost:
                continue
            return

    def _wait_for_quorum(self, run: Run) -> None:
        """Where too few are left, but others are being started: wait for these, for a time."""
        begin = run.comm.clock()
        while run.comm.size < quorum():
            passed = run.comm.clock() - begin
            # One of them says for all.
            if run.comm.broadcast_object(passed > GRACE):
                need_quorum(run.comm.size, self.size)
            run.watchdog.beat()
            run.comm.sleep(0.2)
            self._let_in(run)

    def meet(self, run: Run, comm: Comm) -> None:
        """Go on among the learners of ``comm``, some of whom may be new, while others are not there any more."""
        run.comm, before = comm, self.seats
        self.seats = comm.allgather_object(self.seat)
        self._tell(before)
        for part in run.groups:
            part.regroup(comm)
        self._settle(run, comm, [rank for rank, seat in enumerate(before) if seat not in self.seats])
        self.new = False
        run.go_on(run.strategy.survive(comm))
        self._call_back(run, comm)

    def _tell(self, before: list[int]) -> None:
        if self.new:
            log.info("among the others: %s; that took %.1f s of a core", learners(self.seats), time.process_time())
        elif lost := sorted(set(before) - set(self.seats)):
            log.warning("%s lost; going on with %d learner(s)", learners(lost), len(self.seats))
        elif came := sorted(set(self.seats) - set(before)):
            log.info("%s back; going on with %d learner(s)", learners(came), len(self.seats))

    def _settle(self, run: Run, comm: Comm, lost: list[int]) -> None:
        """Come to the same place, with the same history; newcomers also to weights and all that goes with them."""
        p, shares = run.position, run.shares
        step, done = shares.place(p, lost)
        everyone = comm.allgather_object((self.new, p.epoch, step, done))
        known = [rank for rank, (new, *_) in enumerate(everyone) if not new]
        if not known:
            raise TrainingError("all learners were lost that had come anywhere: run again to resume")
        place = max(everyone[rank][1:3] for rank in known)
        furthest = [rank for rank in known if everyone[rank][1:3] == place]
        if comm.rank in furthest:
            shares.stand(p, step, set().union(*(everyone[rank][3] for rank in furthest)))
        news = any(new for new, *_ in everyone)
        if not news and len(furthest) == comm.size:
            return
        state = self._state(run, news) if comm.rank == furthest[0] else None
        state = comm.broadcast_object(state, furthest[0])
        if comm.rank not in furthest:
            p.load_state_dict(state["position"])
            if state["course"] is not None:
                run.course.load_state_dict(state["course"])
            run.loader = run.parts.reshared(run.loader, state["workers"], comm.rank)
        if news:
            self._share(run, comm, state)

    def _state(self, run: Run, news: bool) -> dict[str, Any]:
        """What others are to have from this learner."""
        state = {
            "position": run.position.state_dict(),
            "course": run.course.of_consensus(),
            "workers": run.loader.num_learners,
        }
        if news:
            state["updates"] = run.learner.updates
            state["optimizer"] = run.learner.optimizer.state_dict()
            state["wire"] = run.strategy.wire.state_dict()
            state["ema"] = run.average.state_dict()
        return state

    def _share(self, run: Run, comm: Comm, state: dict[str, Any]) -> None:
        """Newcomers take over one learner's momenta, and the mean of all weights and averages."""
        learner, average = run.learner, run.average
        if self.new:
            learner.optimizer.load_state_dict(state["optimizer"])
            learner.updates = state["updates"]
            run.strategy.wire.load_state_dict(state["wire"])
            # What is held back is somebody's own.
            run.strategy.wire.forget()
            average.load_state_dict(state["ema"])
            torch.manual_seed(run.config.seed * 1009 + self.seat + run.position.frames)
        mean = self._take_mean(learner.weights, comm)
        moved = mean_of(learner.weights, comm).sub_(mean).norm().item() / max(mean.norm().item(), 1e-30)
        log.info("the mean of all has moved by %.1e of its norm", moved)
        if average.ema is not None:
            self._take_mean(average.ema.mean, comm)

    def _take_mean(self, x: Tensor, comm: Comm) -> Tensor:
        mean = mean_of(x, comm, counts=not self.new)
        if self.new:
            x.copy_(mean)
        return mean
