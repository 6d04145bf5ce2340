"""One learner: plain SGD with whatever local optimizer is set.

    x ← x − γ g(x)

The reference that every other strategy is compared with. No messages.
"""

from dataclasses import dataclass
from typing import Any

from asrpar.errors import ConfigError
from asrpar.parallel.comm import Comm
from asrpar.parallel.compress.wire import Wire
from asrpar.parallel.contract import Learner, Strategy


@dataclass
class Settings:
    """No settings."""


class Algorithm(Strategy):
    """Training without any communication; refuses to run with more than one learner."""

    def __init__(self, settings: Settings, learner: Learner, comm: Comm, wire: Wire | None = None) -> None:
        if comm.size != 1:
            raise ConfigError(
                f"strategy 'single' trains one learner but was started with {comm.size}: "
                "choose another strategy, such as ssgd, or --learners 1"
            )
        super().__init__(settings, learner, comm, wire)

    def step(self, batch: Any | None) -> bool:
        frames = self.learner.gradient(batch)
        if frames == 0:
            return False
        self.learner.apply(frames)
        return True
