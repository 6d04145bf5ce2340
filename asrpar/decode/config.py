"""Settings of the decoding stage."""

import math
import re
from dataclasses import dataclass, field
from pathlib import Path

from asrpar.errors import ConfigError

# name: (module, class); a module is imported only when its engine is asked for.
ENGINES: dict[str, tuple[str, str]] = {
    "kaldi": ("asrpar.decode.engines.kaldi", "KaldiEngine"),
    "k2": ("asrpar.decode.engines.k2", "K2Engine"),
    "greedy": ("asrpar.decode.engines.greedy", "GreedyEngine"),
}


@dataclass
class DecodeConfig:
    """What ``asrpar decode`` reads from YAML.

    The four lists span the grid that is searched on the dev set.

    Attributes:
        engine: ``kaldi`` (kaldi-decoder), ``k2`` or ``greedy``.
        lm_scales: factors of the graph's log-probabilities relative to the acoustic ones.
        beams: counted in acoustic log-probability, so that a search costs about as much at one LM scale as at another.
        word_penalties: added to the graph's cost of each word.
        blank_penalties: subtracted from the log-probability of blank, of which CTC models are often too sure: it helps
            those that delete.
        max_active: states of the search that are kept in each frame, at most.
        min_active: and at least, whatever the beam.
    """

    engine: str = "kaldi"
    lm_scales: list[float] = field(default_factory=lambda: [0.3, 0.5, 0.7, 0.9, 1.1, 1.4, 1.8, 2.4])
    beams: list[float] = field(default_factory=lambda: [16.0])
    word_penalties: list[float] = field(default_factory=lambda: [0.0])
    blank_penalties: list[float] = field(default_factory=lambda: [0.0])
    max_active: int = 4000
    min_active: int = 20
    # Processes of the kaldi engine; 0: as many as there are cores.
    jobs: int = 0
    # Input frames in a batch of the acoustic model.
    max_frames: int = 20000
    # auto, cpu or cuda
    device: str = "auto"
    k2_output_beam: float = 6.0  # only for the k2 engine: its lattice beam
    k2_batch_frames: int = 10000  # only for the k2 engine: output frames in a batch

    def validate(self) -> None:
        """Raise `ConfigError` if a value cannot be used."""
        if self.engine not in ENGINES:
            raise ConfigError(f"engine: '{self.engine}' is none of {', '.join(ENGINES)}")
        if self.device not in ("auto", "cpu", "cuda"):
            raise ConfigError(f"device: '{self.device}' is none of auto, cpu, cuda")
        for name in ("lm_scales", "beams", "word_penalties", "blank_penalties"):
            if not getattr(self, name):
                raise ConfigError(f"{name}: the list is empty; one value is the least")
        for name in ("lm_scales", "beams"):
            if not all(0 < v < float("inf") for v in getattr(self, name)):
                raise ConfigError(f"{name}: {getattr(self, name)} must all be above 0")
        for name in ("word_penalties", "blank_penalties"):
            if not all(map(math.isfinite, getattr(self, name))):
                raise ConfigError(f"{name}: {getattr(self, name)} must all be finite")
        for name in ("max_active", "min_active", "max_frames", "k2_output_beam", "k2_batch_frames"):
            if not 1 <= getattr(self, name) < math.inf:
                raise ConfigError(f"{name}: {getattr(self, name)} must be at least 1")
        if self.max_active >= 2**31:
            raise ConfigError(f"max_active: {self.max_active} must be less than 2147483648")
        if self.min_active >= self.max_active:
            raise ConfigError(f"min_active: {self.min_active} must be below max_active ({self.max_active})")
        if self.jobs < 0:
            raise ConfigError(f"jobs: {self.jobs} must be at least 0 (0: as many as there are cores)")


@dataclass
class GivenConfig(DecodeConfig):
    """The same for a search of which the rest was chosen before: lists that are not given are empty."""

    lm_scales: list[float] = field(default_factory=list)
    beams: list[float] = field(default_factory=list)
    word_penalties: list[float] = field(default_factory=list)
    blank_penalties: list[float] = field(default_factory=list)

    def filled(self) -> DecodeConfig:
        """With the defaults in the place of what is not given."""
        return DecodeConfig(**{name: value for name, value in vars(self).items() if value != []})


def check_suffix(suffix: str) -> None:
    """Raise `ConfigError` unless it can be the end of a folder's name."""
    if suffix and not re.fullmatch(r"[\w.+-]+", suffix):
        raise ConfigError(f"--suffix {suffix!r}: letters, digits, '.', '_', '+' and '-' are possible")


def results_folder(exp: Path, name: str, suffix: str = "") -> Path:
    """Where the results of a set go."""
    return exp / (f"decode_{name}_{suffix}" if suffix else f"decode_{name}")
