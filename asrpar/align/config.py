"""Settings of stage 4: alignment."""

from dataclasses import dataclass, field
from typing import Any

from asrpar.align.methods import METHODS
from asrpar.errors import ConfigError
from asrpar.hmm.topologies import TOPOLOGIES
from asrpar.rules import at_least, fraction, not_negative, one_of


@dataclass
class AlignConfig:
    """Everything that `asrpar align` needs.

    Attributes:
        method: how.
        methods: settings of methods by name, such as ``{flat: {rounds: 20}}``.
        topology: the states of phones; a model that aligns brings its own.
        topologies: settings of topologies by name.
        silence: probability of silence before, between and behind words; null: optional_silence.probability of the
            language folder.
        max_left_out: a larger fraction of the first set's utterances without alignment is an error.
        max_silence: so is a larger share of a set's frames in silence: an alignment that has gone wrong.
        max_frames: of a batch, with padding; bounds memory.
        device: auto | cpu | cuda.
        seed: of weights, and of the order of training.
    """

    method: str = field(default="flat", metadata=METHODS.chosen)
    methods: dict[str, Any] = field(default_factory=dict)
    topology: str = field(default="three_state", metadata=TOPOLOGIES.chosen)
    topologies: dict[str, Any] = field(default_factory=dict)
    silence: float | None = None
    max_left_out: float = 0.05
    max_silence: float = 0.8
    max_frames: int = 20000
    device: str = "auto"
    seed: int = 1

    def validate(self) -> None:
        if self.silence is not None and not 0 < self.silence < 1:
            raise ConfigError(f"silence is {self.silence}: it must lie between 0 and 1, or be null")
        fraction(self, "max_left_out", "max_silence")
        at_least(self, 1, "max_frames")
        not_negative(self, "seed")
        one_of(self, "device", ("auto", "cpu", "cuda"))
