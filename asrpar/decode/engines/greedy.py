"""CTC's best path without a graph: the best class of each frame, collapsed."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from asrpar.decode.config import DecodeConfig
from asrpar.decode.engine import (
    DEFAULT_POINT,
    Engine,
    Hypothesis,
    SearchPoint,
    check_num_classes,
    read_classes,
    to_array,
)
from asrpar.decode.times import token_runs
from asrpar.errors import ConfigError
from asrpar.lang.units import WORD_START


class GreedyEngine(Engine):
    """Best class of each frame. Of the search's settings only the blank penalty means something here.

    Units that mark where words begin give words. Phones do not: their hypotheses hold the phone sequence
    (``unit == "tokens"``), to be scored as a phone error rate.
    """

    name = "greedy"

    def __init__(
        self, config: DecodeConfig, graph: Path | None, frame_seconds: float, lang: Path | None = None, device: str = ""
    ) -> None:
        folder = lang or graph
        if folder is None:
            raise ConfigError("the greedy engine needs tokens.txt: give --lang (or --graph)")
        self.files = [folder / "tokens.txt"]
        self._take(read_classes(folder / "tokens.txt"), folder / "tokens.txt", frame_seconds)

    @classmethod
    def of_units(cls, units: list[str], where: Path, frame_seconds: float) -> "GreedyEngine":
        """The engine for the units that a model, the file ``where``, knows itself."""
        engine = cls.__new__(cls)
        engine.files = []
        engine._take(units, where, frame_seconds)
        return engine

    def _take(self, units: list[str], where: Path, frame_seconds: float) -> None:
        self.classes, self.tokens_file, self.frame_seconds = units, where, frame_seconds
        self.unit = "words" if any(WORD_START in c for c in units) else "tokens"

    def decode(
        self, utterances: Sequence[tuple[str, np.ndarray]], point: SearchPoint = DEFAULT_POINT
    ) -> list[Hypothesis]:
        """See `Engine.decode`; of ``point`` only the blank penalty is used."""
        for _, log_probs in utterances[:1]:
            check_num_classes(log_probs.shape[1], self.classes, self.tokens_file)
        blank = SearchPoint(blank_penalty=point.blank_penalty)
        return [self._best_path(utt_id, to_array(x, blank)) for utt_id, x in utterances]

    def _best_path(self, utt_id: str, x: np.ndarray) -> Hypothesis:
        best = x.argmax(axis=1)
        hypothesis = Hypothesis(utt_id, score=float(np.take_along_axis(x, best[:, None], axis=1).sum(dtype=np.float64)))
        for token, start, end in token_runs(best.tolist()):
            text = self.classes[token]
            if self.unit == "tokens" or text.startswith(WORD_START) or not hypothesis.words:
                hypothesis.words.append("")
                hypothesis.start_times.append(start * self.frame_seconds)
                hypothesis.end_times.append(0.0)
            hypothesis.words[-1] += text.removeprefix(WORD_START) if self.unit == "words" else text
            hypothesis.end_times[-1] = end * self.frame_seconds
        # A word-start sign of its own that nothing followed.
        kept = [i for i, word in enumerate(hypothesis.words) if word]
        for name in ("words", "start_times", "end_times"):
            setattr(hypothesis, name, [getattr(hypothesis, name)[i] for i in kept])
        return hypothesis
