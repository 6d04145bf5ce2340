"""Phones of aligned utterances, from which the labels of any tree follow."""

from dataclasses import dataclass

import numpy as np

from asrpar.errors import DataError
from asrpar.hmm.tree import Tree


@dataclass(frozen=True)
class Segments:
    """The phones of one utterance in order, and the frames of each.

    A frame's pdf class says which state of its phone it is in, whatever the context: labels of a monophone tree and
    of one with contexts have the same segments.

    Attributes:
        phones: ids (n,), int32.
        lengths: frames of each phone (n,), int32, above 0.
        classes: pdf class of each frame (T,), uint8; T is the sum of the lengths.
    """

    phones: np.ndarray
    lengths: np.ndarray
    classes: np.ndarray

    def __post_init__(self) -> None:
        if len(self.phones) != len(self.lengths) or int(np.sum(self.lengths)) != len(self.classes):
            raise DataError(
                f"segments of {len(self.phones)} phones, {len(self.lengths)} lengths, "
                f"{int(np.sum(self.lengths))} frames, and {len(self.classes)} pdf classes do not agree"
            )

    def windows(self, width: int) -> np.ndarray:
        """The phones around each phone, as trees of this width ask for them: (n, width), 0 outside of the utterance."""
        return windows(self.phones, width)


def windows(phones: np.ndarray, width: int) -> np.ndarray:
    """(left.. phone .. right) of each phone of an utterance: (n, width), 1 to 3; 0 stands where there is none."""
    padded = np.concatenate([[0], np.asarray(phones, np.int64), [0]])
    columns = {1: (1,), 2: (0, 1), 3: (0, 1, 2)}[width]
    return np.stack([padded[c : c + len(phones)] for c in columns], axis=1)


def relabel(segments: Segments, tree: Tree) -> np.ndarray:
    """The pdf of each frame (T,), int32.

    Raises:
        DataError: the tree has other phones or states than the segments.
    """
    around = segments.windows(tree.width)
    return tree.pdfs(np.repeat(around, segments.lengths, axis=0), segments.classes)
