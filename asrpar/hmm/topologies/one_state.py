"""One state for each phone, for frames of 30 ms or more."""

from dataclasses import dataclass

from asrpar.hmm.topologies.contract import State, StateTopology, probabilities


@dataclass
class Settings:
    """Loops of states.

    Attributes:
        loop: probability to stay in a phone for one more frame; 0.5 is two frames on average.
        silence_loop: the same for silence.
    """

    loop: float = 0.5
    silence_loop: float = 0.5

    def validate(self) -> None:
        probabilities(self, "loop", "silence_loop")


class Topology(StateTopology):
    """All frames of a phone have pdf class 0."""

    def states(self, silence: bool = False) -> tuple[State, ...]:
        return (State(0, 0, self.settings.silence_loop if silence else self.settings.loop),)
