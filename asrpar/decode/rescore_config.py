"""Settings of rescoring."""

import math
from dataclasses import dataclass, field

from asrpar.rules import need, not_negative, one_of, positive


@dataclass
class RescoreConfig:
    """What ``asrpar rescore`` reads from YAML. The lists span the grid that is tried on the dev set.

    Attributes:
        lm_scales: as in ``decode``; empty: from half to twice that of the search.
        word_penalties: as in ``decode``; empty: that of the search.
        lm_weights: how much of the language model is replaced: of the cost of the graph, so much of the old model's
            share is taken off and so much of the new one's added.
        lm_case: bring the words of the new model to this case: keep | upper | lower.
        n_best: word sequences of each utterance that are looked at.
        beam: how much worse than the best path words may be, counted in acoustic log-probability; null: as much as
            the lattices have.
        output: ``best`` for the words of the best path, ``mbr`` for those of the least expected errors.
        mbr_scales: factors of the paths' log-probabilities, which are divided by LM scales above 1 beforehand, for
            expected errors and confidences.
        jobs: processes; 0: as many as there are cores.
    """

    lm_scales: list[float] = field(default_factory=list)
    word_penalties: list[float] = field(default_factory=list)
    lm_weights: list[float] = field(default_factory=lambda: [0.0, 0.25, 0.5, 0.75, 1.0])
    lm_case: str = "keep"
    n_best: int = 100
    beam: float | None = None
    output: str = "best"
    mbr_scales: list[float] = field(default_factory=lambda: [1.0])
    jobs: int = 0

    def validate(self) -> None:
        need(self, "lm_scales", all(0 < v < math.inf for v in self.lm_scales), "must have values above 0, and finite")
        need(self, "word_penalties", all(map(math.isfinite, self.word_penalties)), "must have finite values")
        for name in ("lm_weights", "mbr_scales"):
            need(self, name, bool(getattr(self, name)), "must have at least one value")
        need(self, "lm_weights", all(0 <= v <= 1 for v in self.lm_weights), "must have values from 0 to 1")
        need(self, "mbr_scales", all(0 < v < math.inf for v in self.mbr_scales), "must have values above 0, and finite")
        one_of(self, "lm_case", ("keep", "upper", "lower"))
        one_of(self, "output", ("best", "mbr"))
        positive(self, "n_best")
        if self.beam is not None:
            positive(self, "beam")
        not_negative(self, "jobs")
