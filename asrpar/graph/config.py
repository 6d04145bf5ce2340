"""Settings of stage 5: the decoding graph."""

from dataclasses import dataclass, field
from typing import Any

from asrpar.hmm.topologies import TOPOLOGIES
from asrpar.rules import need, not_negative


@dataclass
class GraphConfig:
    """Everything that `asrpar make-graph` needs.

    Attributes:
        topology: how classes of frames follow each other; of a graph with a tree, the tree says it.
        topologies: settings of topologies by name; their keys are checked.
        max_states: stop determinization here: a lexicon that cannot be determinized would otherwise fill the memory.
        max_ngrams: stop before reading a language model of more n-grams, for the same reason.
        self_loop_scale: factor of the log-probabilities of staying in a state of a phone and of leaving it; null: 1
            where phones have one state (chain), 0.1 where they have several, as in Kaldi.
    """

    topology: str = field(default="ctc", metadata=TOPOLOGIES.chosen)
    topologies: dict[str, Any] = field(default_factory=dict)
    max_states: int = 20_000_000
    max_ngrams: int = 10_000_000
    self_loop_scale: float | None = None

    def validate(self) -> None:
        need(self, "max_states", 1 <= self.max_states < 2**31, "must lie between 1 and 2147483647")
        need(self, "max_ngrams", self.max_ngrams >= 1, "must be at least 1")
        if self.self_loop_scale is not None:
            not_negative(self, "self_loop_scale")
