"""A split of a FEATS folder, read without Lhotse: features as they were stored, and normalised for training."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from asrpar.corpus.matrices import damage
from asrpar.errors import AsrparError, DataError
from asrpar.feats.augment import Changes
from asrpar.feats.config import InputConfig, read_settings
from asrpar.feats.inputs import inputs_of
from asrpar.feats.stats import MeanStd, Normalizer
from asrpar.feats.storages import read_stored
from asrpar.feats.utterances import MADE_BY, Utterance, open_utterances
from asrpar.files.paths import check_opens, require_file

__all__ = ["MADE_BY", "FeatureStore", "StoredFeatures", "Utterance"]


class StoredFeatures:
    """The utterances of one split of a FEATS folder, and their features as they were stored."""

    def __init__(self, feats_dir: str | Path, split: str) -> None:
        """Read the split's cuts. Raises MissingInputError or DataError."""
        self.split = split
        self._cuts = Path(feats_dir) / f"cuts_{split}.jsonl.gz"
        require_file(self._cuts, MADE_BY)
        self.utterances = open_utterances(self._cuts)
        self._folder = Path(feats_dir).resolve() / "storage"

    def of(self, ids: Iterable[str]) -> Iterator[tuple[str, np.ndarray]]:
        """The features (T, C) float32 of these utterances, in their order, each with its id.

        Raises:
            DataError: at once if an utterance is not there; later, if features are missing or damaged.
        """
        place = {name: n for n, name in enumerate(self.utterances.ids)}
        wanted = list(ids)
        absent = [i for i in wanted if i not in place]
        if absent:
            raise DataError(f"{self._cuts}: {len(absent)} of {len(wanted)} utterances have no features ({absent[0]})")
        return ((i, np.asarray(self.stored(place[i]), np.float32)) for i in wanted)

    def stored(self, index: int) -> np.ndarray:
        """Features (T, C) of one utterance, not normalised. Raises DataError if they are missing or damaged."""
        utterance = self.utterances[index]
        path = self._locate(utterance.storage_path)
        try:
            features = read_stored(utterance.storage_type, path, utterance.storage_key)
        except AsrparError:
            raise
        except Exception as e:  # each kind of storage raises its own for missing and damaged files
            check_opens(path)
            raise DataError(f"features of {utterance.id} cannot be read from {path} ({e}): run {MADE_BY} again") from e
        if features.shape != (utterance.num_frames, utterance.num_features):
            raise DataError(
                f"features of {utterance.id} in {path} have shape {features.shape}, expected "
                f"{(utterance.num_frames, utterance.num_features)}: run {MADE_BY} again"
            )
        fault = damage(features) if features.size else None
        if fault:
            raise DataError(f"the storage {path} is damaged: {utterance.id} {fault}; run {MADE_BY} again")
        return features

    def _locate(self, stored: str) -> str:
        """The storage beside the cuts if it is there, for the FEATS folder may have been moved or copied."""
        _, found, tail = stored.rpartition(f"/storage/{self.split}")
        here = self._folder / f"{self.split}{tail}"
        return str(here) if found and here.exists() else stored


class FeatureStore(StoredFeatures):
    """The utterances of one split, normalised.

    Normalised features are kept until ``cache_mb`` is full. Utterances that came too late for the cache are read from
    disk each time: every epoch uses each utterance once, so replacing cached ones would never gain anything.
    """

    def __init__(
        self,
        feats_dir: str | Path,
        split: str,
        cache_mb: int = 0,
        mean_std: MeanStd | None = None,
        inputs: InputConfig | None = None,
    ) -> None:
        """Read the split's cuts. Raises MissingInputError or DataError.

        Args:
            feats_dir: FEATS folder.
            split: name of a set.
            cache_mb: room for features that are kept.
            mean_std: global statistics to normalise with instead of the folder's own.
            inputs: what a model sees of the features; None for the features themselves.
        """
        super().__init__(feats_dir, split)
        feats_dir = Path(feats_dir)
        require_file(feats_dir / "feats.yaml", MADE_BY)
        self.config = read_settings(feats_dir)
        self._normalize = Normalizer(feats_dir, split, self.config.normalize, mean_std)
        self.inputs = inputs_of(inputs, split)
        self._cache: dict[int, np.ndarray] = {}
        self._room = cache_mb * 2**20

    @property
    def lengths(self) -> list[int]:
        """Frames of each utterance."""
        return self.utterances.num_frames.tolist()

    @property
    def num_static(self) -> int:
        """Features of a frame, as they are stored."""
        return self.utterances.num_features

    @property
    def num_features(self) -> int:
        """What a model sees of a frame."""
        return self.inputs.width(self.num_static) if self.inputs else self.num_static

    def load(self, index: int) -> np.ndarray:
        """What a model sees of one utterance, (T, C) float32: its normalised features, unless there are more `inputs`.

        Must not be changed by the caller.
        """
        features = self.static(index)
        return self.inputs(features, self.utterances[index]) if self.inputs else features

    def static(self, index: int) -> np.ndarray:
        """Normalised features (T, C) float32 of one utterance; must not be changed by the caller."""
        features = self._cache.get(index)
        if features is None:
            features = self._normalize(self.stored(index), self.utterances[index].speaker)
            if features.nbytes <= self._room:
                self._room -= features.nbytes
                self._cache[index] = features
        return features

    def changed(self, index: int, changes: Changes | None, n: int) -> tuple[np.ndarray, np.ndarray | None]:
        """An utterance as `load` gives it, with the ``n``-th ``changes``; and what `Changes.frames` says of them."""
        if changes is None:
            return self.load(index), None
        features, utterance = self.static(index), self.utterances[index]
        shown = changes.show(n, features)
        # Normalised features have mean 0; others are masked with the mean of the utterance.
        fill = float(shown.mean()) if self.config.normalize == "none" else 0.0
        masked, frames = changes.masked(n, shown, fill), changes.frames(n, utterance.num_frames)
        return (self.inputs(masked, utterance, frames) if self.inputs else masked), frames
