"""From normalised features to what a model sees: differences, more streams, neighbouring frames."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from asrpar.feats.cepstra import slopes
from asrpar.feats.config import InputConfig
from asrpar.feats.streams import Named, Stream


class Inputs:
    """Makes a model's inputs of one set's features.

    In the order of Kaldi's tools: what is normalised already (apply-cmvn) gets differences (add-deltas), streams with a
    row for each frame (paste-feats), neighbours (splice-feats), and what is the same for many frames behind them, once.

    Args:
        config: what is wanted.
        split: the set, in which streams are looked up.

    Raises:
        AsrparError: a stream is not there.
    """

    def __init__(self, config: InputConfig, split: str) -> None:
        self.config = config
        streams = [Stream(name, one, split) for name, one in config.of_streams().items()]
        self.spliced = [s for s in streams if s.of_frames]
        self.constant = [s for s in streams if not s.of_frames]

    def width(self, static: int) -> int:
        """Inputs of a frame, for ``static`` features."""
        spliced = static * (1 + self.config.deltas) + sum(s.width for s in self.spliced)
        return spliced * (1 + sum(self.config.splice)) + sum(s.width for s in self.constant)

    def check(self, utterances: Sequence[Named]) -> None:
        """Raise `DataError` if a stream has nothing for one of ``utterances``; lengths are seen when they are read."""
        for stream in (*self.spliced, *self.constant):
            stream.check(utterances)

    def __call__(self, features: np.ndarray, utterance: Named, shown: np.ndarray | None = None) -> np.ndarray:
        """What a model sees of an utterance.

        Args:
            features: normalised (T, C).
            utterance: whose.
            shown: (T,) which frames of the utterance these are, where some were moved or dropped.

        Returns:
            (T, width) float32.
        """

        def of(stream: Stream) -> np.ndarray:
            values = stream.of(utterance)
            return values if shown is None else values[shown]

        found = [*with_deltas(features, self.config.deltas, self.config.delta_window), *map(of, self.spliced)]
        spliced = splice(np.concatenate(found, axis=1), *self.config.splice)
        parts = [spliced, *map(of, self.constant)]
        return np.concatenate(parts, axis=1, dtype=np.float32) if len(parts) > 1 else spliced.astype(np.float32)

    def state(self) -> dict[str, Any]:
        """What a model keeps: the settings, and how wide streams are."""
        return {"settings": asdict(self.config), "widths": {s.name: s.width for s in (*self.spliced, *self.constant)}}


def with_deltas(features: np.ndarray, order: int, window: int) -> list[np.ndarray]:
    """Features (T, C) and their differences up to ``order``, as Kaldi's add-deltas has them.

    Each is a sum over the features of frames around, of which those beyond the ends are the outermost ones; slopes of
    slopes are not padded by themselves.
    """
    found, padded = [features], np.pad(features, ((order * window,) * 2, (0, 0)), mode="edge")
    for left in range(order, 0, -1):
        padded = slopes(padded, window)
        around = (left - 1) * window
        found.append(padded[around : len(padded) - around])
    return found


def splice(features: np.ndarray, before: int, after: int) -> np.ndarray:
    """(T, C) -> (T, (before + 1 + after) · C), the earliest frame first; the outermost are repeated, as in Kaldi."""
    if not before + after:
        return features
    t = np.arange(len(features))[:, None] + np.arange(-before, after + 1)
    return features[t.clip(0, len(features) - 1)].reshape(len(features), -1)


def inputs_of(config: InputConfig | None, split: str) -> Inputs | None:
    """The inputs of a set; None where they are its features."""
    return None if config is None or config.plain else Inputs(config, split)
