"""Stochastic gradient push: Assran et al. 2019, arXiv 1811.10792.

    x_i ← x_i − γ g_i(z_i)        x_i ← Σ_j P_ij x_j        ω_i ← Σ_j P_ij ω_j        z_i = x_i / ω_i

P is column-stochastic: a learner shares out what it has, and need not hear from those it sends to. So graphs may be
directed. The push weights ω undo what unequal row sums do; Σ ω_i = N, and Σ x_i moves by gradients alone. The learner
computes with z_i; the model is Σ x_i / N, that is, the mean of the z_i weighted by ω_i.

When to use: as `dpsgd`, where exchanges in both directions are too dear or the graph is directed. On regular graphs,
as all that are built in, every ω_i stays 1.
Cost of a step: P numbers to each neighbour (1 with ``exponential``). ω needs no message: everybody knows P. Extra
memory: 3 P.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from asrpar.parallel.comm import Comm
from asrpar.parallel.compress.wire import Wire, need_weights_wire
from asrpar.parallel.contract import Gossip, Learner
from asrpar.parallel.gossip.graphs import check_column_stochastic
from asrpar.parallel.gossip.mixer import Mixer, MixingSettings, mixing_matrices


@dataclass
class Settings(MixingSettings):
    """Settings of SGP: who sends to whom. The columns of a given matrix must add up to 1."""

    topology: str = "exponential"


class Algorithm(Gossip):
    """Push-sum of the weights after each update."""

    kept = ("x", "omega", "turn")

    def __init__(self, settings: Settings, learner: Learner, comm: Comm, wire: Wire | None = None) -> None:
        super().__init__(settings, learner, comm, wire)
        self.matrices = mixing_matrices("sgp", settings, comm.size, check_column_stochastic)
        need_weights_wire(self.wire, "sgp")
        self.mixer = Mixer(self.matrices, comm.rank, self.wire, learner.weights)
        self.x = learner.weights.clone()
        # (N,) of all learners: they follow from the matrices.
        self.omega = torch.ones(comm.size, dtype=torch.float64)
        # News of one travel to all in so many steps.
        self.apart = comm.size
        self.together = comm
        self.turn = 0

    def start(self) -> None:
        """x_i = z_i = rank 0's weights, ω_i = 1."""
        super().start()
        self.x.copy_(self.learner.weights)
        self.omega.fill_(1.0)

    def step(self, batch: Any | None) -> bool:
        """One gradient at z_i, one update of x_i, one push."""
        if batch is None:
            return False
        z = self.learner.weights
        frames = self.learner.gradient(batch)
        if frames:
            # The local optimizer moves z; x moves by as much.
            self.x.sub_(z)
            self.learner.apply(frames)
            self.x.add_(z)
        moved, before = self.mixer(self.comm, self.x, self.turn, self.omega), self.omega
        self.omega = self.matrices[self.turn % len(self.matrices)] @ before
        self.take_in(self.x, moved, self.mixer.finite, (self.omega / before)[self.comm.rank].item())
        torch.div(self.x, self.omega[self.comm.rank].item(), out=z)
        self.turn += 1
        return True

    def consensus(self, x: Tensor) -> Tensor:
        """The mean over the learners, weighted by ω_i."""
        omega, learners = self.omega[self.comm.rank].item(), self.comm.size
        return self.add_up(x * omega, omega / learners).div_(learners)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on with the same turn; another number of learners begins with ω_i = 1 at the learner's weights."""
        if len(state["omega"]) != self.comm.size:
            state = state | {"x": self.learner.weights, "omega": torch.ones_like(self.omega)}
        super().load_state_dict(state)
