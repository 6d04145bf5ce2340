"""Transition probabilities, counted on an alignment."""

from collections.abc import Iterable

import numpy as np

from asrpar.hmm.segments import Segments
from asrpar.hmm.topologies.contract import State
from asrpar.hmm.tree import Tree

# So many visits of a state are as if they had been counted with the topology's probability.
PRIOR_VISITS = 10
# A state keeps some way on, and some way to stay.
RANGE = (0.01, 0.99)


class TransitionCounts:
    """Frames and visits of each state of each phone.

    Args:
        tree: whose states.
    """

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        widest = max(len(tree.states(p)) for p in tree.phones.ids)
        self.frames = np.zeros((len(tree.phones) + 1, widest), np.int64)
        self.visits = np.zeros_like(self.frames)
        # By phone and pdf class, the state; -1 where several states have a class, whose frames tell no state.
        classes = 1 + max(max(s.first, s.later) for p in tree.phones.ids for s in tree.states(p))
        self._state = np.full((len(tree.phones) + 1, classes), -1)
        for phone in tree.phones.ids:
            states = tree.states(phone)
            for number, state in enumerate(states):
                for k in {state.first, state.later}:
                    owners = [i for i, s in enumerate(states) if k in (s.first, s.later)]
                    self._state[phone, k] = number if len(owners) == 1 else -1

    def add(self, segments: Segments) -> None:
        """Count an utterance."""
        phones = np.repeat(segments.phones, segments.lengths)
        states = self._state[phones, segments.classes]
        known = states >= 0
        np.add.at(self.frames, (phones[known], states[known]), 1)
        # Each state is visited once in each segment, in which its frames stand together.
        number = np.repeat(np.arange(len(segments.phones)), segments.lengths)
        begins = np.ones(len(states), bool)
        begins[1:] = (np.diff(states) != 0) | (np.diff(number) != 0)
        np.add.at(self.visits, (phones[begins & known], states[begins & known]), 1)

    def states(self) -> list[tuple[State, ...]]:
        """The states of all phones, with loop probabilities as counted; for `Tree.with_states`."""
        found = []
        for phone in self.tree.phones.ids:
            own = []
            for number, state in enumerate(self.tree.states(phone)):
                leave = self.visits[phone, number] + PRIOR_VISITS
                loop = 1.0 - leave / (self.frames[phone, number] + PRIOR_VISITS / (1.0 - state.loop))
                own.append(state._replace(loop=round(float(np.clip(loop, *RANGE)), 6)))
            found.append(tuple(own))
        return found


def estimated(tree: Tree, segments: Iterable[Segments]) -> Tree:
    """The tree with transition probabilities of an alignment."""
    counts = TransitionCounts(tree)
    for one in segments:
        counts.add(one)
    return tree.with_states(counts.states())
