"""Settings of stage 5: the decoding graph."""

from dataclasses import dataclass

from asrpar.rules import need


@dataclass
class GraphConfig:
    """Everything that `asrpar make-graph` needs.

    Attributes:
        topology: how classes follow each other: ctc; ctc_modified, in which equal units need no blank between them, for
            thousands of units, with which the graph of ctc would have tens of millions of arcs.
        max_states: stop determinization here: a lexicon that cannot be determinized would otherwise fill the memory.
    """

    topology: str = "ctc"
    max_states: int = 20_000_000

    def validate(self) -> None:
        """Raise `ConfigError` for values that cannot be used."""
        need(self, "max_states", 1 <= self.max_states < 2**31, "must lie between 1 and 2147483647")
