"""CTC in which equal units need no blank between them, for thousands of units: k2's modified topology."""

from collections.abc import Sequence
from dataclasses import dataclass

import kaldifst

from asrpar.hmm.topologies.contract import UnitTopology


@dataclass
class Settings:
    """It has no settings."""


class Topology(UnitTopology):
    """State 0 is "after a blank or a unit", and each unit of several frames has a state: 4 * len(units) arcs in all.

    `ctc` has tens of millions of arcs for as many units as Chinese has characters. A unit's class is its id.
    """

    blank = 0

    def transducer(self, units: Sequence[int]) -> kaldifst.StdVectorFst:
        h = kaldifst.StdVectorFst()
        free = h.add_state()
        h.start = free
        h.set_final(free, 0.0)
        h.add_arc(free, kaldifst.StdArc(self.blank + 1, 0, 0.0, free))
        for u in units:
            inside = h.add_state()
            h.add_arc(free, kaldifst.StdArc(u + 1, u, 0.0, free))
            h.add_arc(free, kaldifst.StdArc(u + 1, u, 0.0, inside))
            h.add_arc(inside, kaldifst.StdArc(u + 1, 0, 0.0, inside))
            h.add_arc(inside, kaldifst.StdArc(u + 1, 0, 0.0, free))
        return h
