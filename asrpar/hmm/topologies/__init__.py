"""How classes of frames follow each other: one page for each topology."""

from asrpar.choices import Family

# Modules with `Settings` and `Topology`: a `UnitTopology` or a `StateTopology` (`asrpar.hmm.topologies.contract`).
TOPOLOGIES = Family("asrpar.hmm.topologies", "topology", "Topology")
