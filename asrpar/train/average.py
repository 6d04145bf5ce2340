"""The models of a run: the strategy's, and its average over time where the settings ask for one."""

from functools import cached_property
from typing import Any

from torch import Tensor

from asrpar.parallel.comm import Comm
from asrpar.parallel.contract import Gossip, Strategy
from asrpar.parallel.ema import Ema
from asrpar.train.config import EmaConfig
from asrpar.train.position import Position


class Average:
    """θ̄ of the strategy's model, or nothing where it is not asked for.

    Args:
        config: whether, and over how long.
        model: (P,) any model of the run.
        epoch_frames: of one epoch, all learners.
    """

    def __init__(self, config: EmaConfig, model: Tensor, epoch_frames: int) -> None:
        decay = config.decay_epochs * epoch_frames
        self.ema = Ema(model, decay, warmup=config.warmup) if config.enabled else None

    def start(self, model: Tensor) -> None:
        """A fresh run begins with this model."""
        if self.ema is not None:
            self.ema.mean.copy_(model)

    def observe(self, strategy: Strategy, position: Position) -> None:
        """Take in the strategy's model if it is synchronised, and there are new frames in it."""
        frames = position.frames - position.ema_frames
        if self.ema is not None and strategy.synchronised and frames > 0:
            self.ema.update(strategy.observed(), frames)
            position.ema_frames = position.frames

    def agree(self, position: Position, comm: Comm) -> None:
        """Learners that hold the same model go on from the newest average that one of them has. Collective."""
        known = comm.allgather_object(position.ema_frames)
        position.ema_frames = max(known)
        if self.ema is not None:
            comm.broadcast(self.ema.mean, root=known.index(max(known)))
            self.ema.frames = max(comm.allgather_object(self.ema.frames))

    def state_dict(self) -> dict[str, Any] | None:
        """None without an average."""
        return None if self.ema is None else self.ema.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on with it."""
        if self.ema is not None:
            self.ema.load_state_dict(state)


class Models:
    """The models of one synchronised moment. Each is made when it is first asked for, and once: the strategies without
    a centre add up all learners' weights for it, P numbers on the network.

    All that is asked for is collective.

    Args:
        strategy: of all learners, with nothing in flight until the last of these models has been used.
        average: of its model.
    """

    def __init__(self, strategy: Strategy, average: Average) -> None:
        self.strategy, self.ema = strategy, average.ema

    @cached_property
    def plain(self) -> Tensor:
        """(P,) the strategy's model."""
        return self.strategy.model()

    @cached_property
    def final(self) -> Tensor:
        """(P,) what is evaluated and saved: θ̄ if there is one, else the strategy's model."""
        return self.plain if self.ema is None else self.strategy.consensus(self.ema.model())

    def prepare(self) -> None:
        """Make both, so that one rank alone may use them from now on."""
        _ = self.plain, self.final

    def consensus(self) -> dict[str, Tensor] | None:
        """What another number of learners would begin with; None where learners hold the same weights anyway."""
        if not isinstance(self.strategy, Gossip):
            return None
        average = {} if self.ema is None else {"ema": self.final.to(self.ema.mean.dtype)}
        return {"weights": self.plain} | average
