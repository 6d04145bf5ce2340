"""HCLG: the decoding graph of phones in context, whose classes of frames (pdfs) a tree names.

The order is Kaldi's: LG with its disambiguation symbols, then context, then H *without* self-loops, determinization and
minimization, and the self-loops last: with them in it the graph could not be made deterministic. Labels on the way are
numbers of (phone, state); a pdf takes their place at the end, so two phones may share pdfs. Costs of a path are the
language model's, the lexicon's, and ``self_loop_scale`` times -ln of staying in a state (a frame) and of leaving it.
Kaldi's ``transition_scale`` would scale what else a state may choose between: nothing, in states from left to right.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import kaldifst
import numpy as np

from asrpar.graph.arrays import ARC, Arrays
from asrpar.graph.compose import DELTA, determinize
from asrpar.hmm.tree import Tree

# Kaldi's decoding scales the acoustics by 0.1 for models of three states, by 1 for chain models of one; the loops are
# to weigh about as much as the frames that they cost, so they get the same scale.
SCALE_OF_ONE_STATE, SCALE_OF_SEVERAL = 1.0, 0.1


@dataclass(frozen=True)
class Emission:
    """What the label of a state of a phone stands for.

    Attributes:
        phone: whose.
        number: of the state in the phone, from 0.
        first: pdf of the first frame in the state.
        later: pdf of the frames behind it.
        loop: probability of each of them.
    """

    phone: int
    number: int
    first: int
    later: int
    loop: float


def usual_self_loop_scale(tree: Tree) -> float:
    """1 if all phones that are no silence have one state, 0.1 otherwise."""
    one = all(len(tree.states(p)) == 1 for p in tree.phones.ids if not tree.phones.is_silence(p))
    return SCALE_OF_ONE_STATE if one else SCALE_OF_SEVERAL


def compose_hclg(
    lg: kaldifst.StdVectorFst, tree: Tree, self_loop_scale: float, max_states: int = -1
) -> kaldifst.StdVectorFst:
    """HCLG, sorted by input; input labels are pdfs + 1, output labels words.

    Args:
        lg: of phones, with its disambiguation symbols, which have ids above the phones'.
        tree: classes and states of the phones.
        self_loop_scale: factor of the log-probabilities of staying in states, and of leaving them.
        max_states: of the graph when it is made deterministic; -1 for any number.

    Raises:
        DataError: more states.
    """
    clg, windows = _with_context(lg, tree)
    hmms, emissions = _models(windows, tree)
    after = len(emissions) + 1  # disambiguation symbols, as H and HCLG have them on their input
    h = _transducer(hmms, after)
    kaldifst.arcsort(h, "olabel")
    kaldifst.arcsort(clg, "ilabel")
    graph = kaldifst.StdVectorFst(kaldifst.compose(h, clg))
    determinize(graph, max_states, "of phones in context")
    arrays = Arrays.of(graph)
    arrays.arcs["ilabel"][arrays.arcs["ilabel"] >= after] = 0
    graph = arrays.fst()
    kaldifst.minimize_encoded(graph, delta=DELTA)
    kaldifst.connect(graph)
    graph = with_self_loops(Arrays.of(graph), emissions, self_loop_scale).fst()
    kaldifst.arcsort(graph, "ilabel")
    return graph


def _with_context(lg: kaldifst.StdVectorFst, tree: Tree) -> tuple[kaldifst.StdVectorFst, list[tuple[int, ...]]]:
    """C o LG, and the window of phones of each of its input labels from 1 on; of disambiguation symbols ()."""
    inputs = np.unique(Arrays.of(lg).arcs["ilabel"])
    disambig = [int(i) for i in inputs if i > len(tree.phones)]
    clg, labels = kaldifst.compose_context(disambig, tree.width, tree.central, lg)
    # Negative for a disambiguation symbol of LG; [0] for the one that compose_context adds behind the last phone.
    windows = [() if len(window) == 1 and window[0] <= 0 else tuple(window) for window in labels]
    return clg, windows[1:]


def _models(windows: Sequence[tuple[int, ...]], tree: Tree) -> tuple[list[list[int]], list[Emission]]:
    """The labels of each window's states, none for a disambiguation symbol, and what labels from 1 on stand for."""
    phones = [window[tree.central] if window else 0 for window in windows]
    states = [tree.states(phone) if phone else () for phone in phones]
    asked = [(window, k) for window, own in zip(windows, states, strict=True) for s in own for k in (s.first, s.later)]
    pdfs = iter(tree.pdfs(np.array([w for w, _ in asked]), np.array([k for _, k in asked])).tolist())
    numbers: dict[Emission, int] = {}
    models = []
    for phone, own in zip(phones, states, strict=True):
        found = [Emission(phone, i, next(pdfs), next(pdfs), state.loop) for i, state in enumerate(own)]
        models.append([numbers.setdefault(emission, len(numbers) + 1) for emission in found])
    return models, list(numbers)


