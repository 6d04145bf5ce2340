"""Who talks to whom: mixing matrices and matchings as pure functions.

A mixing matrix T (N, N) has in T[i, j] the weight that learner i gives to what learner j sends. The spectral gap
1 − |λ₂(T)| says how fast differences between learners die out without gradients: by the factor |λ₂| a step.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from asrpar.errors import ConfigError

# Pairs of learners that exchange at the same time: each learner is in at most one.
Matching = list[tuple[int, int]]


def circulant(size: int, weights: dict[int, float]) -> Tensor:
    """(N, N): every learner gives ``weights[d]`` to the learner d places before it, around the ring."""
    matrix = torch.zeros(size, size, dtype=torch.float64)
    for shift, weight in weights.items():
        for i in range(size):
            matrix[i, (i - shift) % size] += weight
    return matrix


def ring(size: int) -> Tensor:
    """(N, N): a third on oneself, on the left and on the right neighbour."""
    return circulant(size, {0: 1 / 3, 1: 1 / 3, -1: 1 / 3})


def directed_ring(size: int) -> Tensor:
    """(N, N): a half on oneself and on the learner before."""
    return circulant(size, {0: 1 / 2, 1: 1 / 2})


def complete(size: int) -> Tensor:
    """(N, N): everybody counts alike."""
    return torch.full((size, size), 1 / size, dtype=torch.float64)


def hops(size: int) -> list[int]:
    """Powers of 2 below N: the distances of the exponential graph."""
    return [1 << k for k in range((size - 1).bit_length())]


def static_exponential(size: int) -> Tensor:
    """(N, N): equal weights on oneself and on the learners 1, 2, 4, ... places before."""
    distances = [0, *hops(size)]
    return circulant(size, {d: 1 / len(distances) for d in distances})


def exponential(size: int) -> list[Tensor]:
    """⌈log₂ N⌉ matrices (N, N), used in turn: a half on oneself, a half on the learner 1, 2, 4, ... places before.

    One message a step; after one round all learners agree exactly if N is a power of 2.
    """
    return [circulant(size, {0: 1 / 2, d: 1 / 2}) for d in hops(size)] or [complete(1)]


def tournament(size: int) -> list[Matching]:
    """Rounds in which all learners meet all others once: N − 1 of them, or N if N is odd and one sits out in each."""
    players = list(range(size + size % 2))
    last = len(players) - 1
    found = []
    for _ in range(last):
        pairs = [(players[k], players[last - k]) for k in range(len(players) // 2)]
        found.append([(min(p), max(p)) for p in pairs if max(p) < size])
        # The first stays, the others move on by one.
        players = [players[0], players[last], *players[1:last]]
    return found


def averaging(matching: Matching, size: int) -> Tensor:
    """(N, N): the pairs of a matching average, x_i, x_j ← (x_i + x_j) / 2."""
    matrix = torch.eye(size, dtype=torch.float64)
    for i, j in matching:
        matrix[i, i] = matrix[j, j] = matrix[i, j] = matrix[j, i] = 1 / 2
    return matrix


def given(rows: Sequence[Sequence[float]], size: int) -> Tensor:
    """(N, N) from its rows; `ConfigError` if it is not square, of another size, or has a negative entry."""
    if len(rows) != size or any(len(row) != size for row in rows):
        shape = f"{len(rows)} rows of {sorted({len(row) for row in rows})} numbers"
        raise ConfigError(f"the mixing matrix has {shape}: {size} learners need {size} rows of {size}")
    matrix = torch.tensor([list(row) for row in rows], dtype=torch.float64)
    if not bool((matrix >= 0).all()):
        raise ConfigError("the mixing matrix has an entry that is negative or not a number: weights are at least 0")
    return matrix


def read_matrix(path: str | Path) -> list[list[float]]:
    """Rows from a text file: a line for each, numbers apart by spaces or commas."""
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
        return [[float(x) for x in line.replace(",", " ").split()] for line in lines if line.strip()]
    except (OSError, ValueError) as e:
        raise ConfigError(f"cannot read a mixing matrix from {path}: {e}") from e


def check_column_stochastic(matrix: Tensor) -> None:
    """`ConfigError` unless the columns of ``matrix`` add up to 1: what a learner sends out is all that it has."""
    _check_sums(matrix.sum(0), "column")


def check_doubly_stochastic(matrix: Tensor) -> None:
    """`ConfigError` unless rows and columns of ``matrix`` add up to 1: so mixing keeps the mean of all learners."""
    _check_sums(matrix.sum(1), "row")
    _check_sums(matrix.sum(0), "column")


def _check_sums(sums: Tensor, what: str) -> None:
    worst = int((sums - 1).abs().argmax())
    if abs(sums[worst].item() - 1) > 1e-9:
        raise ConfigError(f"{what} {worst} of the mixing matrix adds up to {sums[worst].item():.10g}: it must be 1")


def spectral_gap(matrix: Tensor) -> float:
    """1 − |λ₂|; 1 if all learners agree after one step, 0 if some never hear of each other."""
    if len(matrix) == 1:
        return 1.0
    return 1.0 - torch.linalg.eigvals(matrix).abs().sort().values[-2].item()


def matchings(matrix: Tensor) -> list[Matching]:
    """The edges of a graph in rounds in which each learner is in at most one (an edge colouring).

    An edge is where ``matrix`` is not zero in either direction. Learners that go through the rounds in order, doing
    both directions of an edge at once, never wait for each other in a circle.
    """
    found: list[Matching] = []
    for i in range(len(matrix)):
        for j in range(i + 1, len(matrix)):
            if matrix[i, j] == 0 and matrix[j, i] == 0:
                continue
            free = (m for m in found if not any({i, j} & set(pair) for pair in m))
            chosen = next(free, None)
            if chosen is None:
                found.append(chosen := [])
            chosen.append((i, j))
    return found
