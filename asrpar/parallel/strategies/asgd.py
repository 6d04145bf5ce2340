"""Asynchronous SGD with a parameter server, "Downpour": Dean et al. 2012; Li et al. 2017 (arXiv 1703.05880).

Every learner, at its own pace, τ local steps and then

    d = x_i − x_i(pulled)        server: s ← s + κ d        x_i ← s

Staleness of a push = pushes that the server has seen since the learner's last pull; options:
    staleness scaling       s ← s + κ d / max(1, staleness)
    delay compensation      g + λ g⊙g⊙(s_now − s_pulled), Zheng et al. 2017 (arXiv 1609.08326); for τ = 1 and plain SGD
    staleness bound         SSP, Ho et al. 2013: nobody gets further ahead of the slowest than so many pushes;
                            0 is bulk-synchronous, and with κ = 1/N then equals `ssgd`

When to use: learners of unequal speed, one shared model wanted at all times. κ = 1 takes N learners' whole steps, as
the papers do; κ = 1/N moves the server as far for the same frames as one step of `ssgd`.
Cost of a push: 2 P numbers to and from the servers. Extra memory: 2 P; compensation, compression N P / shards more.
"""

import dataclasses
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from asrpar.errors import ConfigError
from asrpar.parallel.comm import Comm, Message
from asrpar.parallel.compress.wire import Wire
from asrpar.parallel.contract import Learner, Strategy
from asrpar.parallel.server.server import ParameterServer, ServerSettings, learner_count, server_ranks
from asrpar.rules import not_negative, positive


@dataclass
class Settings(ServerSettings):
    """Settings of ASGD, those of all algorithms with a server and:

    Attributes:
        push_scale: κ; None takes 1/N.
        scale_by_staleness: divide a push by its staleness.
        delay_compensation: λ; 0 for none.
        staleness_bound: in pushes; None for none.
    """

    push_scale: float | None = 1.0
    scale_by_staleness: bool = False
    delay_compensation: float = 0.0
    staleness_bound: int | None = None

    def validate(self) -> None:
        super().validate()
        positive(self, "push_scale")
        not_negative(self, "delay_compensation", "staleness_bound")


class Algorithm(Strategy):
    """Downpour SGD."""

    lockstep = False
    own_pace = rejoins = True
    kept = ("pulled",)

    def __init__(self, settings: Settings, learner: Learner, comm: Comm, wire: Wire | None = None) -> None:
        super().__init__(settings, learner, comm, wire)
        if settings.delay_compensation and (settings.sync_steps > 1 or self.wire.residual is not None):
            raise ConfigError("strategies.asgd.delay_compensation: set sync_steps to 1 and compression to none")
        self.learners = learner_count(settings, comm.size)
        self.scale = 1.0 / self.learners if settings.push_scale is None else settings.push_scale
        like, remember = learner.weights, settings.delay_compensation > 0
        self.pulled, self.message, self.steps = torch.empty_like(like), torch.empty_like(like), 0
        hosts, bound = server_ranks("asgd", settings, comm.size), settings.staleness_bound
        self.server = ParameterServer(comm, like, hosts, self.learners, self.update, bound, remember, self.wire)

    @classmethod
    def workers(cls, settings: Settings, size: int) -> int:
        return learner_count(settings, size)

    def start(self) -> None:
        """s = rank 0's weights."""
        super().start()
        self.load_state_dict({"pulled": self.learner.weights})

    def take(self, vector: Tensor) -> None:
        """Go on from ``vector``, which the servers hold."""
        self.learner.weights.copy_(vector)
        self.pulled.copy_(vector)

    def step(self, batch: Any | None) -> bool:
        """One local step; the τ-th pushes."""
        if batch is None:
            return False
        self.server.open()
        frames = self.learner.gradient(batch)
        if frames:
            self.learner.apply(frames)
            self.steps += 1
        if self.steps == self.settings.sync_steps:
            self.push()
        return True

    def push(self) -> None:
        """d to the servers, s from them."""
        torch.sub(self.learner.weights, self.pulled, out=self.message)
        self.finite_or_zero(self.message)
        self.server.visit(self.message, self.pulled, self.learner.lr)
        self.learner.weights.copy_(self.pulled)
        self.steps = 0

    def update(self, s: Tensor, push: Message) -> Tensor:
        """What a push does to a shard of the server."""
        stale, d, lr = self.server.staleness(push), push.payload, push.numbers[1]
        if self.server.pulled and lr:
            # d = −γ g, so −γ λ g⊙g⊙(s − pulled) = −(λ/γ) d⊙d⊙(s − pulled).
            d.addcmul_(d * d, s - self.server.pulled[push.source], value=-self.settings.delay_compensation / lr)
            self.finite_or_zero(d)
        s.add_(d, alpha=self.scale / (max(1, stale) if self.settings.scale_by_staleness else 1))
        return s

    def finish(self) -> None:
        """Push what is left, wait for the others, and go on from the servers' vector."""
        if self.steps:
            self.push()
        self.server.close()
        self.server.gather(self.message)
        self.take(self.message)

    def observed(self) -> Tensor:
        """s as this learner pulled it last."""
        return self.pulled

    def consensus(self, x: Tensor) -> Tensor:
        """The mean of what the learners have observed; they all observe the one s, at different moments."""
        return self.server.mean_of_learners(x)

    def model(self) -> Tensor:
        """s, which all learners have."""
        return self.pulled

    def survive(self, comm: Comm) -> "Algorithm":
        """Go on from the server's vector, if that is still there."""
        other = Algorithm(dataclasses.replace(self.settings, server="sharded"), self.learner, comm, self.wire)
        other.load_state_dict({"pulled": self.server.left_with(comm, self.learner.weights)})
        return other

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from s, which is all there is when nothing is in flight."""
        self.server.begin(state["pulled"])
        self.take(state["pulled"])
