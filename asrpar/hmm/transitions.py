"""Loop probabilities of states, counted in an alignment."""

from collections.abc import Iterable

import numpy as np

from asrpar.hmm.segments import Segments
from asrpar.hmm.topologies.contract import State
from asrpar.hmm.tree import Tree

FEWEST = 10  # visits; states with fewer keep what they have, since a few phones tell little
LEAST = 0.01  # of what stays and what leaves: nothing is impossible because an alignment does not have it


def with_counted_loops(tree: Tree, segments: Iterable[Segments]) -> Tree:
    """The tree with loop probabilities of maximum likelihood: frames behind the first over all frames of a state.

    States that a pdf class does not tell, as Kaldi's silence may have them, keep their probabilities.

    Args:
        tree: whose phones and states the segments have.
        segments: of the utterances.
    """
    phones = len(tree.phones)
    columns = 1 + max(k for _, k in tree.roots)
    frames, visits = np.zeros((phones + 1) * columns), np.zeros(phones + 1)
    for each in segments:
        of_frame = np.repeat(each.phones.astype(np.int64), each.lengths) * columns + each.classes
        frames += np.bincount(of_frame, minlength=len(frames))
        visits += np.bincount(each.phones, minlength=phones + 1)
    counted = frames.reshape(phones + 1, columns)
    return tree.with_states([_states(tree.states(p), counted[p], float(visits[p])) for p in tree.phones.ids])


def _states(states: tuple[State, ...], frames: np.ndarray, visits: float) -> tuple[State, ...]:
    owners = [k for state in states for k in {state.first, state.later}]
    found = []
    for state in states:
        own = {state.first, state.later}
        inside = sum(frames[k] for k in own)
        if visits < FEWEST or any(owners.count(k) > 1 for k in own) or inside < visits:
            found.append(state)
        else:
            found.append(state._replace(loop=float(np.clip(1 - visits / inside, LEAST, 1 - LEAST).round(6))))
    return tuple(found)
