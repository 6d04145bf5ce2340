"""What a topology has to offer: H itself, or the states of a phone from which H is made with a tree's classes."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import kaldifst

from asrpar.rules import need


class UnitTopology(ABC):
    """What sequences of frame classes stand for a sequence of units, where classes are units and perhaps a blank.

    Attributes:
        blank: the class that stands for no unit; None where each frame is part of one.
    """

    blank: ClassVar[int | None] = None

    def __init__(self, settings: Any) -> None:
        self.settings = settings

    @abstractmethod
    def transducer(self, units: Sequence[int]) -> kaldifst.StdVectorFst:
        """H of these units.

        Args:
            units: ids, each above 0.

        Returns:
            from frame labels (class + 1, since OpenFst keeps 0 for epsilon) to unit ids, a unit on its first frame.
        """


class State(NamedTuple):
    """A state of a phone's hidden Markov model.

    Attributes:
        first: pdf class of the first frame in the state.
        later: pdf class of the frames behind it.
        loop: probability to stay for one more frame; what is left leads to the next state, from the last one out.
    """

    first: int
    later: int
    loop: float


class StateTopology(ABC):
    """States of phones, left to right, each of at least one frame; frame classes are the leaves of a tree.

    A *pdf class* numbers what can be told apart within a phone, from 0; the tree gives a class of frames (pdf) for a
    phone in its context and a pdf class (`asrpar.hmm.tree.Tree`).
    """

    blank: ClassVar[int | None] = None

    def __init__(self, settings: Any) -> None:
        self.settings = settings

    @property
    def name(self) -> str:
        """Of the choice: its file's."""
        return type(self).__module__.rpartition(".")[2]

    @abstractmethod
    def states(self, silence: bool = False) -> tuple[State, ...]:
        """The states of a phone, of one that stands for no speech if ``silence``, with the probabilities of settings.

        A tree may have better ones, estimated on alignments: ask `Tree.states` of a phone where there is a tree.
        """


def pdf_classes(states: Sequence[State]) -> list[int]:
    """The pdf classes of a phone with these states, sorted."""
    return sorted({k for state in states for k in (state.first, state.later)})


def probabilities(settings: Any, *keys: str) -> None:
    """Settings that are loop probabilities: above 0 and below 1, since both they and their complements get costs."""
    for key in keys:
        need(settings, key, 0 < getattr(settings, key) < 1, "is a probability above 0 and below 1")
