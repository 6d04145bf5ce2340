"""Settings of stage 5: the decoding graph."""

from dataclasses import dataclass

from asrpar.errors import ConfigError


@dataclass
class GraphConfig:
    """Everything that `asrpar make-graph` needs."""

    # How classes follow each other: ctc; ctc_modified, in which equal units need no blank between them, for thousands
    # of units, with which the graph of ctc would have tens of millions of arcs.
    topology: str = "ctc"
    # Stop determinization here: a lexicon that cannot be determinized would otherwise fill the memory.
    max_states: int = 20_000_000

    def validate(self) -> None:
        """Raise `ConfigError` for values that cannot be used."""
        if not 1 <= self.max_states < 2**31:
            raise ConfigError(f"max_states: {self.max_states} is not between 1 and 2147483647")
