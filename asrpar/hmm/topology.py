"""H: what sequences of frame classes stand for a sequence of units.

A topology is a transducer from frame labels (class + 1, since OpenFst keeps 0 for epsilon) to unit ids. Register a
function to add one.
"""

from collections.abc import Callable, Sequence

import kaldifst

from asrpar.errors import ConfigError

Topology = Callable[[Sequence[int]], kaldifst.StdVectorFst]
TOPOLOGIES: dict[str, Topology] = {}


def topology(name: str) -> Callable[[Topology], Topology]:
    """Register a topology under the name that `GraphConfig.topology` uses."""

    def register(function: Topology) -> Topology:
        TOPOLOGIES[name] = function
        return function

    return register


def build_topology(name: str, units: Sequence[int]) -> kaldifst.StdVectorFst:
    """H of the named topology for the unit ids ``units`` (each above 0).

    Raises:
        ConfigError: no such topology.
    """
    if name not in TOPOLOGIES:
        raise ConfigError(f"topology '{name}' is not one of {', '.join(sorted(TOPOLOGIES))}")
    return TOPOLOGIES[name](units)


@topology("ctc")
def ctc(units: Sequence[int]) -> kaldifst.StdVectorFst:
    """CTC: blank is class 0; a unit's frames may repeat; between two equal units a blank is needed.

    State 0 is "after a blank", and each unit has a state "in this unit": len(units) ** 2 arcs in all.
    """
    h = kaldifst.StdVectorFst()
    state = {0: h.add_state(), **{u: h.add_state() for u in units}}
    h.start = state[0]
    for here, s in state.items():
        h.set_final(s, 0.0)
        h.add_arc(s, kaldifst.StdArc(1, 0, 0.0, state[0]))
        for u in units:
            h.add_arc(s, kaldifst.StdArc(u + 1, 0 if u == here else u, 0.0, state[u]))
    return h


@topology("ctc_modified")
def ctc_modified(units: Sequence[int]) -> kaldifst.StdVectorFst:
    """CTC in which equal units may follow each other without a blank, so that 4 * len(units) arcs are enough.

    For thousands of units, such as Chinese characters, of which `ctc` has tens of millions of arcs. It is k2's modified
    topology: state 0 is "after a blank or a unit", and each unit of several frames has a state.
    """
    h = kaldifst.StdVectorFst()
    free = h.add_state()
    h.start = free
    h.set_final(free, 0.0)
    h.add_arc(free, kaldifst.StdArc(1, 0, 0.0, free))
    for u in units:
        inside = h.add_state()
        h.add_arc(free, kaldifst.StdArc(u + 1, u, 0.0, free))
        h.add_arc(free, kaldifst.StdArc(u + 1, u, 0.0, inside))
        h.add_arc(inside, kaldifst.StdArc(u + 1, 0, 0.0, inside))
        h.add_arc(inside, kaldifst.StdArc(u + 1, 0, 0.0, free))
    return h
