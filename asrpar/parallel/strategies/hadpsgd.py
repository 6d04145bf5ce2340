"""Hierarchical ADPSGD: Zhang et al. 2019 (arXiv 1907.05701).

The learners of one node are a super-learner: inside it gradients are summed as in `ssgd`, so that all its members hold
one x_i; the super-learners run `adpsgd` among themselves, through their first member.

    g = Σ_k n_k g_k(x̂) / Σ_k n_k  over the members        x_i ← x_i − γ g
    x_i, x_j ← (x_i + x_j) / 2     between super-learners, beside computing

When to use: nodes of several equally fast devices with fast links inside, slower links and unequal speed between.
With one super-learner this is `ssgd`, with super-learners of one it is `adpsgd`.
Cost of a step: inside, an allreduce of P + 1 numbers, and a broadcast of P if there was an exchange since the last;
between, one exchange of P numbers. With one super-learner, what `ssgd` sends.
"""

from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from asrpar.errors import ConfigError, TrainingError
from asrpar.parallel.comm import Comm
from asrpar.parallel.compress.wire import Wire
from asrpar.parallel.contract import Gossip, Learner
from asrpar.parallel.look import Look
from asrpar.parallel.strategies import adpsgd
from asrpar.rules import not_negative


@dataclass
class Settings(adpsgd.Settings):
    """Settings of H-ADPSGD, those of ADPSGD between super-learners, and:

    Attributes:
        super_learner_size: ranks of a super-learner, in their order; 0 takes those of each node.
    """

    super_learner_size: int = 0

    def validate(self) -> None:
        super().validate()
        not_negative(self, "super_learner_size")


class Algorithm(Gossip):
    """SSGD inside, ADPSGD outside."""

    lockstep = False
    rejoins = True

    def __init__(self, settings: Settings, learner: Learner, comm: Comm, wire: Wire | None = None) -> None:
        super().__init__(settings, learner, comm, wire)
        size = settings.super_learner_size
        if size and comm.size % size:
            raise ConfigError(
                f"strategies.hadpsgd.super_learner_size is {size}, which does not divide {comm.size} learners: choose "
                "a divisor, or 0 for the learners of each node (if one was lost, start as many as before)"
            )
        group = comm.rank // size if size else comm.node()
        self.layout = comm.allgather_object(group)
        self.inside = self.together = self.alike = comm.split(group)
        leads = self.inside.rank == 0
        between = comm.split(0 if leads else None)
        self.groups = len(set(self.layout))
        # Weights do not move: between `apply_received` and `apply` the members take them up, and exchanges go on.
        exchanges = leads and self.groups > 1
        self.outside = adpsgd.Algorithm(settings, learner, between, self.wire, shared=False) if exchanges else None
        self.changed = torch.zeros(1)
        self.look = Look(self.inside, self.apart)

    def step(self, batch: Any | None) -> bool:
        """One gradient of the super-learner, one update, alike on all its members."""
        if batch is None:
            return False
        learner = self.learner
        learner.message[-1] = learner.gradient(batch)
        self.inside.allreduce(learner.message)
        frames = learner.message[-1].item()
        if self.groups > 1:
            self.take_up()
        with self.outside.lock if self.outside else nullcontext():
            if self.outside:
                # Exchanges may have gone on meanwhile.
                self.outside.replica.settle()
            if frames:
                learner.apply(frames)
        if self.outside:
            self.outside.stepped.set()
        return True

    def take_up(self) -> None:
        """weights = x_i on all members, if exchanges have made another one of them."""
        if self.outside:
            self.outside.run()
            with self.outside.lock:
                self.changed[0] = self.outside.apply_received()
        self.inside.broadcast(self.changed)
        if self.changed.item():
            self.inside.broadcast(self.learner.weights)

    def should_sync(self, wish: bool) -> bool:
        """If one member has reason to come to a synchronised state, the super-learner does, some steps later."""
        return self.look.step(wish)

    def finish(self) -> None:
        """Exchanges of the super-learners end; members take up what their first one has."""
        self.look.settle()
        if self.outside:
            self.outside.finish()
        if self.groups > 1:
            self.inside.broadcast(self.learner.weights)
        self.comm.barrier()

    def consensus(self, x: Tensor) -> Tensor:
        """The mean over super-learners, each counted once however many members it has."""
        if self.groups == 1:
            return x
        ranks = self.inside.size * self.groups
        return self.add_up(x / ranks, 1.0 / ranks)

    def survive(self, comm: Comm) -> Gossip:
        """Those who are left go on as super-learners of one: members may have been at different steps of theirs."""
        if self.outside:
            self.outside.replica.apply_received()
        return adpsgd.Algorithm(self.settings, self.learner, comm, self.wire)

    def state_dict(self) -> dict[str, Any]:
        """What `adpsgd` keeps, and each rank's super-learner; x_i is the learners' own."""
        return {"layout": self.layout, **(self.outside.state_dict() if self.outside else {})}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on with the same sequence of partners; `TrainingError` if as many ranks are on other nodes now.

        Where a learner had been lost, the others went on as super-learners of one: all begin with their mean, and
        without momenta, which were each one's own.
        """
        before = state.get("layout", self.layout)
        if "layout" not in state:
            self.learner.weights.copy_(Gossip.consensus(self, self.learner.weights))
            self.learner.reset_optimizer()
        if len(before) == len(self.layout) and before != self.layout:
            raise TrainingError(
                f"hadpsgd: the super-learners of ranks 0, 1, ... were {before} in the checkpoint, now they are "
                f"{self.layout}: start on as many learners a node as before, or set super_learner_size"
            )
        if self.outside:
            # A single super-learner keeps none.
            self.outside.load_state_dict({"exchanges": 0} | state)
