"""PowerSGD: Vogels et al. 2019 (arXiv 1905.13727).

For each matrix parameter, with M_i (n × m) the gradient of learner i (its part of the mean over frames) and its error:

    P = Σ_i M_i Q        P̂ = orthonormal columns of P (n × r)
    Q_i = M_iᵀ P̂         Q = Σ_i Q_i                            x ← P̂ Qᵀ        e_i = M_i − P̂ Q_iᵀ

One power iteration a step, which goes on from the last Q; the first is drawn from a common seed. Parameters with more
than two dimensions are matrices of shape (first, product of the others). Vectors, and matrices of which the two factors
would be no smaller, are sent as they are.

When to use: slow links with many learners: unlike sparse methods it needs no more than allreduces. r = 1 to 4.
Cost of a sum: two allreduces of Σ n r + vectors and Σ m r numbers, and a small one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Size, Tensor

from asrpar.errors import ConfigError
from asrpar.parallel.comm import Comm
from asrpar.parallel.compress.codec import Codec
from asrpar.parallel.compress.feedback import ErrorFeedback
from asrpar.parallel.compress.wire import WarmUp
from asrpar.rules import at_least, not_negative


@dataclass
class Matrix:
    """A parameter that is sent as two factors.

    Attributes:
        place: its elements in the flat vectors.
        shape: n, m.
        p: (n, r), a view on the first message.
        q: (r, m), Qᵀ, a view on the second message; the last sum, with which the next step begins. Products with Q
            stored the other way round take up to 20 times longer.
    """

    place: slice
    shape: tuple[int, int]
    p: Tensor
    q: Tensor


@dataclass
class Settings(WarmUp):
    """Settings of PowerSGD.

    Attributes:
        rank: r; less where a matrix is smaller.
        seed: of the first Q, the same on all learners.
    """

    rank: int = 4
    seed: int = 0

    def validate(self) -> None:
        super().validate()
        at_least(self, 1, "rank")
        not_negative(self, "seed")


class Compression(ErrorFeedback):
    """Matrices are sent as two factors of rank r.

    Args:
        settings: see there.
        shapes: of the parameters, in their order in the vectors.
        like: (P,) the vectors to come.
    """

    def __init__(self, settings: Settings, shapes: Sequence[Size], like: Tensor) -> None:
        super().__init__(settings, like)
        self.matrices: list[Matrix] = []
        # Places in the flat vectors, and views on the first message, of what is sent as it is.
        self.whole: list[tuple[slice, Tensor]] = []
        plans, at = [], 0
        for shape in shapes:
            size = shape.numel()
            n = shape[0] if len(shape) > 1 else 1
            m = size // n
            r = min(settings.rank, n, m)
            plans.append((slice(at, at + size), n, m, r if (n + m) * r < n * m else 0))
            at += size
        if at != like.numel():
            raise ValueError(f"shapes of {at} elements for vectors of {like.numel()}")
        self.first = like.new_zeros(sum(n * r if r else n * m for _, n, m, r in plans))
        generator = torch.Generator().manual_seed(settings.seed)
        draw = torch.randn(sum(m * r for _, _, m, r in plans), generator=generator, dtype=torch.float64)
        self.second = draw.to(like)
        a = b = 0
        for place, n, m, r in plans:
            if r:
                p = self.first[a : a + n * r].view(n, r)
                self.matrices.append(Matrix(place, (n, m), p, self.second[b : b + m * r].view(r, m)))
            else:
                self.whole.append((place, self.first[a : a + n * m]))
            a, b = a + n * (r or m), b + m * r

    def codec(self) -> Codec:
        """Refused: a part of the vectors has no matrices."""
        raise ConfigError(
            "compression 'powersgd' is for sums over all learners, and this strategy sends from one to another: "
            "set it to onebit, topk, threshold, bf16, fp16 or none"
        )

    def reduce(self, comm: Comm, body: Tensor, frames: float) -> None:
        e = self.residual
        for matrix in self.matrices:
            torch.mm(e[matrix.place].view(matrix.shape), matrix.q.T, out=matrix.p)
        for place, view in self.whole:
            view.copy_(e[place])
        comm.allreduce(self.first)
        for matrix in self.matrices:
            m = e[matrix.place].view(matrix.shape)
            # Householder's method gives orthonormal columns whatever the rank of P, also of P = 0.
            matrix.p.copy_(torch.linalg.qr(matrix.p).Q)
            torch.mm(matrix.p.T, m, out=matrix.q)
            m.addmm_(matrix.p, matrix.q, alpha=-1)
        comm.allreduce(self.second)
        for matrix in self.matrices:
            torch.mm(matrix.p, matrix.q, out=body[matrix.place].view(matrix.shape))
        for place, view in self.whole:
            body[place].copy_(view)
            e[place].zero_()

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"q": self.second}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.second.copy_(state["q"])
