"""How classes of frames follow each other: one page for each topology."""

from asrpar.choices import Family

# Modules with `Settings` and `Topology` (see `asrpar.hmm.topologies.contract`).
TOPOLOGIES = Family("asrpar.hmm.topologies", "topology", "Topology")
