"""Which windows or frames go into which step, and to which learner.

An epoch is a sequence of pools, each of utterances drawn from all that are left. A pool's windows, or single frames,
are shuffled and cut into global batches, each of which is dealt to all learners. So a batch has pieces of hundreds of
utterances, as training frame by frame wants them, and nobody needs more than a pool of features in memory.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from asrpar.config import check
from asrpar.errors import ConfigError
from asrpar.feats.config import BatchConfig
from asrpar.feats.plan import LearnersPlan, decided


@dataclass(frozen=True)
class Pieces:
    """Stretches of utterances.

    Attributes:
        utterance: (K,) which of the pool's utterances each is of.
        begin: (K,) its first frame.
        frames: (K,) how many it has; a window at an utterance's end may be shorter than others.
    """

    utterance: np.ndarray
    begin: np.ndarray
    frames: np.ndarray

    def __getitem__(self, which: slice) -> "Pieces":
        return Pieces(self.utterance[which], self.begin[which], self.frames[which])

    def __len__(self) -> int:
        return len(self.begin)


@dataclass(frozen=True)
class Epoch:
    """The pools of an epoch.

    Attributes:
        pools: the utterances of each, indices.
        first: (pools + 1,) the step with which each begins, and how many there are in all.
        sizes: pieces of each pool.
    """

    pools: list[np.ndarray]
    first: np.ndarray
    sizes: list[int]


class PoolPlan(LearnersPlan):
    """Deals pieces of utterances to learners; see `asrpar.feats.plan.BatchPlan`, which deals whole ones.

    Over all steps and learners of an epoch each frame of each utterance occurs once. Pools and global batches do not
    depend on the number of learners, unless the size of batches does (``per: learner``).
    """

    def __init__(self, lengths: Sequence[int], config: BatchConfig, seed: int, num_learners: int, rank: int) -> None:
        """Check the settings against the data.

        Args:
            lengths: frames of each utterance, (n,).
            config: size of the global batch, pieces, size of pools.
            seed: of the order of utterances and pieces.
            num_learners: how many learners share each global batch.
            rank: this learner, from 0.

        Raises:
            ConfigError: settings that leave learners without work.
        """
        check(config, "batch.")
        decided(config)
        super().__init__(num_learners, rank)
        self._lengths = np.asarray(lengths, dtype=np.int64)
        if not len(lengths) or self._lengths.min() < 1:
            raise ConfigError("an utterance has no frames, or there is no utterance")
        self.window = config.piece_frames
        self._seed = seed
        size = config.size // (self.window if config.unit == "frames" else 1)
        self._size = size * (num_learners if config.per == "learner" else 1)
        if config.max_frames_per_learner:
            shown = self.window + (sum(config.context) if config.pieces == "windows" else 0)
            self._size = min(self._size, num_learners * (config.max_frames_per_learner // shown))
        of = f"frames of window {self.window}" if self.window > 1 else "frames"
        if self._size < num_learners:
            raise ConfigError(
                f"a global batch of {self._size} {config.pieces} ({config.size} {config.unit}, {of}) is too small for "
                f"{num_learners} learners: raise batch.size or batch.max_frames_per_learner"
            )
        if self._size * self.window > config.pool_frames:
            raise ConfigError(
                f"batch.pool_frames is {config.pool_frames}, less than a global batch of {self._size * self.window} "
                "frames: raise it to many batches, so that there is something to choose from"
            )
        self._pool_frames = config.pool_frames
        total = int(self._pieces_of(self._lengths).sum())
        if num_learners > total:
            raise ConfigError(f"{num_learners} learners are more than the {total} {config.pieces} of the set")
        # Of the newest epoch, and of all plans that differ in rank alone.
        self._epochs: dict[int, Epoch] = {}
        self._counted: dict[int, np.ndarray] = {}
        self._shuffled: dict[tuple[int, int], Pieces] = {}

    def steps(self, epoch: int) -> int:
        """Steps of an epoch."""
        return int(self._epoch(epoch).first[-1])

    def global_frames(self, epoch: int) -> list[int]:
        """For each step of ``epoch`` the frames of the whole global batch."""
        return self._frames(epoch).sum(axis=1).tolist()

    def share_frames(self, epoch: int) -> list[int]:
        """Frames of every learner's shares of an epoch, by their numbers: step · learners + rank."""
        return self._frames(epoch).ravel().tolist()

    def pool_of(self, epoch: int, step: int) -> int:
        """The number of the pool that a step is of."""
        return int(np.searchsorted(self._epoch(epoch).first, step, side="right")) - 1

    def utterances(self, epoch: int, pool: int) -> np.ndarray:
        """The utterances (U,) of a pool, indices into ``lengths``."""
        return self._epoch(epoch).pools[pool]

    def share(self, epoch: int, step: int, rank: int) -> Pieces:
        """The pieces of one learner in a step; there may be none."""
        found, pool = self._epoch(epoch), self.pool_of(epoch, step)
        first, steps = int(found.first[pool]), int(found.first[pool + 1] - found.first[pool])
        bounds = self._bounds(found.sizes[pool], steps)
        return self._order(epoch, pool)[self._dealt(*bounds[step - first : step - first + 2].tolist(), step, rank)]

    def _dealt(self, begin: int, end: int, step: int, rank: int) -> slice:
        """The part of a global batch that is a learner's; who gets one more than others changes from step to step."""
        count, turn = self._num_learners, (rank - step) % self._num_learners
        size, more = divmod(end - begin, count)
        start = begin + turn * size + min(turn, more)
        return slice(start, start + size + (turn < more))

    @staticmethod
    def _bounds(pieces: int, steps: int) -> np.ndarray:
        """(steps + 1,) where a pool is cut: into batches that differ by one piece at most, none of them a remnant."""
        return np.arange(steps + 1) * pieces // steps

    def _pieces_of(self, lengths: np.ndarray) -> np.ndarray:
        return -(-lengths // self.window)

    def _epoch(self, epoch: int) -> Epoch:
        if epoch not in self._epochs:
            rng = np.random.default_rng([self._seed, epoch])
            order = rng.permutation(len(self._lengths))
            done = np.cumsum(self._lengths[order])
            count = max(1, round(int(done[-1]) / self._pool_frames))
            # An utterance is in the pool in which its middle frame is.
            pool = (2 * done - self._lengths[order]) * count // (2 * done[-1])
            pools = [order[pool == number] for number in range(count)]
            pools = [found for found in pools if len(found)]
            sizes = [int(self._pieces_of(self._lengths[found]).sum()) for found in pools]
            first = np.cumsum([0, *(-(-size // self._size) for size in sizes)])
            for made in (self._epochs, self._counted, self._shuffled):
                made.clear()
            self._epochs[epoch] = Epoch(pools, first, sizes)
        return self._epochs[epoch]

    def _order(self, epoch: int, pool: int) -> Pieces:
        """The pieces of a pool, shuffled."""
        found = self._epoch(epoch)
        if (epoch, pool) not in self._shuffled:
            # Learners that go at their own pace are in two pools for a while.
            for old in list(self._shuffled)[:-1]:
                del self._shuffled[old]
            lengths = self._lengths[found.pools[pool]]
            each = self._pieces_of(lengths)
            utterance = np.repeat(np.arange(len(lengths)), each)
            begin = (np.arange(len(utterance)) - np.repeat(np.cumsum(each) - each, each)) * self.window
            frames = np.minimum(self.window, lengths[utterance] - begin)
            order = np.random.default_rng([self._seed, epoch, 1, pool]).permutation(len(utterance))
            self._shuffled[epoch, pool] = Pieces(utterance[order], begin[order], frames[order])
        return self._shuffled[epoch, pool]

    def _frames(self, epoch: int) -> np.ndarray:
        """(steps, learners) frames of each share."""
        found = self._epoch(epoch)
        if epoch not in self._counted:
            counts = np.empty((self.steps(epoch), self._num_learners), np.int64)
            for pool, size in enumerate(found.sizes):
                first, last = found.first[pool : pool + 2].tolist()
                # Of single frames there is nothing to look up.
                frames = np.ones(size, np.int64) if self.window == 1 else self._order(epoch, pool).frames
                before = np.concatenate([[0], np.cumsum(frames)])
                bounds = self._bounds(size, last - first).tolist()
                for step in range(first, last):
                    for rank in range(self._num_learners):
                        part = self._dealt(bounds[step - first], bounds[step - first + 1], step, rank)
                        counts[step, rank] = before[part.stop] - before[part.start]
            self._counted[epoch] = counts
        return self._counted[epoch]
