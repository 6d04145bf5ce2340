"""Batches for learners: loading, normalising, augmenting and padding, ahead of the trainer in a background thread."""

import copy
from collections.abc import Generator, Iterator
from pathlib import Path

import numpy as np
import torch

from asrpar.errors import ConfigError
from asrpar.feats.augment import Augment, step_generator
from asrpar.feats.batch import Batch, MakesTargets
from asrpar.feats.config import BatchConfig, InputConfig
from asrpar.feats.plan import BatchPlan, padded
from asrpar.feats.pool import Pools
from asrpar.feats.pool_plan import PoolPlan
from asrpar.feats.prefetch import prefetch
from asrpar.feats.stats import MeanStd
from asrpar.feats.store import FeatureStore
from asrpar.log import get_logger

__all__ = ["Batch", "BatchLoader", "BatchPlan", "MakesTargets", "eval_batches"]

log = get_logger(__name__)


class BatchLoader:
    """The batches of one learner.

    A batch follows from (seed, epoch, step, number of learners, rank) alone, augmentation included, so a run that goes
    on from ``start_step`` sees exactly what the uninterrupted run would have seen.
    """

    def __init__(
        self,
        feats_dir: str | Path,
        split: str,
        config: BatchConfig,
        seed: int,
        num_learners: int = 1,
        rank: int = 0,
        augment: bool = True,
        objective: MakesTargets | None = None,
        stride: int = 1,
        context: tuple[int, int] | None = None,
        inputs: InputConfig | None = None,
        pinned: bool = False,
    ) -> None:
        """Open a split of a FEATS folder.

        Args:
            feats_dir: a FEATS folder.
            split: one of its splits.
            config: how batches are made.
            seed: of the order of utterances and of augmentation.
            num_learners: learners that share the split.
            rank: this learner.
            augment: as ``config`` says; else not at all.
            objective: makes targets, in the thread that loads; without, transcripts take their place.
            stride: of the model; see `Augment`.
            context: of the model, where it takes single frames that are spliced already.
            inputs: what the model sees of the features.
            pinned: put features, in the thread that loads, where a GPU fetches them while its host goes on.

        Raises:
            MissingInputError, DataError, ConfigError: data or settings that cannot be used.
        """
        self._store = FeatureStore(feats_dir, split, config.cache_mb, inputs=inputs)
        self._augment = Augment(config.augment, stride) if augment else None
        self._objective, self._pinned = objective, pinned
        self._config, self._seed, self._rank, self._depth = config, seed, rank, config.prefetch
        self._plan = self._plan_for(num_learners, rank)
        self._pools = None
        if isinstance(self._plan, PoolPlan):
            self._pools = Pools(self._store, self._plan, config, seed, self._augment, objective, context)
        # Each step asks for it.
        self._frames = int(self._store.utterances.num_frames.sum(dtype=np.int64))
        if rank == 0:
            self._warn_of_size(num_learners)

    def _plan_for(self, num_learners: int, rank: int) -> BatchPlan | PoolPlan:
        kind = BatchPlan if self._config.pieces == "utterances" else PoolPlan
        return kind(self._store.utterances.num_frames, self._config, self._seed, num_learners, rank)

    def _warn_of_size(self, num_learners: int) -> None:
        learners = num_learners if self._config.per == "global" else 1
        mean = self._frames / len(self._store.utterances)
        if self._pools is None and self._config.unit == "frames" and self._config.size < learners * mean:
            log.warning(
                "batch.size %d is less than an utterance (%.0f frames on average) for each learner: it counts frames, "
                "not seconds as Lhotse's max_duration, nor utterances unless batch.unit says so",
                self._config.size, mean,
            )  # fmt: skip

    def share(self, num_learners: int, rank: int, *, ahead: bool = False) -> "BatchLoader":
        """The loader of another learner, from the same open files and in the same memory.

        It runs no thread, but for ``ahead``: then this one must not be used any more.
        """
        other = copy.copy(self)
        if num_learners == self._plan.num_learners:
            other._plan = self._plan.of(rank)
        else:
            other._plan = self._plan_for(num_learners, rank)
            other._pools = self._pools and self._pools.of(other._plan)
        other._rank, other._depth = rank, self._depth if ahead else 0
        return other

    @property
    def num_features(self) -> int:
        """C of the batches."""
        return self._store.num_features

    @property
    def num_learners(self) -> int:
        """How many learners share each global batch."""
        return self._plan.num_learners

    @property
    def store(self) -> FeatureStore:
        """The utterances of all learners."""
        return self._store

    @property
    def frames_per_epoch(self) -> int:
        """Frames of an epoch, over all learners, without padding."""
        return self._frames

    def steps(self, epoch: int) -> int:
        """Steps of an epoch; the same on all learners."""
        return self._plan.steps(epoch)

    def global_frames(self, epoch: int) -> list[int]:
        """Frames of each step's global batch, over all learners, without padding."""
        return self._plan.global_frames(epoch)

    def epoch(self, epoch: int, start_step: int = 0) -> Iterator[Batch]:
        """The batches of an epoch from ``start_step`` on.

        Abandoning the iterator (``close()`` or no reference left) ends its thread.
        """
        frames, learners = self._plan.global_frames(epoch), self._plan.num_learners
        if not 0 <= start_step <= len(frames):
            raise ConfigError(f"epoch {epoch} has {len(frames)} steps, it cannot go on from step {start_step}")
        steps = range(start_step, len(frames))
        return prefetch(self._load(epoch, ((s * learners + self._rank, frames[s]) for s in steps)), self._depth)

    def share_frames(self, epoch: int) -> list[int]:
        """Frames of every learner's shares of an epoch, by their numbers: step · learners + rank."""
        return self._plan.share_frames(epoch)

    def chosen(self, epoch: int, shares: Iterator[tuple[int, int]]) -> Generator[Batch, None, None]:
        """Shares of an epoch, whoever they were made for, as `epoch` gives them.

        Args:
            epoch: which.
            shares: numbers, as in `share_frames`, with the `Batch.global_frames` to give each; read one batch ahead.
        """
        return prefetch(self._load(epoch, shares), min(self._depth, 1))

    def _load(self, epoch: int, shares: Iterator[tuple[int, int]]) -> Iterator[Batch]:
        for share, frames in shares:
            step, rank = divmod(share, self._plan.num_learners)
            batch = self._batch(epoch, step, rank, frames)
            batch.share = share
            if self._pinned:
                batch.features = batch.features.pin_memory()
            yield batch

    def _batch(self, epoch: int, step: int, rank: int, frames: int) -> Batch:
        if self._pools is not None:
            return self._pools.batch(epoch, step, rank, frames)
        generator = step_generator(self._seed, epoch, step, rank) if self._augment else None
        indices = self._plan.share(epoch, step, rank)
        return collate(self._store, indices, frames, epoch, step, self._objective, self._augment, generator)


