"""Inputs beside the features, from Kaldi's archives: fMLLR features, i-vectors of utterances, speakers or stretches."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np

from asrpar.corpus.kaldi.ark import read_array_at, read_scp
from asrpar.corpus.matrices import damage
from asrpar.errors import DataError, MissingInputError
from asrpar.feats.config import StreamConfig


class Named(Protocol):
    """Whose inputs are looked up."""

    id: str
    speaker: str
    num_frames: int


class Stream:
    """The entries of one archive for one set.

    Args:
        name: for messages.
        config: where it is.
        split: the set.

    Raises:
        MissingInputError: there is no such file.
        DataError: it is no index of an archive.
    """

    def __init__(self, name: str, config: StreamConfig, split: str) -> None:
        self.name, self.period = name, config.period
        self.path = Path(config.scp.replace("{set}", split))
        if not self.path.is_file():
            raise MissingInputError(
                f"input.streams.{name}: {self.path} is missing; it must index a Kaldi archive with entries for the "
                f"set '{split}'"
            )
        self._places = read_scp(self.path)
        if not self._places:
            raise DataError(f"input.streams.{name}: {self.path} is empty")

    @cached_property
    def _shape(self) -> tuple[int, int]:
        """Axes and width of the first entry, which all others have."""
        first = self._read(next(iter(self._places)))
        return first.ndim, first.shape[-1]

    @property
    def width(self) -> int:
        """Values of a frame."""
        return self._shape[1]

    @property
    def of_frames(self) -> bool:
        """Whether there is an entry for each frame: what is spliced with the features."""
        return self._shape[0] == 2 and self.period == 1

    def of(self, utterance: Named) -> np.ndarray:
        """The values (T, width) float32 of an utterance's frames.

        Raises:
            DataError: there are none, or of another number of frames.
        """
        self.check([utterance])
        key = self._key(utterance)
        values = self._read(key)
        if (values.ndim, values.shape[-1]) != self._shape:
            raise DataError(
                f"input.streams.{self.name}: the entry of {key} in {self.path} has shape {values.shape}, others have "
                f"{self._shape[0]} axes and {self._shape[1]} values"
            )
        frames = utterance.num_frames
        if values.ndim == 1:
            return np.broadcast_to(values, (frames, len(values)))
        needed = -(-frames // self.period)
        if len(values) != needed:
            each = f" (one for every {self.period})" if self.period > 1 else ""
            raise DataError(
                f"input.streams.{self.name}: {key} in {self.path} has {len(values)} rows, but {utterance.id} has "
                f"{frames} frames, which need {needed}{each}"
            )
        return values[np.arange(frames) // self.period] if self.period > 1 else values

    def check(self, utterances: Sequence[Named]) -> None:
        """Raise `DataError` if one of ``utterances`` has no entry."""
        absent = [u for u in utterances if self._key(u) not in self._places]
        if absent:
            one = absent[0]
            who = f"{one.id}, nor of its speaker {one.speaker}" if one.speaker else one.id
            raise DataError(
                f"input.streams.{self.name}: {self.path} has no entry of {len(absent)} of {len(utterances)} "
                f"utterances, such as {who}"
            )

    def _key(self, utterance: Named) -> str:
        return utterance.id if utterance.id in self._places else utterance.speaker

    def _read(self, key: str) -> np.ndarray:
        archive, offset = self._places[key]
        with open(archive, "rb") as file:
            file.seek(offset)
            values = read_array_at(file, Path(archive), key)
        if values.ndim not in (1, 2) or not values.size:
            raise DataError(f"input.streams.{self.name}: {key} in {archive} is neither a vector nor a matrix")
        values = values.astype(np.float32)
        fault = damage(values)
        if fault:
            raise DataError(f"input.streams.{self.name}: {key} in {archive} {fault}")
        return values
