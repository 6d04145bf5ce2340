"""Kaldi's tree and transition model as a `Tree`, and back."""

import math
from collections.abc import Iterator

import numpy as np

from asrpar.errors import DataError
from asrpar.hmm.kaldi.topology import NO_PDF, Entry, Topology, left_to_right
from asrpar.hmm.kaldi.transitions import TransitionModel
from asrpar.hmm.kaldi.tree import ContextDependency
from asrpar.hmm.nodes import Node, Split, leaves
from asrpar.hmm.phones import Phones
from asrpar.hmm.segments import Segments
from asrpar.hmm.topologies.contract import State
from asrpar.hmm.tree import Tree
from asrpar.log import get_logger

LOG = get_logger(__name__)
TOPOLOGY = "kaldi"  # what trees from there say, which no topology here is called
LEAST = 0.01  # of a loop, and of what leaves


def import_tree(context: ContextDependency, model: TransitionModel, phones: Phones, where: str) -> Tree:
    """A tree with Kaldi's pdfs, and states with the probabilities of its transition model.

    Args:
        context: the tree.
        model: that was trained with it.
        phones: in Kaldi's order.
        where: the tree's file, for messages.

    Raises:
        DataError: tree, model and phones do not belong together.
    """
    missing = [p for p in phones.ids if p not in model.topology]
    if missing or max(model.topology) > len(phones):
        odd = phones.name(missing[0]) if missing else max(model.topology)
        raise DataError(f"{where}: the model and the {len(phones)} phones do not belong together (phone {odd})")
    states = [states_of(model, p) for p in phones.ids]
    classes = [(p, k) for p in phones.ids for k in sorted(_classes(model.topology[p]))]
    roots = context.roots(classes, where)
    bent = [phones.name(p) for p in phones.ids if not is_left_to_right(model.topology[p])]
    if bent:
        LOG.warning(
            "states of %s do not go from left to right, one by one, as those of graphs made here do: the classes of "
            "frames are kept, other ways through the states are not", " ".join(bent[:8]),
        )  # fmt: skip
    try:
        tree = Tree(phones, TOPOLOGY, context.width, states, roots)
    except DataError as e:
        raise DataError(f"{where}: {e}") from e
    if tree.num_pdfs != model.num_pdfs or not _agree(tree, model):
        raise DataError(
            f"{where}: the tree has {tree.num_pdfs} pdfs, and the model {model.num_pdfs}, or others for the same "
            "states: give the tree that this model was trained with"
        )
    return tree


def _classes(entry: Entry) -> set[int]:
    return {k for s in entry for k in (s.forward, s.loop)} - {NO_PDF}


def _agree(tree: Tree, model: TransitionModel) -> bool:
    own: dict[tuple[int, int], set[int]] = {key: set(leaves(root)) for key, root in tree.roots.items()}
    for phone, state, forward, loop in model.tuples.tolist():
        at = model.topology[phone][state]
        if forward not in own[phone, at.forward] or loop not in own[phone, at.loop]:
            return False
    return True


def is_left_to_right(entry: Entry) -> bool:
    """Whether each state has frames, may be stayed in, and leads to the next one alone."""
    return all(s.forward != NO_PDF and {t for t, _ in s.transitions} == {i, i + 1} for i, s in enumerate(entry[:-1]))


def states_of(model: TransitionModel, phone: int) -> tuple[State, ...]:
    """The states of a phone that have frames, left to right, with loops as its contexts have them on average."""
    of_phone = model.tuples[:, 0] == phone
    found = []
    for number, state in enumerate(model.topology[phone]):
        if state.forward == NO_PDF:
            continue
        ids = [k for k, (target, _) in enumerate(state.transitions) if target == number]
        rows = np.flatnonzero(of_phone & (model.tuples[:, 1] == number))
        loops = np.exp(model.log_probs[model.first_ids[rows] + ids[0]]) if ids and len(rows) else np.array([LEAST])
        loop = float(np.clip(loops.mean(), LEAST, 1 - LEAST))
        found.append(State(state.forward, state.loop, round(loop, 6)))
    return tuple(found)


def export_model(tree: Tree) -> TransitionModel:
    """Kaldi's transition model of a tree: a transition state for each phone, state and pdf.

    Where a state's first frame is a class of its own, for each pair of pdfs that some context has.
    """
    topology: Topology = {p: left_to_right(tree.states(p)) for p in tree.phones.ids}
    every = frozenset({0, *tree.phones.ids})
    tuples = [
        (phone, number, *pair)
        for phone in tree.phones.ids
        for number, state in enumerate(tree.states(phone))
        for pair in _pairs(tree, phone, state, every)
    ]
    return TransitionModel.of(topology, tuples)


