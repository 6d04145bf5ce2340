"""Learners that compute nothing, and may die and come back: what the trainer does with real ones, for its timing."""

from asrpar.errors import ConfigError
from asrpar.parallel.comm import LearnerLost
from asrpar.parallel.contract import Strategy
from asrpar.parallel.virtual.comm import VirtualComm
from asrpar.parallel.virtual.race import Pace, Race
from asrpar.parallel.virtual.timed import TimedLearner


def check_frail(name: str, algorithm: type[Strategy], learners: int, workers: int, recalls: bool) -> None:
    """`ConfigError` for a strategy that cannot be timed where learners die, and come back if it ``recalls`` them."""
    if algorithm.survive is Strategy.survive or algorithm.lockstep:
        raise ConfigError(
            f"strategy '{name}' is not timed where learners die: set the cluster's failures.mean_seconds to 0 and "
            "failures.at to [], or choose one whose learners go at their own pace"
        )
    if recalls and not algorithm.rejoins:
        raise ConfigError(f"strategy '{name}' takes no learner back: set the cluster's failures.restart_seconds to 0")
    if workers < learners:
        raise ConfigError(f"strategies.{name}.server is dedicated: set it to sharded where learners die")


class FrailLearner:
    """One learner, from its beginning, or its return, to the end of the race, or its own.

    Args:
        algorithm: its strategy; of a newcomer, as if it were alone.
        comm: of all learners; of a newcomer, alone.
        learner: whose batches are numbers.
        size: learners that the run began with.
        frames: of a batch.
        race, pace: where its steps are counted.
    """

    def __init__(
        self,
        algorithm: Strategy,
        comm: VirtualComm,
        learner: TimedLearner,
        size: int,
        frames: float,
        race: Race,
        pace: Pace,
    ) -> None:
        self.algorithm, self.comm, self.learner = algorithm, comm, learner
        self.size, self.frames, self.race, self.pace = size, frames, race, pace

    def run(self) -> None:
        """Go through batches until all together have done enough."""
        begins = True
        while True:
            try:
                if begins and self.comm.invitation is None:
                    self.algorithm.start()
                elif begins:
                    self.let_in()
                begins = False
                while not self.step():
                    pass
                return
            except LearnerLost:
                begins = False
                self.recover()

    def step(self) -> bool:
        """Go through a batch, and let in who is ready; whether all have done enough."""
        before = self.learner.busy
        self.algorithm.step(self.frames)
        self.pace.steps += 1
        self.pace.busy += self.learner.busy - before
        if self.race.stepped():
            # Nobody waits for the others' farewells.
            self.race.scheduler.stop()
            return True
        self.call_back()
        if self.algorithm.should_sync(self.noticed()):
            self.algorithm.finish()
            self.let_in()
        return False

    def noticed(self) -> bool:
        """Whether anybody is known to be ready to join; see `asrpar.train.signals.StopRequest.noticed`."""
        wish = int(bool(self.comm.newcomers()))
        if self.comm.posted()[self.comm.rank] != wish:
            self.comm.post(wish)
        return any(self.comm.posted())

    def let_in(self) -> None:
        """Go on with those who were ready to join, or join as one of them."""
        comm = self.comm.grown()
        if comm is not self.comm:
            self.meet(comm)

    def recover(self) -> None:
        """Go on with those who are left."""
        while True:
            try:
                self.meet(self.comm.survivors())
                # All have stopped anyway.
                self.let_in()
            except LearnerLost:
                continue
            return

    def meet(self, comm: VirtualComm) -> None:
        """Go on among the learners of ``comm``; send what the trainer sends then, see `asrpar.train.company`."""
        grew, self.comm = comm.size > self.comm.size, comm
        comm.allgather_object(None)
        if grew:
            # Weights, their average over time, momenta.
            comm.allreduce(self.learner.weights)
            comm.allreduce(self.learner.weights)
            comm.broadcast(self.learner.weights)
        self.algorithm = self.algorithm.survive(comm)
        self.call_back()

    def call_back(self) -> None:
        """Rank 0 starts again whoever is gone; nobody does so for rank 0 itself before all have regrouped."""
        gone = self.comm.lost()
        if 0 in gone:
            raise LearnerLost("the first learner is gone")
        if self.comm.rank == 0:
            places = self.comm.group.ranks
            here = set(places) - {places[rank] for rank in gone}
            self.comm.call_back([seat for seat in range(self.size) if seat not in here], None)
