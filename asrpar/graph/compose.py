"""Composition: from L, G and a topology to HLG."""

from collections.abc import Iterator
from contextlib import contextmanager

import kaldifst

from asrpar.errors import DataError
from asrpar.graph.arrays import Arrays
from asrpar.hmm.topologies.contract import UnitTopology

# Kaldi's default of 1/1024 would move each arc's cost by up to half of that, and a path's by the sum.
DELTA = 1e-5


@contextmanager
def openfst(what: object) -> Iterator[None]:
    """Let an error of OpenFst, which is several lines with places in its source, be one that names ``what``."""
    try:
        yield
    except RuntimeError as e:
        said = [line.strip() for line in str(e).splitlines() if line.strip()] or [type(e).__name__]
        raise DataError(f"{what}: OpenFst cannot make a graph of it: {said[-1].removeprefix('[E] ')}") from e


def compose_lg(
    l: kaldifst.StdVectorFst, g: kaldifst.StdVectorFst, num_tokens: int, max_states: int = -1, disambig: bool = False
) -> kaldifst.StdVectorFst:
    """min(det(L o G)), sorted by input.

    Disambiguation symbols (``num_tokens`` and above) are replaced by epsilon, or kept with ``disambig``.
    """
    kaldifst.arcsort(l, "olabel")
    kaldifst.arcsort(g, "ilabel")
    lg = kaldifst.StdVectorFst(kaldifst.compose(l, g))
    if lg.start < 0:
        return lg
    determinize(lg, max_states, "of lexicon and language model")
    kaldifst.minimize_encoded(lg, delta=DELTA)
    if not disambig:
        lg = without_inputs_from(lg, num_tokens)
    kaldifst.connect(lg)
    kaldifst.arcsort(lg, "ilabel")
    return lg


def determinize(fst: kaldifst.StdVectorFst, max_states: int, what: str) -> None:
    """Make a graph deterministic, in place, epsilons removed. Raises `DataError` beyond ``max_states``."""
    try:
        stopped = kaldifst.determinize_star(fst, delta=DELTA, max_states=max_states)
    except RuntimeError as e:
        if "aborted since passed" not in str(e):
            raise
        stopped = True
    if stopped:
        raise DataError(
            f"the graph {what} has more than {max_states} states when it is made deterministic: raise max_states if "
            "there is memory for it, or make a smaller language model (asrpar prepare-lang)"
        )


def compose_hlg(topology: UnitTopology, lg: kaldifst.StdVectorFst) -> kaldifst.StdVectorFst:
    """H o LG, sorted by input; input labels are classes + 1, output labels words."""
    units = sorted({arc.ilabel for s in kaldifst.StateIterator(lg) for arc in kaldifst.ArcIterator(lg, s)} - {0})
    h = topology.transducer(units)
    kaldifst.arcsort(h, "olabel")
    # Epsilons of LG come right behind the unit's first frame, not behind its repetitions and blanks: so words are
    # written where their last unit begins.
    hlg = kaldifst.StdVectorFst(kaldifst.compose(h, lg, compose_filter="alt_sequence"))
    kaldifst.arcsort(hlg, "ilabel")
    return hlg


def graph_size(fst: kaldifst.StdVectorFst) -> tuple[int, int]:
    """Numbers of states and arcs."""
    states = range(fst.num_states)
    return len(states), sum(map(fst.num_arcs, states))


def without_inputs_from(fst: kaldifst.StdVectorFst, first: int) -> kaldifst.StdVectorFst:
    """A copy in which input labels from ``first`` on are epsilon."""
    arrays = Arrays.of(fst)
    arrays.arcs["ilabel"][arrays.arcs["ilabel"] >= first] = 0
    return arrays.fst()
