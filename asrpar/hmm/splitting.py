"""Growing decision trees: the split with the most gain first, over all roots; then merging leaves that differ least."""

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from asrpar.hmm.merging import DIGITS, merges
from asrpar.hmm.nodes import Node, Split
from asrpar.hmm.questions import Question
from asrpar.hmm.statistics import Statistics, log_likelihood


@dataclass
class Rules:
    """When splits are made.

    Attributes:
        leaves: none beyond so many in all.
        min_frames: on either side of a split.
        min_gain: in log-likelihood.
        floor: least variance.
    """

    leaves: int
    min_frames: float = 0.0
    min_gain: float = 0.0
    floor: float = 0.01


@dataclass(frozen=True)
class Best:
    """A leaf's best split: its gain, and what is asked where."""

    gain: float
    position: int
    question: int


@dataclass
class Leaf:
    """A node while the tree grows: the part of a root's statistics that reaches it.

    Attributes:
        root: whose it is.
        part: contexts and their statistics.
        total: the sum of their rows (1 + 2 D,).
        split: made of it, with the leaves (or what became of them) for yes and no.
        group: leaves of one number are one pdf.
    """

    root: tuple[int, int]
    part: Statistics
    total: np.ndarray
    split: tuple[Best, "Leaf", "Leaf"] | None = None
    group: int = 0


@dataclass
class Growth:
    """Trees with all splits that were made.

    Attributes:
        trees: of each root.
        leaves: that are left, in the order of the roots and, within, "yes" before "no".
        gains: of the splits, in the order in which they were made.
        losses: of merges, likewise.
    """

    trees: dict[tuple[int, int], Leaf]
    leaves: list[Leaf]
    gains: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)


