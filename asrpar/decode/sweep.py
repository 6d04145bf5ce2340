"""The search for scales and beam on the dev set."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import product

import numpy as np

from asrpar.decode.config import DecodeConfig
from asrpar.decode.engine import Engine, Hypothesis, SearchPoint

# Errors of hypotheses: a mapping with at least "errors" and "wer".
CountErrors = Callable[[list[Hypothesis]], dict[str, float]]


@dataclass
class SweepResult:
    """The chosen point, its hypotheses, the seconds they took, a table row for each point, and warnings."""

    point: SearchPoint
    hypotheses: list[Hypothesis]
    seconds: float
    table: list[dict[str, float]]
    warnings: list[str]


def grid(config: DecodeConfig) -> list[SearchPoint]:
    """All points of the configured grid; for the greedy engine only the blank penalty is to be chosen."""
    if config.engine == "greedy":
        return [SearchPoint(blank_penalty=v) for v in sorted(set(config.blank_penalties))]
    axes = (sorted(set(v)) for v in (config.lm_scales, config.beams, config.word_penalties, config.blank_penalties))
    return [SearchPoint(*values) for values in product(*axes)]


def sweep(
    engine: Engine,
    utterances: Sequence[tuple[str, np.ndarray]],
    points: Sequence[SearchPoint],
    count_errors: CountErrors,
) -> SweepResult:
    """Decode ``utterances`` at each point and choose by `choose`."""
    table: list[dict[str, float]] = []
    hypotheses: list[list[Hypothesis]] = []
    seconds: list[float] = []
    for point in points:
        start = time.perf_counter()
        hypotheses.append(engine.decode(utterances, point))
        seconds.append(time.perf_counter() - start)
        partial = sum(not h.complete for h in hypotheses[-1])
        table.append({**asdict(point), **count_errors(hypotheses[-1]), "partial": partial})
    best = choose(points, [int(row["errors"]) for row in table])
    return SweepResult(points[best], hypotheses[best], seconds[best], table, _edges(points, table, best))


def choose(points: Sequence[SearchPoint], errors: Sequence[int]) -> int:
    """Index of the point with the fewest errors.

    Ties, common on small dev sets, go to the smallest beam (the fastest), then to the smallest penalties by size, of
    words first, then to the middle one of the tied LM scales (the larger of two): the middle of a flat optimum is the
    safest guess for another set.
    """

    def rank(i: int) -> tuple[float, ...]:
        p = points[i]
        return p.beam, abs(p.word_penalty), p.word_penalty, abs(p.blank_penalty), p.blank_penalty

    tied = [i for i, e in enumerate(errors) if e == min(errors)]
    best = min(map(rank, tied))
    tied = [i for i in tied if rank(i) == best]
    tied.sort(key=lambda i: points[i].lm_scale)
    return tied[len(tied) // 2]


def _edges(points: Sequence[SearchPoint], table: Sequence[dict[str, float]], best: int) -> list[str]:
    warnings = []
    keys = {"lm_scale": "lm_scales", "word_penalty": "word_penalties", "blank_penalty": "blank_penalties"}
    for name, key in keys.items():
        values = sorted({getattr(p, name) for p in points})
        value = getattr(points[best], name)
        flat = {row["errors"] for row in table} == {table[best]["errors"]}
        if len(values) > 1 and value in (values[0], values[-1]) and not flat:
            warnings.append(f"the best {name}, {value}, lies at the edge of those tried: widen {key}")
    return warnings
