"""Decentralised parallel SGD: Lian et al. 2017, arXiv 1705.09056; Cui et al. 2020 call it SD-PSGD.

    X ← X T − γ G        x_i ← Σ_j T_ij x_j − γ g_i(x_i)

T is doubly stochastic; gradients are taken at the weights of before the mixing, so that both go on at the same time.
The model is the mean of the x_i.

When to use: equally fast learners and a network that dislikes allreduce: a learner sends only to its neighbours. The
more learners, the slower a ring agrees (spectral gap 0.195 with 8, 0.003 with 64); the exponential graph does not.
Cost of a step, hidden behind computing: P numbers to each neighbour (a ring has 2, ``exponential`` and ``tournament``
1; ``complete``: an allreduce of P). A learner waits for its neighbours, not for all.
Extra memory: 2 P, ``complete`` 3 P.
"""

from dataclasses import dataclass
from typing import Any

import torch

from asrpar.parallel.comm import Comm
from asrpar.parallel.compress.wire import Wire, need_weights_wire
from asrpar.parallel.contract import Gossip, Learner
from asrpar.parallel.flat import all_finite
from asrpar.parallel.gossip.graphs import check_doubly_stochastic
from asrpar.parallel.gossip.mixer import Mixer, MixingSettings, mixing_matrices


@dataclass
class Settings(MixingSettings):
    """Settings of D-PSGD: who mixes with whom. A given matrix must be doubly stochastic."""


class Algorithm(Gossip):
    """Mixing runs in an activity beside computing; a step ends when both have."""

    kept = ("turn",)

    def __init__(self, settings: Settings, learner: Learner, comm: Comm, wire: Wire | None = None) -> None:
        super().__init__(settings, learner, comm, wire)
        matrices = mixing_matrices("dpsgd", settings, comm.size, check_doubly_stochastic)
        self.turn = 0
        # News of one travel to all in so many steps.
        self.apart = comm.size
        self.together = comm
        self.complete = settings.topology == "complete"
        self.beside = comm.channel()
        if self.complete:
            # Averages are taken of displacements from the last average, which compression may delay.
            self.kept = ("turn", "mean")
            self.mean = torch.empty_like(learner.weights)
            self.moved = torch.empty_like(learner.weights)
            self.message = self.beside.zeros(learner.weights.numel(), learner.weights)
        else:
            need_weights_wire(self.wire, "dpsgd")
            self.mixer = Mixer(matrices, comm.rank, self.wire, learner.weights)
        self.begun, self.ended = comm.event(), comm.event()
        self.closing, self.finite = False, True
        self.failed: BaseException | None = None
        self.activity = comm.spawn(self.run, "dpsgd")

    def start(self) -> None:
        """x_i = rank 0's weights."""
        super().start()
        if self.complete:
            self.mean.copy_(self.learner.weights)

    def step(self, batch: Any | None) -> bool:
        """Mix, meanwhile compute a gradient; then update."""
        if batch is None:
            return False
        self.begun.set()
        frames = self.learner.gradient(batch)
        self.ended.wait()
        self.ended.clear()
        if self.failed:
            raise self.failed
        if frames:
            self.learner.apply(frames)
        self.take_in(self.learner.weights, self.moved, self.finite)
        self.turn += 1
        return True

    def run(self) -> None:
        """The activity: mix once in each step."""
        while True:
            self.begun.wait()
            self.begun.clear()
            if self.closing:
                return
            try:
                self.mix()
            except BaseException as e:
                self.failed = e  # before the learner wakes
                raise
            finally:
                self.ended.set()

    def mix(self) -> None:
        """Find what the others add to x_i."""
        x = self.learner.weights
        if self.complete:
            torch.sub(x, self.mean, out=self.message)
            self.finite = all_finite(self.message)
            if not self.finite:
                self.message.zero_()
            self.wire.allreduce(self.beside, self.message)
            self.mean.add_(self.message, alpha=1.0 / self.comm.size)
            self.moved = torch.sub(self.mean, x, out=self.moved) if self.finite else self.moved.copy_(self.mean)
        else:
            self.moved = self.mixer(self.beside, x, self.turn)
            self.finite = self.mixer.finite

    def close(self) -> None:
        self.closing = True
        self.begun.set()
        self.activity.join()
