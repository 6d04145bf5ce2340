"""Pools of utterances in memory, and the batches of windows or single frames that are put together from them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from asrpar.errors import ConfigError
from asrpar.feats.augment import Augment, step_generator
from asrpar.feats.batch import Batch, MakesTargets
from asrpar.feats.config import BatchConfig
from asrpar.feats.plan import padded
from asrpar.feats.pool_plan import Pieces, PoolPlan
from asrpar.feats.store import FeatureStore

# What the utterance of a row of single frames is called, and the label of a frame that has none.
MIXED, NONE = "frames of many utterances", -1


class UtterancePool:
    """Utterances one after the other, each with its outermost frames repeated on both sides.

    Attributes:
        frames: (F, C) float32 of all utterances.
        begins: (U,) where each utterance begins in it.
        lengths: (U,) frames of each, without those that are repeated.
        shown: of each the numbers (T,) of its frames, where some were moved or dropped, else None.
    """

    def __init__(
        self,
        store: FeatureStore,
        utterances: Sequence[int],
        before: int,
        after: int,
        augment: Augment | None,
        generator: torch.Generator | None,
    ) -> None:
        """Load ``utterances``, indices of ``store``, with ``before`` and ``after`` repetitions at their ends."""
        self.utterances = [store.utterances[i] for i in utterances]
        lens = np.array([u.num_frames for u in self.utterances], dtype=np.int64)
        changes = augment.draw(lens, store.num_static, generator) if augment else None
        self.lengths = lens - changes.first if changes else lens
        self.begins = np.cumsum(self.lengths + before + after) - self.lengths - after
        self.frames = np.empty((int(self.begins[-1] + self.lengths[-1]) + after, store.num_features), np.float32)
        self.shown: list[np.ndarray | None] = []
        for n, index in enumerate(utterances):
            matrix, frames = store.changed(index, changes, n)
            begin, end = int(self.begins[n]), int(self.begins[n] + self.lengths[n])
            self.frames[begin:end] = matrix
            self.frames[begin - before : begin] = matrix[0]
            self.frames[end : end + after] = matrix[-1]
            self.shown.append(frames)


class Pools:
    """Makes batches of pieces; one for all learners of a process.

    Args:
        store: of the utterances.
        plan: which pieces go where.
        config: how batches are made.
        seed: of augmentation.
        augment: of whole utterances, before they are cut; None for none.
        objective: makes targets from labels of frames; None for none.
        context: of the model, for single frames.
    """

    def __init__(
        self,
        store: FeatureStore,
        plan: PoolPlan,
        config: BatchConfig,
        seed: int,
        augment: Augment | None,
        objective: MakesTargets | None,
        context: tuple[int, int] | None,
    ) -> None:
        self.single = config.pieces == "frames"
        if self.single and context is None:
            raise ConfigError(
                "batch.pieces is frames, which this model does not take: it must be feed-forward, with a context of "
                "its own, such as model=dnn; or set batch.pieces to windows"
            )
        if not getattr(objective, "of_labels", True):
            raise ConfigError(
                f"batch.pieces is {config.pieces}, but the loss has targets for whole utterances: set it to "
                "utterances, or train on labels of frames (loss=frame_ce)"
            )
        self.before, self.after = context if self.single else config.context
        self.store, self.plan, self.window, self.seed = store, plan, config.piece_frames, seed
        self.augment, self.objective = augment, objective
        self._pools: dict[tuple[int, int], UtterancePool] = {}
        self._labels: dict[tuple[int, int], np.ndarray] = {}

    def of(self, plan: PoolPlan) -> "Pools":
        """For another number of learners."""
        if plan.num_learners == self.plan.num_learners:
            return self
        other = object.__new__(Pools)
        vars(other).update(vars(self) | {"plan": plan})
        return other

    def batch(self, epoch: int, step: int, rank: int, global_frames: int) -> Batch:
        """The share of a learner."""
        pieces, number = self.plan.share(epoch, step, rank), self.plan.pool_of(epoch, step)
        make = self._frames if self.single else self._windows
        features, lens, targets, ids = make(epoch, number, pieces)
        return Batch(
            features=torch.from_numpy(features),
            feature_lens=torch.from_numpy(lens),
            targets=targets,
            ids=ids,
            num_frames=int(pieces.frames.sum()),
            global_frames=global_frames,
            epoch=epoch,
            step=step,
        )

    def _frames(self, epoch: int, number: int, pieces: Pieces) -> tuple[np.ndarray, np.ndarray, list[Any], list[str]]:
        """Single frames, spliced, in one row (1, F, (before + 1 + after) · C)."""
        splice, width = self.before + 1 + self.after, self.store.num_features
        count = len(pieces)
        if not count:
            return np.empty((0, 0, splice * width), np.float32), np.empty(0, np.int64), [], []
        pool = self._pool(epoch, number)
        at = pool.begins[pieces.utterance] + pieces.begin
        row = np.zeros((1, padded(count), splice * width), np.float32)
        np.take(
            pool.frames, at[:, None] + np.arange(-self.before, self.after + 1), axis=0,
            out=row[0, :count].reshape(count, splice, width),
        )  # fmt: skip
        targets = [self._pool_labels(epoch, number)[at]] if self.objective else [""]
        return row, np.array([count]), targets, [MIXED]

    def _windows(self, epoch: int, number: int, pieces: Pieces) -> tuple[np.ndarray, np.ndarray, list[Any], list[str]]:
        """Windows with what is shown around them (N, before + window + after, C)."""
        around, width = self.before + self.after, self.store.num_features
        batch = np.zeros((len(pieces), self.window + around if len(pieces) else 0, width), np.float32)
        lens, targets, ids = np.empty(len(pieces), np.int64), [], []
        pool = self._pool(epoch, number) if len(pieces) else None
        for n, (place, begin, frames) in enumerate(
            zip(pieces.utterance.tolist(), pieces.begin.tolist(), pieces.frames.tolist(), strict=True)
        ):
            utterance, length = pool.utterances[place], int(pool.lengths[place])
            # Where a random start has left nothing of the last window, the last frame is shown once more.
            first = min(begin, length - 1)
            last = min(first + frames, length)
            at = int(pool.begins[place])
            lens[n] = last - first + around
            batch[n, : lens[n]] = pool.frames[at + first - self.before : at + last + self.after]
            ids.append(utterance.id)
            targets.append(self._window_targets(pool, place, first, last))
        return batch, lens, targets, ids

    def _window_targets(self, pool: UtterancePool, place: int, first: int, last: int) -> Any:
        utterance, shown = pool.utterances[place], pool.shown[place]
        if self.objective is None:
            return utterance.text
        frames = np.full(self.before + last - first + self.after, NONE)
        own = np.arange(first, last)
        frames[self.before : self.before + last - first] = own if shown is None else shown[own]
        return self.objective.targets(utterance, frames)

    def _pool(self, epoch: int, number: int) -> UtterancePool:
        key = (epoch, number)
        if key not in self._pools:
            # Learners that go at their own pace are in two pools for a while.
            for old in list(self._pools)[:-1]:
                del self._pools[old]
                self._labels.pop(old, None)
            # As if it were a step of nobody's.
            generator = step_generator(self.seed, epoch, number, -1) if self.augment else None
            utterances = self.plan.utterances(epoch, number).tolist()
            self._pools[key] = UtterancePool(self.store, utterances, self.before, self.after, self.augment, generator)
        return self._pools[key]

    def _pool_labels(self, epoch: int, number: int) -> np.ndarray:
        """(F,) the target of each frame of a pool."""
        key = (epoch, number)
        if key not in self._labels:
            pool = self._pool(epoch, number)
            labels = np.full(len(pool.frames), NONE, np.int64)
            for utterance, begin, frames, shown in zip(
                pool.utterances, pool.begins.tolist(), pool.lengths.tolist(), pool.shown, strict=True
            ):
                targets = self.objective.targets(utterance, shown)
                if len(targets) not in (0, frames):
                    raise ConfigError(
                        f"batch.pieces is frames, but there are {len(targets)} targets for the {frames} frames of "
                        f"{utterance.id}: set the model's subsampling to 1"
                    )
                labels[begin : begin + len(targets)] = targets
            self._labels[key] = labels
        return self._labels[key]
