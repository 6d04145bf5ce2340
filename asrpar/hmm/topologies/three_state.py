"""Three states from left to right, for frames of 10 ms: the usual hidden Markov model of a phone."""

from dataclasses import dataclass

from asrpar.hmm.topologies.contract import State, StateTopology, probabilities
from asrpar.rules import at_least


@dataclass
class Settings:
    """Loops of states.

    Attributes:
        loop: probability to stay in a state of speech for one more frame; 0.75 is four frames on average.
        silence_loop: the same for silence.
        silence_states: states of silence, and so the fewest frames that it has.
    """

    loop: float = 0.75
    silence_loop: float = 0.75
    silence_states: int = 3

    def validate(self) -> None:
        probabilities(self, "loop", "silence_loop")
        at_least(self, 1, "silence_states")


class Topology(StateTopology):
    """State i has pdf class i."""

    def states(self, silence: bool = False) -> tuple[State, ...]:
        count, loop = (self.settings.silence_states, self.settings.silence_loop) if silence else (3, self.settings.loop)
        return tuple(State(i, i, loop) for i in range(count))
