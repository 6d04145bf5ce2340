"""Which utterances go into which step, and to which learner: a pure function of lengths, settings and the seed.

Of millions of utterances only their order and the bounds of batches are kept; a batch is dealt when it is asked for.
"""

import copy
import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from asrpar.config import check
from asrpar.errors import ConfigError
from asrpar.feats.config import AUTO, BatchConfig

# Batches are as long as a multiple of this. oneDNN makes a kernel for each new shape and keeps about a thousand: of
# short batches of any length, a third of the training time would go into making kernels.
LENGTH_UNIT = 32
# Steps whose shares are kept.
KEPT = 64


def padded(frames: int) -> int:
    """The length of a batch whose longest utterance has so many frames."""
    return -(-frames // LENGTH_UNIT) * LENGTH_UNIT


def decided(config: BatchConfig) -> None:
    """Refuse a size that has not been found yet."""
    if config.size == AUTO:
        raise ConfigError("batch.size is auto, which asrpar train alone finds: give a number")


class LearnersPlan:
    """A plan as one of the learners has it who share each global batch.

    Args:
        num_learners: how many they are.
        rank: this one, from 0.

    Raises:
        ConfigError: no such rank.
    """

    def __init__(self, num_learners: int, rank: int) -> None:
        self._num_learners = num_learners
        self._rank = self._known(rank)

    def of(self, rank: int) -> Self:
        """The plan of another learner of the same number of learners; what is made for one serves all."""
        other = copy.copy(self)
        other._rank = self._known(rank)
        return other

    @property
    def num_learners(self) -> int:
        """How many learners share each global batch."""
        return self._num_learners

    def _known(self, rank: int) -> int:
        if not 0 <= rank < self._num_learners:
            raise ConfigError(f"rank {rank} is not one of {self._num_learners} learners")
        return rank


@dataclass(frozen=True)
class Epoch:
    """The global batches of an epoch.

    Attributes:
        utterances: (n,) int32, those of a batch together.
        begins, ends: (steps,) where each step's lie in it.
        frames: of each step, without padding.
    """

    utterances: np.ndarray
    begins: np.ndarray
    ends: np.ndarray
    frames: list[int]

    def batch(self, step: int) -> list[int]:
        """The utterances of a step."""
        return self.utterances[self.begins[step] : self.ends[step]].tolist()


class BatchPlan(LearnersPlan):
    """Deals the utterances of an epoch to learners.

    An epoch is a sequence of steps; a step is one global batch; a global batch is dealt to all learners. Over all
    steps and learners each utterance occurs once. The global batches do not depend on the rank, so learners agree on
    them without a message.
    """

    def __init__(self, lengths: Sequence[int], config: BatchConfig, seed: int, num_learners: int, rank: int) -> None:
        """Check the settings against the data.

        Args:
            lengths: frames of each utterance, (n,).
            config: size of the global batch, bound on memory, buckets.
            seed: of the order of utterances.
            num_learners: how many learners share each global batch.
            rank: this learner, from 0.

        Raises:
            ConfigError: more learners than utterances, or settings that leave learners without work.
        """
        check(config, "batch.")
        decided(config)
        super().__init__(num_learners, rank)
        if num_learners > len(lengths):
            raise ConfigError(
                f"{num_learners} learners are more than the {len(lengths)} utterances: use fewer learners or more data"
            )
        self._size = config.size * (num_learners if config.per == "learner" else 1)
        if config.unit == "utterances" and self._size < num_learners:
            raise ConfigError(f"a global batch of {self._size} utterances is too small for {num_learners} learners")
        self._lengths = np.asarray(lengths, dtype=np.int64)
        if self._lengths.min() < 1:
            raise ConfigError("an utterance has no frames")
        self._cap = config.max_frames_per_learner
        longest = int(self._lengths.max())
        if self._cap and longest > self._cap:
            raise ConfigError(f"max_frames_per_learner is {self._cap}, but the longest utterance has {longest} frames")
        self._by_frames = config.unit == "frames"
        total = int(self._lengths.sum()) if self._by_frames else len(lengths)
        # With fewer batches than buckets every epoch would group the same utterances.
        self._buckets = max(1, min(config.num_buckets, total // self._size // 2))
        self._seed = seed
        # The newest epoch and its newest shares; one for all plans that differ in rank alone.
        self._made: dict[int, Epoch] = {}
        self._dealt: dict[tuple[int, int], list[list[int]]] = {}

    def steps(self, epoch: int) -> int:
        """Steps of an epoch."""
        return len(self._epoch(epoch).frames)

    def epoch(self, epoch: int) -> list[list[int]]:
        """For each step of ``epoch`` the utterances (indices into ``lengths``) of this learner; may be empty."""
        return [self.share(epoch, step, self._rank) for step in range(self.steps(epoch))]

    def share(self, epoch: int, step: int, rank: int) -> list[int]:
        """The utterances of one learner in a step; there may be none."""
        found, key = self._epoch(epoch), (epoch, step)
        if key not in self._dealt:
            # Several learners of one process, which may be at different steps, come for theirs.
            for old in list(self._dealt)[:-KEPT]:
                del self._dealt[old]
            self._dealt[key] = self._deal(found.batch(step), step)
        return self._dealt[key][rank]

    def global_frames(self, epoch: int) -> list[int]:
        """For each step of ``epoch`` the frames of the whole global batch, without padding."""
        return self._epoch(epoch).frames

    def share_frames(self, epoch: int) -> list[int]:
        """Frames of every learner's shares of an epoch, by their numbers: step · learners + rank."""
        found = self._epoch(epoch)
        shares = (self._deal(found.batch(step), step) for step in range(len(found.frames)))
        return [int(self._lengths[share].sum()) for step in shares for share in step]

    def _epoch(self, epoch: int) -> Epoch:
        if epoch not in self._made:
            self._made.clear()
            self._dealt.clear()
            self._made[epoch] = self._global_batches(epoch)
        return self._made[epoch]

    def _global_batches(self, epoch: int) -> Epoch:
        rng = np.random.default_rng([self._seed, epoch])
        # Ties of length are broken anew each epoch; buckets hold equal parts of the data.
        shuffled = rng.permutation(len(self._lengths))
        ordered = shuffled[np.argsort(self._lengths[shuffled], kind="stable")]
        weights = self._lengths[ordered] if self._by_frames else np.ones(len(ordered), dtype=np.int64)
        done = np.cumsum(weights)
        bucket = np.minimum((done - weights) * self._buckets // done[-1], self._buckets - 1)
        # What is left of a bucket starts the next one's first batch. Going up or down by chance, the last, smaller
        # batch of the epoch is not always one of long utterances.
        if rng.random() < 0.5:
            bucket = self._buckets - 1 - bucket
        ordered = ordered[np.lexsort((rng.random(len(ordered)), bucket))]
        lengths = self._lengths[ordered]
        bounds = np.array([0, *self._cut(lengths)])
        order = np.array([*rng.permutation(len(bounds) - 2), len(bounds) - 2])
        frames = np.add.reduceat(lengths, bounds[:-1])[order].tolist()
        return Epoch(ordered.astype(np.int32), bounds[order], bounds[order + 1], frames)

    def _cut(self, lengths: np.ndarray) -> list[int]:
        """Where batches end: consecutive ones of at most the set size (or one longer utterance) that also fit the
        learners' memory.
        """
        if self._cap:
            return self._cut_by_memory(lengths)
        done = np.cumsum(lengths) if self._by_frames else np.arange(1, len(lengths) + 1)
        ends, begin, before = [], 0, 0
        while begin < len(lengths):
            begin = max(begin + 1, int(np.searchsorted(done, before + self._size, side="right")))
            ends.append(begin)
            before = int(done[begin - 1])
        return ends

    def _cut_by_memory(self, lengths: np.ndarray) -> list[int]:
        ends: list[int] = []
        count = size = longest = 0
        for position, length in enumerate(lengths.tolist()):
            weight = length if self._by_frames else 1
            most = -(-(count + 1) // self._num_learners)  # utterances of a learner when dealt in turn
            if count and (size + weight > self._size or most * max(longest, length) > self._cap):
                ends.append(position)
                count = size = longest = 0
            count += 1
            size += weight
            longest = max(longest, length)
        return [*ends, len(lengths)]

    def _deal(self, batch: list[int], step: int) -> list[list[int]]:
        """Divide a global batch so that learners get nearly equal numbers of frames."""
        count = self._num_learners
        if count == 1:
            return [batch]
        lengths = self._lengths[batch].tolist()
        # Longest first, each to the learner with the fewest frames so far; the step decides who begins.
        order = sorted(range(len(batch)), key=lambda i: (-lengths[i], i))
        shares: list[list[int]] = [[] for _ in range(count)]
        heap = [(0, turn, (turn + step) % count) for turn in range(count)]
        for i in order:
            frames, turn, learner = heapq.heappop(heap)
            shares[learner].append(batch[i])
            heapq.heappush(heap, (frames + lengths[i], turn, learner))
        if self._cap and any(len(s) * int(self._lengths[s].max()) > self._cap for s in shares if s):
            # Many short ones in one share pad up to its longest: deal in turn instead, which `_cut` made sure fits.
            shares = [[] for _ in range(count)]
            for position, i in enumerate(order):
                turn = position % count if (position // count) % 2 == 0 else count - 1 - position % count
                shares[(turn + step) % count].append(batch[i])
        return shares