def _transducer(models: Sequence[list[int]], after: int) -> kaldifst.StdVectorFst:
    """H without self-loops; the input labels of disambiguation symbols are ``after`` and above.

    A window's label is on the arc of its first state; what follows is shared by all windows that go on alike.
    """
    fst = kaldifst.StdVectorFst()
    loop = fst.add_state()
    fst.start = loop
    fst.set_final(loop, 0.0)
    shared: dict[tuple[int, ...], int] = {(): loop}  # where the states of a phone begin that are still to come
    for window, labels in enumerate(models, 1):
        if not labels:
            fst.add_arc(loop, kaldifst.StdArc(after, window, 0.0, loop))
            after += 1
            continue
        for i in range(len(labels) - 1, 0, -1):
            rest = tuple(labels[i:])
            if rest not in shared:
                shared[rest] = fst.add_state()
                fst.add_arc(shared[rest], kaldifst.StdArc(labels[i], 0, 0.0, shared[rest[1:]]))
        fst.add_arc(loop, kaldifst.StdArc(labels[0], window, 0.0, shared[tuple(labels[1:])]))
    return fst


def with_self_loops(graph: Arrays, emissions: Sequence[Emission], scale: float) -> Arrays:
    """Put pdfs in the place of labels, and add self-loops.

    A state that different labels lead into becomes one for each of them, as each has a loop of its own. Whatever leaves
    it, an epsilon or the end too, pays for leaving the loop.

    Args:
        graph: input labels from 1 on stand for ``emissions``.
        emissions: that labels stand for.
        scale: factor of the log-probabilities.
    """
    labels = len(emissions) + 1  # 0 is that of epsilons, and of the start
    first = np.array([0, *(e.first + 1 for e in emissions)], np.int32)
    later = np.array([0, *(e.later + 1 for e in emissions)], np.int32)
    stay = np.array([0.0, *(-scale * math.log(e.loop) if e.loop else math.inf for e in emissions)], np.float32)
    leave = np.array([0.0, *(-scale * math.log1p(-e.loop) for e in emissions)], np.float32)
    # A state of the new graph is an old one and the label that it was entered by, as one number.
    entered = graph.arcs["nextstate"].astype(np.int64) * labels + graph.arcs["ilabel"]
    keys = np.unique(np.append(entered, graph.start * labels))
    old, label = np.divmod(keys, labels)
    loops = (later[label] > 0) & np.isfinite(stay[label])
    degree = np.diff(graph.first)[old]
    offsets = np.zeros(len(keys) + 1, np.int64)
    np.cumsum(degree + loops, out=offsets[1:])
    arcs = np.empty(offsets[-1], ARC)
    # The self-loop is the first of a state's arcs.
    at = offsets[:-1][loops]
    arcs["ilabel"][at], arcs["olabel"][at], arcs["weight"][at] = later[label[loops]], 0, stay[label[loops]]
    arcs["nextstate"][at] = np.flatnonzero(loops)
    begin = np.repeat(offsets[:-1] + loops - np.cumsum(degree) + degree, degree)
    place = begin + np.arange(degree.sum())
    source = np.repeat(graph.first[old] - np.cumsum(degree) + degree, degree) + np.arange(degree.sum())
    copied = graph.arcs[source]
    copied["nextstate"] = np.searchsorted(keys, entered[source])
    copied["ilabel"] = first[copied["ilabel"]]
    copied["weight"] += np.repeat(leave[label], degree)
    arcs[place] = copied
    start = int(np.searchsorted(keys, graph.start * labels))
    return Arrays(start, graph.finals[old] + leave[label], offsets, arcs)
