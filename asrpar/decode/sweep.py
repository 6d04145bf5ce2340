"""The search for scales and beam on the dev set."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import product
from typing import Any

import numpy as np

from asrpar.decode.config import DecodeConfig
from asrpar.decode.decoder import Decoder
from asrpar.decode.engine import BestPath
from asrpar.decode.scales import SearchPoint
from asrpar.decode.words import Hypothesis

# The setting that lists the values of each axis.
LISTS = {
    "lm_scale": "lm_scales",
    "beam": "beams",
    "word_penalty": "word_penalties",
    "blank_penalty": "blank_penalties",
}

# Errors of the words of each utterance: a mapping with at least "errors" and "wer".
CountErrors = Callable[[Mapping[str, Sequence[str]]], dict[str, float]]


@dataclass
class SweepResult:
    """What was chosen, and how.

    Attributes:
        point: the chosen one.
        hypotheses: at it.
        seconds: that these took.
        table: a row for each point.
        warnings: what is odd about the choice.
        searches: of each utterance.
        notes: facts on the search for ``decode.json``.
    """

    point: SearchPoint
    hypotheses: list[Hypothesis]
    seconds: float
    table: list[dict[str, float]]
    warnings: list[str]
    searches: int
    notes: dict[str, Any] = field(default_factory=dict)


def grid(config: DecodeConfig, axes: Sequence[str]) -> list[SearchPoint]:
    """All points of the configured grid along ``axes``, those that mean something to a decoder."""
    values = [sorted(set(getattr(config, LISTS[axis]))) for axis in axes]
    return [SearchPoint(**dict(zip(axes, point, strict=True))) for point in product(*values)]


def sweep(
    decoder: Decoder,
    utterances: Sequence[tuple[str, np.ndarray]],
    points: Sequence[SearchPoint],
    count_errors: CountErrors,
) -> SweepResult:
    """Search ``utterances`` at each point and choose by `choose`."""
    table: list[dict[str, float]] = []
    found: list[list[BestPath]] = []
    seconds: list[float] = []
    for point in points:
        start = time.perf_counter()
        found.append(decoder.search(utterances, point))
        words = decoder.words(found[-1])
        seconds.append(time.perf_counter() - start)
        partial = sum(not path.complete for path in found[-1])
        table.append({**asdict(point), **count_errors(words), "partial": partial})
    best = choose(points, [int(row["errors"]) for row in table])
    start = time.perf_counter()
    hypotheses = decoder.hypotheses(found[best], points[best])
    seconds[best] += time.perf_counter() - start
    return SweepResult(points[best], hypotheses, seconds[best], table, edges(points, table, best), len(points))


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


def edges(points: Sequence[SearchPoint], table: Sequence[dict[str, float]], best: int) -> list[str]:
    """Warnings where the point that was chosen lies at an edge of the grid."""
    warnings = []
    for name, key in LISTS.items():
        if name == "beam":  # a wider one costs time
            continue
        values = sorted({getattr(p, name) for p in points})
        value = getattr(points[best], name)
        flat = {row["errors"] for row in table} == {table[best]["errors"]}
        if len(values) > 1 and value in (values[0], values[-1]) and not flat:
            warnings.append(f"the best {name}, {value}, lies at the edge of those tried: widen {key}")
    return warnings
