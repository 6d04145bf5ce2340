"""What follows from an epoch's dev loss: the schedule learns of it, and training goes back to its best moment, or ends.

Going back takes what a checkpoint takes: the state of learners, strategy, compression and average of that moment, each
learner its own. So it works for every strategy, and nothing of the epochs in between is left but their frames, the
position in the data and the learning rate.
"""

from collections.abc import Callable
from typing import Any

from torch import Tensor

from asrpar.log import get_logger
from asrpar.parallel.comm import Comm
from asrpar.train.average import Models
from asrpar.train.position import Position
from asrpar.train.schedules.common import WarmUpSchedule
from asrpar.train.state import Stateful, of_consensus, whole_state

log = get_logger(__name__)


class Course:
    """Judges epochs as the schedule wants it.

    Args:
        schedule: of the training.
        parts: what goes back: of `asrpar.train.run.Run.stateful`, as it is when it is asked for.

    Attributes:
        over: whether the schedule has ended the training.
        best: the state of this learner at the end of the best epoch, with ``epoch``, if it may be gone back to.
    """

    def __init__(self, schedule: WarmUpSchedule, parts: Callable[[], dict[str, Stateful]]) -> None:
        self.schedule, self.parts = schedule, parts
        self.over, self.best = False, None

    def judge(self, models: Models, position: Position, comm: Comm) -> bool:
        """The epoch that ended at ``position``, with these models; whether training has gone back. Collective."""
        if not self.schedule.watches:
            return False
        said = position.history[-1]
        # Sums may differ in their last bits between learners; what one of them has decides.
        loss, frames = comm.broadcast_object((said["dev_loss"], position.frames))
        verdict = self.schedule.epoch_ended(position.epoch, loss, frames)
        self.over = verdict.over
        if verdict.best:
            self.keep(models, position.epoch, comm.rank)
        back = verdict.back and self.best is not None
        if back:
            self.go_back()
            said["back_to"] = self.best["epoch"]
            log.info("epoch %d is taken back: on with the model of epoch %d", position.epoch, self.best["epoch"])
        if self.over:
            log.info("the dev loss stands still: training ends after epoch %d", position.epoch)
        return back

    def keep(self, models: Models, epoch: int, rank: int) -> None:
        """This is the best moment so far. Collective."""
        consensus = models.consensus()
        state = whole_state(self.parts()) | {"consensus": consensus if rank == 0 else None}
        self.best = {"epoch": epoch, **cloned(state)}

    def go_back(self) -> None:
        """To the best moment."""
        parts = self.parts()
        now = parts["learner"].state_dict()["counters"]
        # What was loaded must stay as it is: there may be a second time.
        state = cloned(self.best)
        state["learner"]["counters"] = now
        for name, part in parts.items():
            if state[name] is not None:
                part.load_state_dict(state[name])

    def of_consensus(self) -> dict[str, Any] | None:
        """As `state_dict`, for who was not there: with what it would begin with at the best moment."""
        state = self.state_dict()
        if state is None or state["best"] is None:
            return state
        return state | {"best": of_consensus(state["best"])}

    def state_dict(self) -> dict[str, Any] | None:
        """None where the schedule does not watch."""
        if not self.schedule.watches:
            return None
        return {"schedule": self.schedule.state_dict(), "over": self.over, "best": self.best}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on with it."""
        self.schedule.load_state_dict(state["schedule"])
        self.over, self.best = state["over"], state["best"]


def cloned(value: Any) -> Any:
    """A copy of nested dictionaries and lists whose tensors have memory of their own, and no more than they need."""
    if isinstance(value, Tensor):
        return value.detach().clone()
    if isinstance(value, dict):
        return {key: cloned(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(cloned(item) for item in value)
    return value
