"""CTC: a unit's frames may repeat, and a blank parts equal units: Graves et al. 2006."""

from collections.abc import Sequence
from dataclasses import dataclass

import kaldifst

from asrpar.hmm.topologies.contract import UnitTopology
from asrpar.log import get_logger

LOG = get_logger(__name__)
MANY_UNITS = 2000  # the square of which is more arcs than all the rest of a usual graph has


@dataclass
class Settings:
    """CTC has no settings."""


class Topology(UnitTopology):
    """State 0 is "after a blank", and each unit has a state "in this unit": len(units) ** 2 arcs in all.

    A unit's class is its id.
    """

    blank = 0

    def transducer(self, units: Sequence[int]) -> kaldifst.StdVectorFst:
        if len(units) > MANY_UNITS:
            LOG.warning(
                "with %d units the graph of ctc is very large: topology=ctc_modified makes a small one", len(units)
            )
        h = kaldifst.StdVectorFst()
        state = {0: h.add_state(), **{u: h.add_state() for u in units}}
        h.start = state[0]
        for here, s in state.items():
            h.set_final(s, 0.0)
            h.add_arc(s, kaldifst.StdArc(self.blank + 1, 0, 0.0, state[0]))
            for u in units:
                h.add_arc(s, kaldifst.StdArc(u + 1, 0 if u == here else u, 0.0, state[u]))
        return h