def _pairs(tree: Tree, phone: int, state: State, every: frozenset[int]) -> set[tuple[int, int]]:
    first, later = tree.roots[phone, state.first], tree.roots[phone, state.later]
    if state.first == state.later:
        return {(pdf, pdf) for pdf in leaves(first)}
    return set(_together(first, later, dict.fromkeys(range(tree.width), every)))


def _together(a: Node, b: Node, left: dict[int, frozenset[int]]) -> Iterator[tuple[int, int]]:
    """Leaves of both trees that one context leads to; ``left`` are the phones that it may still have."""
    asked = a if isinstance(a, Split) else b
    if not isinstance(asked, Split):
        yield a, b
        return
    here = left[asked.position]
    for phones, side in ((here & asked.phones, "yes"), (here - asked.phones, "no")):
        if phones:
            below = getattr(asked, side)
            pair = (below, b) if asked is a else (a, below)
            yield from _together(*pair, left | {asked.position: phones})


class TransitionIds:
    """Makes alignments of transition-ids, in the order that Kaldi's graphs give them (loops behind the way on).

    Args:
        tree: of the segments.
        model: Kaldi's, of the same tree.
    """

    def __init__(self, tree: Tree, model: TransitionModel) -> None:
        self._tree, self._model = tree, model
        self._base = 1 + int(model.tuples.max())
        if self._base**4 >= 2**63:
            raise DataError(f"{model.num_pdfs} pdfs are more than transition-ids are made for here")
        self._keys = self._packed(*model.tuples.T)
        widest = max(len(tree.states(p)) for p in tree.phones.ids)
        self._count = np.zeros(len(tree.phones) + 1, np.int64)
        self._first = np.full((len(tree.phones) + 1, widest), -1)
        self._later = self._first.copy()
        self._state = np.full((len(tree.phones) + 1, 256), -1)
        for p in tree.phones.ids:
            self._count[p] = len(tree.states(p))
            for number, state in enumerate(tree.states(p)):
                self._first[p, number], self._later[p, number] = state.first, state.later
                self._state[p, [state.first, state.later]] = number

    def _packed(self, phone: np.ndarray, state: np.ndarray, forward: np.ndarray, loop: np.ndarray) -> np.ndarray:
        return ((phone * self._base + state) * self._base + forward) * self._base + loop

    def of(self, segments: Segments, utterance: str) -> np.ndarray:
        """The transition-id of each frame (T,), int32.

        Raises:
            DataError: a phone does not go through each of its states once, from left to right.
        """
        number = np.repeat(np.arange(len(segments.phones)), segments.lengths)
        phone = segments.phones.astype(np.int64)[number]
        state = self._state[phone, segments.classes]
        begins = np.ones(len(state), bool)
        begins[1:] = (np.diff(state) != 0) | (np.diff(number) != 0)
        at = np.flatnonzero(begins)
        expected = np.concatenate([np.arange(n) for n in self._count[segments.phones]])
        later = np.where(begins, self._first[phone, state], self._later[phone, state])
        if not np.array_equal(state[at], expected) or not np.array_equal(later, segments.classes):
            raise DataError(
                f"{utterance}: a phone skips states or goes back, which Kaldi's model of this tree does not allow: "
                "export pdfs in place of transition-ids"
            )
        around = segments.windows(self._tree.width)[number[at]]
        forward = self._tree.pdfs(around, self._first[phone[at], state[at]])
        loop = self._tree.pdfs(around, self._later[phone[at], state[at]])
        keys = self._packed(phone[at], state[at], forward.astype(np.int64), loop.astype(np.int64))
        rows = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        if not np.array_equal(self._keys[rows], keys):
            raise DataError(f"{utterance}: a state has pdfs that Kaldi's model of this tree has not")
        first = self._model.first_ids[rows]
        lengths = np.diff(np.append(at, len(state)))
        return (np.repeat(first, lengths) + begins).astype(np.int32)  # the loop comes first in a state, then the way on


def scaled_counts(values: np.ndarray, frames: int) -> np.ndarray:
    """Counts of pdfs (N,), int64, from Kaldi's counts, or from its priors, which add up to 1."""
    total = float(values.sum())
    if values.size and (values.min() < 0 or not math.isfinite(total) or total <= 0):
        raise DataError("counts of pdfs are not negative, and some are above 0")
    scale = frames / total if abs(total - 1) < 1e-2 else 1.0
    return np.rint(values * scale).astype(np.int64)
