"""Synchronous mixing of the learners' vectors, X ← X T, shared by the gossip strategies that go in lockstep."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import reduce

import torch
from torch import Tensor

from asrpar.errors import ConfigError
from asrpar.parallel.comm import Comm
from asrpar.parallel.compress.wire import Wire
from asrpar.parallel.flat import is_marked, marked_if_not_finite
from asrpar.parallel.gossip import graphs
from asrpar.rules import one_of

TOPOLOGIES: dict[str, Callable[[int], list[Tensor]]] = {
    "ring": lambda n: [graphs.ring(n)],
    "directed_ring": lambda n: [graphs.directed_ring(n)],
    "exponential": graphs.exponential,
    "static_exponential": lambda n: [graphs.static_exponential(n)],
    "tournament": lambda n: [graphs.averaging(m, n) for m in graphs.tournament(n)] or [graphs.complete(1)],
    "complete": lambda n: [graphs.complete(n)],
}


@dataclass
class MixingSettings:
    """Who mixes with whom.

    Attributes:
        topology: ``ring`` (a third on each neighbour), ``directed_ring`` (a half on the one before), ``exponential``
            (a half on the learner 1, 2, 4, ... places before, in turn), ``static_exponential`` (on all of these at
            once), ``tournament`` (pairs that change until everybody has met everybody), ``complete``, or ``matrix``.
        matrix: rows of the mixing matrix, as many as learners.
        matrix_file: a text file with those rows.
    """

    topology: str = "ring"
    matrix: list[list[float]] = field(default_factory=list)
    matrix_file: str = ""

    def validate(self) -> None:
        one_of(self, "topology", (*TOPOLOGIES, "matrix"))
        if self.topology == "matrix" and bool(self.matrix) == bool(self.matrix_file):
            raise ConfigError("topology is matrix: give matrix or matrix_file, one of them")
        if self.topology != "matrix" and (self.matrix or self.matrix_file):
            raise ConfigError(f"topology is {self.topology}, but there is a matrix: set topology to matrix")


def mixing_matrices(name: str, settings: MixingSettings, size: int, check: Callable[[Tensor], None]) -> list[Tensor]:
    """The matrices (N, N) that strategy ``name`` uses in turn.

    Args:
        name: for error messages.
        settings: which.
        size: N.
        check: raises `ConfigError` if a matrix is not fit for the strategy.
    """
    if settings.topology == "matrix":
        rows = graphs.read_matrix(settings.matrix_file) if settings.matrix_file else settings.matrix
        matrices = [graphs.given(rows, size)]
    else:
        matrices = TOPOLOGIES[settings.topology](size)
    for matrix in matrices:
        check(matrix)
    if graphs.spectral_gap(reduce(torch.matmul, matrices)) < 1e-9:
        raise ConfigError(
            f"strategies.{name}.matrix leaves learners that never hear of each other, or swaps them for ever"
        )
    return matrices


class Mixer:
    """Exchanges with the neighbours of one learner; no exchange can block another for ever, whatever the graph.

    Args:
        matrices: (N, N) each, used in turn.
        rank: of this learner.
        wire: how weights travel.
        like: (P,) of the vectors' type and device.

    Attributes:
        finite: whether this learner's vector was, when it was mixed last.
    """

    def __init__(self, matrices: list[Tensor], rank: int, wire: Wire, like: Tensor) -> None:
        self.wire, self.rank = wire, rank
        self.buffer = wire.buffer(like)
        self.moved = torch.zeros_like(like)
        self.finite = True
        self.keeps = [m[rank, rank].item() for m in matrices]
        # For each matrix: (neighbour, the weight that is given to it, whether it gives any), round by round.
        self.plan = [
            [(p, m[rank, p].item(), m[p, rank].item() > 0) for p in _neighbours(graphs.matchings(m), rank)]
            for m in matrices
        ]

    def __call__(self, comm: Comm, x: Tensor, turn: int, omega: Tensor | None = None) -> Tensor:
        """(P,) what mixing adds to ``x``, Σ_j T_ij x_j − x_i; collective; valid until the next call.

        A learner takes from itself just what it gives to the others, as it travels: so Σ x_i is conserved also where
        the wire rounds, and where only the columns of T add up to 1.

        Vectors that have overflowed do not spread. Another's counts as the own one, x_i ω_j / ω_i; ``omega`` (N,) are
        the push weights ω, all 1 if None. If the own one is not `finite`, what is returned is to be taken in its place:
        the mean of the others, with weights T_ij.
        """
        turn %= len(self.plan)
        packed = self.wire.pack(x)
        self.finite = marked_if_not_finite(packed)
        self.moved.zero_()
        heard = 0.0
        for peer, weight, gives in self.plan[turn]:
            if weight and gives:
                comm.exchange(packed, self.buffer, peer)
            elif gives:
                comm.send(peer, 0, (), packed)
            else:
                comm.receive(self.buffer, peer)
            if not weight:
                continue
            ratio = 1.0 if omega is None else (omega[peer] / omega[self.rank]).item()
            if not is_marked(self.buffer):
                self.moved.add_(self.wire.unpack(self.buffer), alpha=weight)
                heard += weight * ratio
            elif self.finite:
                self.moved.add_(self.wire.unpack(packed), alpha=weight * ratio)
        if self.finite:
            return self.moved.sub_(self.wire.unpack(packed), alpha=1.0 - self.keeps[turn])
        return self.moved.div_(heard) if heard else self.moved.copy_(x)


def _neighbours(rounds: list[graphs.Matching], rank: int) -> list[int]:
    return [i + j - rank for pairs in rounds for i, j in pairs if rank in (i, j)]
