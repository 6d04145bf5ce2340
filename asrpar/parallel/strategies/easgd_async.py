"""Elastic averaging SGD, asynchronous: Zhang et al. 2015 (arXiv 1412.6651); Li et al. 2017 (arXiv 1703.05880).

Every learner, at its own pace, τ local steps and then, with the x_i and the centre c of before the exchange,

    e = α (x_i − c)        x_i ← x_i − e        c ← c + e

With a local optimizer that has Nesterov momentum this is EAMSGD. The model is c.

When to use: as `asgd`, where learners should explore: x_i is pulled towards c, not replaced by it.
Cost of an exchange: 2 P numbers to and from the servers. Extra memory: 2 P; compression takes P + N P / shards more.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from asrpar.log import get_logger
from asrpar.parallel.comm import Comm, Message
from asrpar.parallel.compress.wire import Wire
from asrpar.parallel.contract import Learner, Strategy
from asrpar.parallel.flat import all_finite
from asrpar.parallel.server.server import ParameterServer, ServerSettings, learner_count, server_ranks
from asrpar.rules import need

log = get_logger(__name__)


@dataclass
class Settings(ServerSettings):
    """Settings of asynchronous EASGD, those of all algorithms with a server and:

    Attributes:
        alpha: α in (0, 1), the fraction of the distance that x_i and c each go; Li et al. 2017 use 0.5.
    """

    sync_steps: int = 4
    alpha: float = 0.5

    def validate(self) -> None:
        super().validate()
        need(self, "alpha", 0 < self.alpha < 1, "must lie between 0 and 1")


class Algorithm(Strategy):
    """Asynchronous EASGD."""

    lockstep = False
    own_pace = True
    kept = ("centre", "steps")

    def __init__(self, settings: Settings, learner: Learner, comm: Comm, wire: Wire | None = None) -> None:
        super().__init__(settings, learner, comm, wire)
        hosts = server_ranks("easgd_async", settings, comm.size)
        self.learners = self.workers(settings, comm.size)
        self.server = ParameterServer(
            comm, learner.weights, hosts, self.learners, self.update, wire=self.wire, vectors=True
        )
        self.centre = torch.empty_like(learner.weights)
        self.elastic = torch.empty_like(learner.weights)
        self.steps = self.exchanges = 0

    @classmethod
    def workers(cls, settings: Settings, size: int) -> int:
        return learner_count(settings, size)

    def start(self) -> None:
        """x_i = c = rank 0's weights."""
        super().start()
        self.centre.copy_(self.learner.weights)
        self.server.begin(self.centre)

    def step(self, batch: Any | None) -> bool:
        """One local step; the τ-th exchanges."""
        if batch is None:
            return False
        self.server.open()
        frames = self.learner.gradient(batch)
        if frames:
            self.learner.apply(frames)
            self.steps += 1
        if self.steps == self.settings.sync_steps:
            self.exchange()
        return True

    def exchange(self) -> None:
        """x_i to the servers, e from them."""
        weights = self.learner.weights
        if not all_finite(weights):
            # They have overflowed and must not reach the others: this learner begins again at the centre.
            self.learner.count_nonfinite()
            weights.copy_(self.centre)
        self.server.visit(weights, self.elastic, self.learner.lr)
        # c after the exchange is c + e, and c = x_i − e / α; with 16 bits but for roundings. Where only a part of e has
        # arrived, nobody here knows c before the next synchronised moment.
        self.synchronised = self.wire.residual is None or self.wire.warming
        torch.add(weights, self.elastic, alpha=1.0 - 1.0 / self.settings.alpha, out=self.centre)
        weights.sub_(self.elastic)
        self.steps = 0
        self.exchanges += 1

    def update(self, c: Tensor, push: Message) -> Tensor:
        """What an exchange does to a shard of the centre."""
        self.server.staleness(push)
        e = push.payload.sub_(c).mul_(self.settings.alpha)
        c.add_(e)
        return e

    def finish(self) -> None:
        """Wait for the others, and take the centre; x_i stays."""
        if self.steps and not self.exchanges:
            log.warning(
                "no step of this learner has moved the centre, which is the model: it has taken %d, and "
                "strategies.easgd_async.sync_steps is %d", self.steps, self.settings.sync_steps,
            )  # fmt: skip
        self.server.close()
        self.server.gather(self.centre)
        self.synchronised = True

    def observed(self) -> Tensor:
        """c as this learner saw it last, when `synchronised`."""
        return self.centre

    def consensus(self, x: Tensor) -> Tensor:
        """The mean of what the learners have observed; they all observe the one c, at different moments."""
        return self.server.mean_of_learners(x)

    def model(self) -> Tensor:
        """c, which all learners have when nothing is in flight."""
        return self.centre

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from c; x_i is the learner's own."""
        super().load_state_dict(state)
        self.server.begin(self.centre)