def eval_batches(
    feats_dir: str | Path,
    split: str,
    max_frames: int,
    num_learners: int = 1,
    rank: int = 0,
    mean_std: MeanStd | None = None,
    objective: MakesTargets | None = None,
    inputs: InputConfig | None = None,
) -> Iterator[Batch]:
    """Batches for measuring: sorted by falling length, no augmentation, each utterance once over all learners.

    Args:
        feats_dir: a FEATS folder.
        split: one of its splits.
        max_frames: of a batch, with padding; a longer utterance is a batch of its own.
        num_learners: learners that share the split; batch i goes to learner i modulo their number, so some learners
            may get one batch more, and with few batches some get none.
        rank: this learner.
        mean_std: global statistics of a model, to normalise with instead of the folder's own.
        objective: makes targets; without, transcripts take their place.
        inputs: what the model sees of the features.
    """
    if max_frames < 1 or not 0 <= rank < num_learners:
        raise ConfigError(f"eval_batches: max_frames {max_frames}, rank {rank} of {num_learners} learners")
    store = FeatureStore(feats_dir, split, mean_std=mean_std, inputs=inputs)
    lengths = store.lengths
    batches: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lambda i: (-lengths[i], store.utterances[i].id)):
        # The first of a batch is its longest.
        if batches and (len(batches[-1]) + 1) * lengths[batches[-1][0]] <= max_frames:
            batches[-1].append(index)
        else:
            batches.append([index])
    frames = [sum(lengths[i] for i in batch) for batch in batches]

    def make() -> Iterator[Batch]:
        for i in range(rank, len(batches), num_learners):
            step = i // num_learners
            total = sum(frames[step * num_learners : (step + 1) * num_learners])
            yield collate(store, batches[i], total, 0, step, objective)

    return prefetch(make(), 2)


def collate(
    store: FeatureStore,
    indices: list[int],
    global_frames: int,
    epoch: int,
    step: int,
    objective: MakesTargets | None = None,
    augment: Augment | None = None,
    generator: torch.Generator | None = None,
) -> Batch:
    """Put utterances into one padded batch.

    numpy does the work: its loops use one thread, where torch's would compete with the trainer for the cores.
    """
    utterances = [store.utterances[i] for i in indices]
    lens = np.array([u.num_frames for u in utterances], dtype=np.int64)
    num_frames = int(lens.sum())
    # Without augmentation one view would be as the other.
    views = getattr(objective, "views", 1) if augment else 1
    changes = augment.draw(lens, store.num_static, generator, views) if augment and len(indices) else None
    lens = np.tile(lens, views)
    if changes:
        lens -= changes.first
    batch = np.empty((len(lens), padded(int(lens.max(initial=0))), store.num_features), dtype=np.float32)
    targets = []
    for n, (index, utterance) in enumerate(zip(indices, utterances, strict=True)):
        for row in range(n, len(lens), len(indices)):
            if changes and not store.inputs:
                batch[row, : lens[n]] = changes.show(n, store.load(index))
            else:
                # Differences are those of what is masked, and other streams have no bands of frequency.
                batch[row, : lens[n]] = store.changed(index, changes, row)[0]
        batch[n :: len(indices), lens[n] :] = 0.0
        shown = changes.frames(n, utterance.num_frames) if changes and objective else None
        targets.append(objective.targets(utterance, shown) if objective else utterance.text)
    if changes and not store.inputs:
        # Normalised features have mean 0; others are masked with the mean of the utterance.
        raw = store.config.normalize == "none"
        fill = np.array([batch[n, :t].mean() for n, t in enumerate(lens)]) if raw else None
        changes.apply(batch, lens, fill)
    return Batch(
        features=torch.from_numpy(batch),
        feature_lens=torch.from_numpy(lens),
        targets=targets,
        ids=[u.id for u in utterances],
        num_frames=num_frames,
        global_frames=global_frames,
        epoch=epoch,
        step=step,
    )