def best_split(
    part: Statistics, questions: np.ndarray, positions: Sequence[int], min_frames: float, floor: float
) -> Best | None:
    """The split of the most gain; of equal ones the leftmost position and, there, the first question.

    Args:
        part: statistics of a leaf.
        questions: which phones (0 to P) belong to each (Q, P + 1), bool.
        positions: of windows that may be asked for.
        min_frames: fewest on either side.
        floor: least variance.

    Returns:
        None where no question leaves enough on both sides.
    """
    if part.rows[:, 0].sum() < 2 * min_frames or len(part.keys) < 2:
        return None
    gains = [split_gains(part, questions, position, min_frames, floor) for position in positions]
    together = np.round(np.concatenate(gains), DIGITS)
    at = int(together.argmax())  # the first of equal ones
    if not together[at] > -np.inf:
        return None
    return Best(float(together[at]), positions[at // len(questions)], at % len(questions))


def split_gains(part: Statistics, questions: np.ndarray, position: int, min_frames: float, floor: float) -> np.ndarray:
    """The gain of each question at one position (Q,); -inf where a side has less than ``min_frames``, or nothing.

    All questions at once: sums of each phone there, and one matrix product.
    """
    neighbours = part.keys[:, position]
    order = np.argsort(neighbours, kind="stable")
    ordered = neighbours[order]
    begins = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
    rows = np.add.reduceat(part.rows[order], begins, axis=0)
    total = rows.sum(axis=0)
    yes = questions[:, ordered[begins]].astype(np.float64) @ rows
    no = total - yes
    gains = log_likelihood(yes, floor) + log_likelihood(no, floor) - log_likelihood(total, floor)
    # Differences of sums are not exactly 0 where nothing is left.
    enough = (yes[:, 0] >= max(min_frames, 0.5)) & (no[:, 0] >= max(min_frames, 0.5))
    return np.where(enough, gains, -np.inf)


def grow(
    roots: Mapping[tuple[int, int], Statistics],
    questions: Sequence[Question],
    positions: Sequence[int],
    num_phones: int,
    rules: Rules,
    frozen: Sequence[tuple[int, int]] = (),
) -> Growth:
    """Split until there are enough leaves, or none has a split that the rules allow.

    Args:
        roots: their statistics, in the order in which equal gains are taken.
        questions: sets of phones; the first of equal ones is asked.
        positions: of windows that may be asked for.
        num_phones: P.
        rules: when splits are made.
        frozen: roots that are not split.
    """
    member = np.zeros((len(questions), num_phones + 1), bool)
    for row, question in enumerate(questions):
        member[row, list(question)] = True
    made = Growth({key: Leaf(key, part, part.rows.sum(axis=0)) for key, part in roots.items()}, [])
    heap: list[tuple[float, int, Best, Leaf]] = []
    number = 0

    def look(leaf: Leaf) -> None:
        nonlocal number
        number += 1
        best = best_split(leaf.part, member, positions, rules.min_frames, rules.floor)
        if best is not None and best.gain > 0 and best.gain >= rules.min_gain:
            heapq.heappush(heap, (-best.gain, number, best, leaf))

    if len(questions):
        for key, leaf in made.trees.items():
            if key not in frozen:
                look(leaf)
    count = len(made.trees)
    while heap and count < rules.leaves:
        _, _, best, leaf = heapq.heappop(heap)
        asked = member[best.question, leaf.part.keys[:, best.position]]
        yes, no = (_part(leaf, asked), _part(leaf, ~asked))
        leaf.split = (best, yes, no)
        leaf.part = leaf.part.nothing  # held by the two
        made.gains.append(best.gain)
        count += 1
        look(yes)
        look(no)
    made.leaves = [leaf for tree in made.trees.values() for leaf in _leaves(tree)]
    for group, leaf in enumerate(made.leaves):
        leaf.group = group
    return made


def _part(leaf: Leaf, wanted: np.ndarray) -> Leaf:
    part = Statistics(leaf.part.width, leaf.part.keys[wanted], leaf.part.rows[wanted])
    return Leaf(leaf.root, part, part.rows.sum(axis=0))


def _leaves(leaf: Leaf) -> list[Leaf]:
    found, stack = [], [leaf]
    while stack:
        here = stack.pop()
        if here.split is None:
            found.append(here)
        else:
            stack += [here.split[2], here.split[1]]
    return found


def merge(made: Growth, leaves: int, floor: float) -> None:
    """Give the leaves of a root that differ least one group, until there are no more than ``leaves`` groups.

    Only leaves of one root are merged, so that a pdf still tells its phone and pdf class.
    """
    members = {leaf.group: [leaf] for leaf in made.leaves}
    rows = np.stack([leaf.total for leaf in made.leaves])
    for i, j, loss in merges(rows, [leaf.root for leaf in made.leaves], floor):
        if len(members) <= leaves:
            break
        members[len(rows) + len(made.losses)] = members.pop(i) + members.pop(j)
        made.losses.append(loss)
    for group, found in members.items():
        for leaf in found:
            leaf.group = group


def numbered(made: Growth, questions: Sequence[Question]) -> dict[tuple[int, int], Node]:
    """The trees as nodes, with pdfs numbered root by root in the order of their first leaves."""
    pdf_of: dict[int, int] = {}
    for leaf in made.leaves:
        pdf_of.setdefault(leaf.group, len(pdf_of))

    def node(root: Leaf) -> Node:
        # From the leaves up, without recursion: chains of splits may be long.
        done: dict[int, Node] = {}
        stack = [root]
        while stack:
            here = stack[-1]
            if here.split is None:
                done[id(here)] = pdf_of[here.group]
                stack.pop()
                continue
            best, yes, no = here.split
            missing = [x for x in (yes, no) if id(x) not in done]
            if missing:
                stack += missing
                continue
            below = done[id(yes)], done[id(no)]
            # Where the two sides have been merged, there is nothing to ask.
            same = isinstance(below[0], int) and below[0] == below[1]
            done[id(here)] = below[0] if same else Split(best.position, questions[best.question], *below)
            stack.pop()
        return done[id(root)]

    return {key: node(tree) for key, tree in made.trees.items()}
