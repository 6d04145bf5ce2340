"""One state whose first frame is a class of its own, for frames of 30 ms: Povey et al. 2016 (LF-MMI)."""

from dataclasses import dataclass

from asrpar.hmm.topologies import one_state
from asrpar.hmm.topologies.contract import State, StateTopology


@dataclass
class Settings(one_state.Settings):
    """Loops of states."""


class Topology(StateTopology):
    """A phone's first frame has pdf class 0, later ones have pdf class 1: a blank that each phone has for itself."""

    def states(self, silence: bool = False) -> tuple[State, ...]:
        return (State(0, 1, self.settings.silence_loop if silence else self.settings.loop),)
