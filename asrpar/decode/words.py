"""Words, their times and their scores out of best paths."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from asrpar.decode.engine import BestPath
from asrpar.decode.lexicon import Lexicon
from asrpar.decode.times import Runs, token_runs, word_spans
from asrpar.lang.units.contract import WORD_START


@dataclass
class Hypothesis:
    """What was recognised in one utterance.

    ``words[i]`` lasts from ``start_times[i]`` to ``end_times[i]``, in seconds. ``score`` is the path's log-probability,
    acoustic plus ``lm_scale`` times graph. ``complete`` is False when no final state was reached (the words are then
    those of the best unfinished path, perhaps none). ``confidences`` are those of the words, from 0 to 1, or none.
    """

    utt_id: str
    words: list[str] = field(default_factory=list)
    start_times: list[float] = field(default_factory=list)
    end_times: list[float] = field(default_factory=list)
    score: float = 0.0
    complete: bool = True
    confidences: list[float] = field(default_factory=list)


class Reader(ABC):
    """Reads words out of a path."""

    # What the "words" are: "words", or "tokens" for a phone sequence.
    unit = "words"

    @abstractmethod
    def words(self, path: BestPath) -> list[str]:
        """The words of a path."""

    @abstractmethod
    def spans(self, path: BestPath) -> list[tuple[int, int]]:
        """First frame and last frame + 1 of each of `words`."""


def hypothesis_of(reader: Reader, path: BestPath, frame_seconds: float) -> Hypothesis:
    """Words and times of a path, and its score as it is."""
    starts, ends = ([span[i] * frame_seconds for span in reader.spans(path)] for i in (0, 1))
    return Hypothesis(path.utt_id, reader.words(path), starts, ends, path.score, path.complete)


class GraphReader(Reader):
    """The words that a graph has written along the path.

    Args:
        words: of the graph by id.
        lexicon: makes their times exact.
        runs: units along a path of classes, with their frames.
    """

    def __init__(self, words: Sequence[str], lexicon: Lexicon | None, runs: Callable[[Sequence[int]], Runs]) -> None:
        self._words, self._lexicon, self._runs = words, lexicon, runs

    def words(self, path: BestPath) -> list[str]:
        return [self._words[w] for w in path.words]

    def spans(self, path: BestPath) -> list[tuple[int, int]]:
        return word_spans(self._runs(path.classes.tolist()), self.words(path), path.emitted, self._lexicon)


class UnitReader(Reader):
    """What the units spell, without a graph.

    Units that mark where words begin give words. Phones do not: the "words" are the phone sequence
    (``unit == "tokens"``), to be scored as a phone error rate.

    Args:
        classes: symbols of the model's classes.
        blank: its blank class, if it has one.
    """

    def __init__(self, classes: Sequence[str], blank: int | None) -> None:
        self._classes, self._blank = classes, blank
        self.unit = "words" if any(WORD_START in c for c in classes) else "tokens"

    def words(self, path: BestPath) -> list[str]:
        return [word for word, _, _ in self._spelled(path)]

    def spans(self, path: BestPath) -> list[tuple[int, int]]:
        return [(start, end) for _, start, end in self._spelled(path)]

    def _spelled(self, path: BestPath) -> list[tuple[str, int, int]]:
        found: list[tuple[str, int, int]] = []
        for token, start, end in token_runs(path.classes.tolist(), self._blank):
            text = self._classes[token]
            if self.unit == "tokens" or text.startswith(WORD_START) or not found:
                found.append(("", start, end))
            word, start, _ = found[-1]
            found[-1] = (word + (text.removeprefix(WORD_START) if self.unit == "words" else text), start, end)
        # A word-start sign of its own that nothing followed is no word.
        return [(word, start, end) for word, start, end in found if word]
