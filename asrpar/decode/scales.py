"""Scales and penalties: what lies between a model's log-probabilities and a search."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from asrpar.errors import DataError


@dataclass(frozen=True)
class SearchPoint:
    """One point of the grid that is searched on dev.

    Attributes:
        lm_scale: factor of the graph's log-probabilities relative to the acoustic ones.
        beam: of the search, counted in acoustic log-probability.
        word_penalty: added to the graph's cost of each word.
        blank_penalty: subtracted from the log-probability of the blank class.
    """

    lm_scale: float = 1.0
    beam: float = 16.0
    word_penalty: float = 0.0
    blank_penalty: float = 0.0


DEFAULT_POINT = SearchPoint()
# What can be swept, in the order of the grid.
AXES = tuple(f.name for f in fields(SearchPoint))


class Scaled:
    """Utterances at one point, scaled when they are asked for: a large set is in memory once.

    Args:
        utterances: pairs of id and log-probabilities (T, C); they stay as they are.
        point: scales and penalties.
        blank: the class that the blank penalty is for; None without one.

    Iterating and indexing give pairs of id and log-probabilities (T, C) float32, C-contiguous.

    Raises:
        DataError: when an utterance is asked for that is no matrix.
    """

    def __init__(self, utterances: Sequence[tuple[str, Any]], point: SearchPoint, blank: int | None) -> None:
        self._utterances, self._point, self._blank = utterances, point, blank
        self.ids = [utt_id for utt_id, _ in utterances]
        self.lens = [len(x) for _, x in utterances]

    def __len__(self) -> int:
        return len(self._utterances)

    def __getitem__(self, i: int) -> tuple[str, np.ndarray]:
        utt_id, x = self._utterances[i]
        return utt_id, scaled(x, self._point, self._blank)

    def __iter__(self) -> Iterator[tuple[str, np.ndarray]]:
        return map(self.__getitem__, range(len(self)))


def scaled(log_probs: Any, point: SearchPoint, blank: int | None) -> np.ndarray:
    """A C-contiguous float32 copy (T, C), the class ``blank`` penalised, all of it divided by the LM scale."""
    x = np.array(log_probs.cpu() if hasattr(log_probs, "cpu") else log_probs, dtype=np.float32, order="C")
    if x.ndim != 2:
        raise DataError(f"log-probabilities must be (T, C), not of shape {x.shape}")
    if point.blank_penalty and blank is not None and x.shape[1]:
        x[:, blank] -= point.blank_penalty
    if point.lm_scale != 1.0:
        x /= point.lm_scale
    return x
