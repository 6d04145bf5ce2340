"""Nodes of decision trees over the phones around a state: splits, leaves, and many of both as arrays."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Split:
    """A question for the phone at one place of a window.

    Attributes:
        position: of the window, 0 is its leftmost phone.
        phones: ids; 0 among them where "no phone", at an utterance's begin or end, belongs to them.
        yes: what is below for these phones.
        no: what is below for all others.
    """

    position: int
    phones: frozenset[int]
    yes: "Node"
    no: "Node"


Node = Split | int  # a leaf is the number of its pdf


def leaves(node: Node) -> Iterator[int]:
    """Pdfs of the leaves below a node, those of ``yes`` first."""
    stack = [node]
    while stack:
        here = stack.pop()
        if isinstance(here, Split):
            stack += [here.no, here.yes]
        else:
            yield here


def splits(node: Node) -> Iterator[Split]:
    """All splits below a node, itself included."""
    stack = [node]
    while stack:
        here = stack.pop()
        if isinstance(here, Split):
            yield here
            stack += [here.no, here.yes]


def renamed(node: Node, new: Sequence[int]) -> Node:
    """The node with phone ``new[p]`` for each phone p."""
    if not isinstance(node, Split):
        return node
    phones = frozenset(new[p] for p in node.phones)
    return Split(node.position, phones, renamed(node.yes, new), renamed(node.no, new))


def resolved(node: Node, position: int, phone: int) -> Node:
    """What is left to ask where the phone at ``position`` is known."""
    while isinstance(node, Split) and node.position == position:
        node = node.yes if phone in node.phones else node.no
    if not isinstance(node, Split):
        return node
    yes, no = (resolved(side, position, phone) for side in (node.yes, node.no))
    return yes if isinstance(yes, int) and yes == no else Split(node.position, node.phones, yes, no)


class Forest:
    """Trees as arrays, for many windows at once.

    Args:
        roots: of trees.
        num_phones: P; phones in windows are 0 to P.
    """

    def __init__(self, roots: Sequence[Node], num_phones: int) -> None:
        questions: dict[frozenset[int], int] = {}
        position, question, yes, no = [], [], [], []

        def add(node: Node) -> int:
            number = len(position)
            leaf = not isinstance(node, Split)
            position.append(-1 if leaf else node.position)
            question.append(0 if leaf else questions.setdefault(node.phones, len(questions)))
            yes.append(node if leaf else -1)
            no.append(-1)
            return number

        self.roots = np.array([add(root) for root in roots], np.int64)
        stack = list(zip(roots, self.roots.tolist(), strict=True))
        while stack:
            node, number = stack.pop()
            if isinstance(node, Split):
                yes[number], no[number] = add(node.yes), add(node.no)
                stack += [(node.no, no[number]), (node.yes, yes[number])]
        self.position, self.question = np.array(position, np.int64), np.array(question, np.int64)
        self.yes, self.no = np.array(yes, np.int64), np.array(no, np.int64)
        self.member = np.zeros((max(1, len(questions)), num_phones + 1), bool)
        for phones, row in questions.items():
            self.member[row, list(phones)] = True

    def pdfs(self, windows: np.ndarray, trees: np.ndarray) -> np.ndarray:
        """The leaves that are reached.

        Args:
            windows: phones (N, width).
            trees: which root to begin at (N,).

        Returns:
            pdfs (N,), int32.
        """
        node = self.roots[trees]
        inside = np.flatnonzero(self.position[node] >= 0)
        while len(inside):
            here = node[inside]
            asked = windows[inside, self.position[here]]
            node[inside] = np.where(self.member[self.question[here], asked], self.yes[here], self.no[here])
            inside = inside[self.position[node[inside]] >= 0]
        return self.yes[node].astype(np.int32)
