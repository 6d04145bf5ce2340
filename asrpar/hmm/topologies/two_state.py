"""Two states from left to right, for frames of 20 to 30 ms: shorter than three states, and still with an order."""

from dataclasses import dataclass

from asrpar.hmm.topologies import one_state
from asrpar.hmm.topologies.contract import State, StateTopology


@dataclass
class Settings(one_state.Settings):
    """Loops of states.

    Attributes:
        loop: probability to stay in a state of speech for one more frame; 0.5 is four frames of a phone on average.
    """


class Topology(StateTopology):
    """State i has pdf class i, in silence as in speech."""

    def states(self, silence: bool = False) -> tuple[State, ...]:
        loop = self.settings.silence_loop if silence else self.settings.loop
        return (State(0, 0, loop), State(1, 1, loop))
