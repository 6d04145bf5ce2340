"""The choice on dev with at most three searches of each utterance, whatever the grid: lattices are looked at from it.

The first search is at the middle of the grid and with the widest beam. Its lattices give the best path at every point,
and so an estimate of the errors there, exact as long as the lattice beam is wide enough to hold the best path. Where
the estimate is lowest the second search is made, unless that was the place of the first. Its lattices are added: at
each point an utterance's path is the better one. The third search finds no lattices: it is at the best point of what
is known by then, with the narrowest beam. With one lattice alone the second search finds none either: where a search
for lattices costs ten times one for the best path, as in graphs of hybrid models, which have no blank, it is the middle
of the grid that lattices are worth most at. Of the two or three points at which the engine itself has searched, whose
words are no estimate, the best is chosen.
"""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from asrpar.decode.decoder import Decoder
from asrpar.decode.engine import BestPath
from asrpar.decode.lattices.lattice import Lattice
from asrpar.decode.lattices.paths import at_points, best_arcs, path_of, words_of
from asrpar.decode.scales import AXES, SearchPoint
from asrpar.decode.sweep import CountErrors, SweepResult, choose, edges

# Costs that are in memory at a time, of arcs times points.
COSTS = 2_000_000


@dataclass(frozen=True)
class Rescaled:
    """One utterance at all points.

    Attributes:
        path: the best one at the point of the search.
        costs: of the best path at each point; those of paths that end nowhere count as infinite.
        words: of it.
    """

    path: BestPath
    costs: np.ndarray
    words: list[tuple[int, ...]]


@dataclass(frozen=True)
class AtPoints:
    """Makes `Rescaled` of a lattice; can be pickled.

    Attributes:
        points: to look from.
        here: the number of the one that was searched at.
        blank: the blank class, if any.
    """

    points: list[SearchPoint]
    here: int
    blank: int | None

    def __call__(self, lattice: Lattice) -> Rescaled:
        found: list[tuple[np.ndarray, float]] = []
        step = max(1, COSTS // max(1, lattice.num_arcs))
        for i in range(0, len(self.points), step):
            found += best_arcs(lattice, *at_points(lattice, self.points[i : i + step], self.blank))
        costs = np.array([cost if lattice.complete else np.inf for _, cost in found])
        arcs, cost = found[self.here]
        scale = self.points[self.here].lm_scale
        path = path_of(lattice, arcs, cost / scale) if lattice.num_states else BestPath.none(lattice.utt_id)
        return Rescaled(path, costs, [words_of(lattice, arcs) for arcs, _ in found])


def sweep_lattices(
    decoder: Decoder,
    utterances: Sequence[tuple[str, np.ndarray]],
    points: Sequence[SearchPoint],
    count_errors: CountErrors,
    lattice_beam: float,
    most_lattices: int = 2,
) -> SweepResult:
    """As `asrpar.decode.sweep.sweep`; of several beams the widest and the narrowest are tried alone.

    Args:
        decoder: whose engine gives lattices.
        utterances, points, count_errors: see there.
        lattice_beam: see `Decoder.lattices`.
        most_lattices: searches for lattices, 1 or 2.
    """
    beams = [p.beam for p in points]
    wide = [p for p in points if p.beam == max(beams)]
    known: list[Rescaled] | None = None
    # What the engine itself has found, by point: paths, errors, seconds.
    searched: dict[SearchPoint, tuple[list[BestPath], dict[str, float], float]] = {}
    here = middle(wide)
    while True:
        start = time.perf_counter()
        if len(searched) < most_lattices:
            found = decoder.lattices(utterances, wide[here], lattice_beam, AtPoints(wide, here, decoder.blank))
            paths = [f.path for f in found]
            known = found if known is None else [_better(a, b) for a, b in zip(known, found, strict=True)]
        else:
            paths = decoder.search(utterances, wide[here])
        searched[wide[here]] = paths, _row(decoder, paths, count_errors), time.perf_counter() - start
        rows = [
            searched[p][1] if p in searched else _row(decoder, _paths(utterances, known, i), count_errors)
            for i, p in enumerate(wide)
        ]
        here = choose(wide, [int(row["errors"]) for row in rows])
        if wide[here] in searched or len(searched) == 2:
            break
    last = replace(wide[here], beam=min(beams))
    if last not in searched:
        start = time.perf_counter()
        paths = decoder.search(utterances, last)
        searched[last] = paths, _row(decoder, paths, count_errors), time.perf_counter() - start
    told = {p: row for p, row in zip(wide, rows, strict=True)} | {p: row for p, (_, row, _) in searched.items()}
    table = [{**asdict(p), **row, "searched": p in searched} for p, row in told.items()]
    candidates = list(searched)
    point = candidates[choose(candidates, [int(searched[p][1]["errors"]) for p in candidates])]
    paths, _, seconds = searched[point]
    start = time.perf_counter()
    hypotheses = decoder.hypotheses(paths, point)
    seconds += time.perf_counter() - start
    warnings = edges(list(told), table, list(told).index(point))
    return SweepResult(point, hypotheses, seconds, table, warnings, len(searched))


def middle(points: Sequence[SearchPoint]) -> int:
    """The number of the point with the middle one of the values along each axis."""
    values = [sorted({getattr(p, axis) for p in points}) for axis in AXES]
    centre = SearchPoint(**{axis: v[len(v) // 2] for axis, v in zip(AXES, values, strict=True)})
    return list(points).index(centre)


def _row(decoder: Decoder, paths: list[BestPath], count_errors: CountErrors) -> dict[str, float]:
    return {**count_errors(decoder.words(paths)), "partial": sum(not path.complete for path in paths)}


def _paths(utterances: Sequence[tuple[str, np.ndarray]], known: list[Rescaled], i: int) -> list[BestPath]:
    """The words at point ``i``, as paths of no times."""
    none = np.zeros(0, dtype=np.int32)
    return [
        BestPath(utt_id, none, list(k.words[i]), complete=bool(np.isfinite(k.costs[i])))
        for (utt_id, _), k in zip(utterances, known, strict=True)
    ]


def _better(a: Rescaled, b: Rescaled) -> Rescaled:
    """At each point the path of less cost, ``a``'s if they are equal."""
    words = [v if second else u for u, v, second in zip(a.words, b.words, b.costs < a.costs, strict=True)]
    return Rescaled(b.path, np.minimum(a.costs, b.costs), words)
