"""Settings of the decoding stage."""

import math
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from asrpar.decode.engines import ENGINES
from asrpar.rules import need, not_negative, one_of, positive

# What is tried where nothing is set, for models without priors (CTC, LF-MMI) and with them. The scores of these are of
# single frames; neighbours are far from independent, and together count for too much.
LM_SCALES = {
    False: (0.3, 0.5, 0.7, 0.9, 1.1, 1.4, 1.8, 2.4),
    True: (2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 10.0, 12.0, 15.0),
}
BEAMS = {False: (16.0,), True: (70.0,)}
LATTICE_BEAM = {False: 8.0, True: 40.0}


@dataclass
class DecodeConfig:
    """What ``asrpar decode`` reads from YAML.

    The four lists span the grid that is searched on the dev set.

    Attributes:
        engine: what searches: ``kaldi`` (kaldi-decoder), ``k2``, or ``greedy`` without a graph.
        engines: settings of engines by name, such as ``{kaldi: {max_active: 7000}}``.
        lm_scales: factors of the graph's log-probabilities relative to the acoustic ones; empty: from 0.3 to 2.4, for
            models with priors (loss frame_ce) from 2 to 15.
        beams: counted in acoustic log-probability, so that a search costs about as much at one LM scale as at another;
            empty: 16, for models with priors 70.
        word_penalties: added to the graph's cost of each word.
        blank_penalties: subtracted from the log-probability of blank, of which CTC models are often too sure: it helps
            those that delete.
        search: how the grid is searched on the dev set: ``lattice`` searches each utterance at most three times and
            looks at lattices from all points, with the narrowest and the widest of ``beams`` alone; ``one_lattice``
            searches for lattices once, not twice, which is cheaper where they are large (hybrid models); ``exhaustive``
            searches at each point, as do grids of three points, and engines without lattices.
        lattice_beam: how much worse than the best path may be what a lattice keeps, counted as ``beams`` are; null: 8,
            for models with priors 40.
        lattices: write the lattices of each set at the chosen point, in Kaldi's text form, as ``lat.gz``: a search of
            its own, whose beam is ``lattice_beam``. They are what ``asrpar rescore`` begins with.
        prior_scale: how much of the log-priors is taken from the log-probabilities of models that have them.
        max_frames: input frames in a batch of the acoustic model.
        device: auto, cpu or cuda.
    """

    MOVED: ClassVar[dict[str, str]] = {
        "jobs": "engines.kaldi.jobs",
        "max_active": "engines.NAME.max_active",
        "min_active": "engines.NAME.min_active",
        "k2_output_beam": "engines.k2.output_beam",
        "k2_batch_frames": "engines.k2.batch_frames",
    }

    engine: str = field(default="kaldi", metadata=ENGINES.chosen)
    engines: dict[str, Any] = field(default_factory=dict)
    lm_scales: list[float] = field(default_factory=list)
    beams: list[float] = field(default_factory=list)
    word_penalties: list[float] = field(default_factory=lambda: [0.0])
    blank_penalties: list[float] = field(default_factory=lambda: [0.0])
    search: str = "lattice"
    lattice_beam: float | None = None
    lattices: bool = False
    prior_scale: float = 1.0
    max_frames: int = 20000
    device: str = "auto"

    def validate(self) -> None:
        one_of(self, "device", ("auto", "cpu", "cuda"))
        for name in ("word_penalties", "blank_penalties"):
            need(self, name, bool(getattr(self, name)), "must have at least one value")
        for name in ("lm_scales", "beams"):
            need(self, name, all(0 < v < math.inf for v in getattr(self, name)), "must have values above 0, and finite")
        for name in ("word_penalties", "blank_penalties"):
            need(self, name, all(map(math.isfinite, getattr(self, name))), "must have finite values")
        one_of(self, "search", ("lattice", "one_lattice", "exhaustive"))
        positive(self, "max_frames")
        if self.lattice_beam is not None:
            positive(self, "lattice_beam")
        not_negative(self, "prior_scale")

    def of_model(self, priors: bool) -> "DecodeConfig":
        """With what suits a model that has ``priors``, or has none, where nothing is set."""
        scales, beams = self.lm_scales or list(LM_SCALES[priors]), self.beams or list(BEAMS[priors])
        lattice_beam = LATTICE_BEAM[priors] if self.lattice_beam is None else self.lattice_beam
        return replace(self, lm_scales=scales, beams=beams, lattice_beam=lattice_beam)


@dataclass
class GivenConfig(DecodeConfig):
    """The same for a search of which the rest was chosen before: lists that are not given are empty."""

    lm_scales: list[float] = field(default_factory=list)
    beams: list[float] = field(default_factory=list)
    word_penalties: list[float] = field(default_factory=list)
    blank_penalties: list[float] = field(default_factory=list)

    def validate(self) -> None:
        self.filled().validate()

    def filled(self, priors: bool = False) -> DecodeConfig:
        """With the defaults, of models with ``priors`` or without, in the place of what is not given."""
        return DecodeConfig(**{name: value for name, value in vars(self).items() if value != []}).of_model(priors)
