"""The word sequences that a lattice offers an utterance, with what is needed to order them anew at any scale."""

from dataclasses import dataclass, replace

import numpy as np

from asrpar.decode.engine import BestPath
from asrpar.decode.lattices.lattice import Lattice
from asrpar.decode.lattices.mbr import Bayes, minimum_bayes_risk
from asrpar.decode.lattices.paths import at_points, path_of
from asrpar.decode.lattices.sequences import best_of
from asrpar.decode.lattices.words import n_best, oracle, word_lattice
from asrpar.decode.scales import SearchPoint


@dataclass(frozen=True, eq=False)
class Candidates:
    """The N best word sequences of an utterance at the point of its search.

    Attributes:
        utt_id: the utterance.
        words: ids of each sequence.
        paths: the best path of each at that point.
        acoustic: (N,) costs of these paths, with blank penalties.
        graph: (N,) costs of the graph without word penalties.
        lm: (N,) how much the new language model adds to the old one's cost; 0 until it is known.
        errors: of the oracle, the sequence of the whole lattice that is nearest to the reference.
        best_errors: of the nearest of ``words``.
    """

    utt_id: str
    words: list[tuple[int, ...]]
    paths: list[BestPath]
    acoustic: np.ndarray
    graph: np.ndarray
    lm: np.ndarray
    errors: int
    best_errors: int

    def costs(self, lm_scale: float, word_penalty: float, lm_weight: float) -> np.ndarray:
        """(N,) the cost of each sequence."""
        counts = np.array([len(w) for w in self.words], dtype=np.float64)
        return self.acoustic + lm_scale * (self.graph + word_penalty * counts + lm_weight * self.lm)

    def with_lm(self, added: np.ndarray) -> "Candidates":
        """The same with ``added`` for `lm`."""
        return replace(self, lm=added)


@dataclass(frozen=True)
class Choosing:
    """Makes `Candidates` of a lattice; can be pickled.

    Attributes:
        point: of the search.
        blank: the blank class, if any.
        n: sequences at most.
        beam: of words; infinite for all of the lattice.
    """

    point: SearchPoint
    blank: int | None
    n: int
    beam: float

    def __call__(self, lattice: Lattice, reference: tuple[int, ...]) -> Candidates:
        words = word_lattice(lattice, self.point, self.blank, self.beam)
        said = [w for w, _ in n_best(words, self.n)]
        found = best_of(lattice, said, self.point, self.blank)
        kept = [(w, f) for w, f in zip(said, found, strict=True) if f is not None]
        scale, penalty = self.point.lm_scale, self.point.word_penalty
        graph = np.array([f.graph - penalty * len(w) for w, f in kept])
        acoustic = np.array([f.acoustic for _, f in kept])
        paths = [path_of(lattice, f.arcs, f.acoustic + scale * f.graph) for _, f in kept]
        near = oracle(words, reference)[0]
        few = min((_distance(w, reference) for w, _ in kept), default=len(reference))
        return Candidates(lattice.utt_id, [w for w, _ in kept], paths, acoustic, graph, np.zeros(len(kept)), near, few)


def least_risk(
    lattice: Lattice, point: SearchPoint, blank: int | None, scale: float, begin: tuple[int, ...], rounds: int
) -> Bayes:
    """`minimum_bayes_risk` over a raw lattice at a point; ``scale``: see `scaled_down`."""
    costs, ends = at_points(lattice, [point], blank)
    factor = scaled_down(scale, point.lm_scale)
    return minimum_bayes_risk(lattice, factor * costs[:, 0], factor * ends[:, 0], begin, rounds)


def least_risk_of(candidates: Candidates, costs: np.ndarray, factor: float, rounds: int) -> Bayes:
    """The same over the candidates alone, as a lattice that shares their common beginnings."""
    best = candidates.words[int(costs.argmin())]
    children: dict[tuple[int, int], int] = {}
    arcs: list[tuple[int, int, int, int, float, float]] = []
    final: dict[int, float] = {}
    for words, cost in zip(candidates.words, costs.tolist(), strict=True):
        here = 0
        for w in words:
            there = children.get((here, w))
            if there is None:
                there = children[here, w] = len(children) + 1
                arcs.append((here, there, 0, w, 0.0, 0.0))
            here = there
        final[here] = factor * cost
    ends = np.full(len(children) + 1, np.inf)
    ends[list(final)] = list(final.values())
    columns = [np.array(column) for column in zip(*arcs, strict=True)] or [np.zeros(0)] * 6
    lattice = Lattice.make(candidates.utt_id, 0, columns, ends)
    return minimum_bayes_risk(lattice, lattice.graph, lattice.final, best, rounds)


def scaled_down(scale: float, lm_scale: float) -> float:
    """The factor of costs that makes them probabilities: LM scales above 1 mean that acoustic costs are too sure."""
    return scale / max(1.0, lm_scale)


def _distance(said: tuple[int, ...], reference: tuple[int, ...]) -> int:
    steps = np.arange(len(reference) + 1)
    row, wanted = steps.copy(), np.array(reference, dtype=np.int64)
    for w in said:
        new = row + 1
        np.minimum(new[1:], row[:-1] + (wanted != w), out=new[1:])
        row = np.minimum.accumulate(new - steps) + steps
    return int(row[-1])
