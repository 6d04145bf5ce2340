"""The best class of each frame, without a graph; units spell the words."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from asrpar.decode.engine import BestPath, Search, SearchEngine, Symbols
from asrpar.decode.scales import Scaled


@dataclass
class Settings:
    """It has none."""


class Engine(SearchEngine):
    """Of what can be swept only the blank penalty means something here."""

    needs_graph = False
    axes = ("blank_penalty",)

    def __init__(self, settings: Settings, symbols: Symbols, graph: Path | None, device: str) -> None:
        self.files = []

    def search(self, utterances: Scaled, search: Search) -> list[BestPath]:
        return [_best(utt_id, x) for utt_id, x in utterances]


def _best(utt_id: str, x: np.ndarray) -> BestPath:
    best = x.argmax(axis=1)
    score = float(np.take_along_axis(x, best[:, None], axis=1).sum(dtype=np.float64))
    return BestPath(utt_id, best.astype(np.int32), score=score)
