"""Settings of stage 5: the decoding graph."""

from dataclasses import dataclass, field
from typing import Any

from asrpar.hmm.topologies import TOPOLOGIES
from asrpar.rules import need


@dataclass
class GraphConfig:
    """Everything that `asrpar make-graph` needs.

    Attributes:
        topology: how classes of frames follow each other.
        topologies: settings of topologies by name; their keys are checked.
        max_states: stop determinization here: a lexicon that cannot be determinized would otherwise fill the memory.
    """

    topology: str = field(default="ctc", metadata=TOPOLOGIES.chosen)
    topologies: dict[str, Any] = field(default_factory=dict)
    max_states: int = 20_000_000

    def validate(self) -> None:
        need(self, "max_states", 1 <= self.max_states < 2**31, "must lie between 1 and 2147483647")
