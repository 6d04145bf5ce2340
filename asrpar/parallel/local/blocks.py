"""Blocks of local steps and an outer optimizer between them: behind local SGD, BMUF, SlowMo and DiLoCo.

Every learner starts block t from the base W_g(t−1) and trains alone for τ steps; then

    W̄ = Σ_i (n_i / Σ n) x_i              G = W̄ − W_g(t−1)              G → W(t), W_g(t): see `local.outer`

n_i are the frames that learner i saw in the block; the epoch ends with a block in which Σ n = 0.

The sum may hide behind d steps of the next block: these go on from y_i, the learner's own x_i at the block's end, and
then x_i ← x_i + W_g(t) − y_i. They are part of the next G, nothing is lost or counted twice. For local SGD this is
DaSGD (Zhou et al. 2020, arXiv 2006.00441). Douillard et al. 2025 (arXiv 2501.18512) overlap in DiLoCo, too, but mix x_i
with W_g.

After a loss the block ends at once. The sum of the block before may have come to some of those who are left, who have
taken its outer step, and not to others: what these had done is in that sum, and they take up W, W_g and Δ of the first.
Then W̄ is the mean of what all who are left have done since their W_g, and the outer step is taken as ever. What the
lost ones have done in this block is lost; nothing else is, nor counted twice. N is the number of those who are left.

Cost of a block: one allreduce of P + 2 numbers. Extra memory: 3 P, looking ahead and overlapping P more each.
"""

import math
from abc import abstractmethod
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import torch

from asrpar.errors import TrainingError
from asrpar.parallel.comm import Comm, LearnerLost
from asrpar.parallel.comm.base import Pending
from asrpar.parallel.compress.wire import Wire, need_plain_wire
from asrpar.parallel.contract import Learner, Strategy
from asrpar.parallel.local.outer import OuterOptimizer
from asrpar.parallel.local.sums import sum_gradient, update
from asrpar.parallel.local.survival import check_wire, newest
from asrpar.rules import at_least, need, not_negative


@dataclass
class BlockSettings:
    """What all block algorithms share.

    Attributes:
        sync_steps: τ, local steps of a block.
        overlap_steps: d, steps of the next block behind which the sum hides, at most τ; 0 waits for it.
        warmup_frames: train by synchronised SGD, as `ssgd` does, until all learners together have seen so many frames.
        keep_local_momentum: do not reset the local optimizer's momenta when W_g(t) arrives. After a reset AdamW's steps
            are whole ones from the first on, as at a training's beginning; with SGD's momentum m the k-th has 1 − mᵏ of
            its final length, so blocks should have many more than 1 / (1 − m) steps.
    """

    sync_steps: int = 16
    overlap_steps: int = 0
    warmup_frames: float = 0.0
    keep_local_momentum: bool = True

    def validate(self) -> None:
        at_least(self, 1, "sync_steps")
        not_negative(self, "warmup_frames")
        need(self, "overlap_steps", 0 <= self.overlap_steps <= self.sync_steps, "lies between 0 and sync_steps")


class BlockStrategy(Strategy):
    """Local steps, and an outer step when the block ends.

    Attributes:
        look_ahead: whether W_g is not W.
    """

    look_ahead: bool = False
    rejoins = True
    kept = ("w", "w_g", "delta", "frames", "seen", "rates", "steps", "synchronised", "warmup")

    def __init__(self, settings: Any, learner: Learner, comm: Comm, wire: Wire | None = None) -> None:
        super().__init__(settings, learner, comm, wire)
        self.apart, self.lag = settings.sync_steps + settings.overlap_steps, settings.overlap_steps
        self.optimizer = OuterOptimizer(learner.weights, look_ahead=self.look_ahead)
        self.w, self.w_g, self.delta = self.optimizer.w, self.optimizer.w_g, self.optimizer.delta
        # Σ n_i (x_i − W_g), Σ n_i, and the frames of all batches, also of those whose update was skipped.
        self.message = comm.zeros(learner.weights.numel() + 2, learner.weights)
        self.frames = self.seen = self.rates = self.steps = self.rate = 0
        # Frames and seen of a block that has ended, until its outer step is taken.
        self.ended = (0.0, 0.0)
        # Outer steps that this learner has taken; below 0 it has no W yet.
        self.blocks = -1
        self.warmup = settings.warmup_frames
        self.sum: Pending | None = None
        self.due = False
        if settings.overlap_steps:
            need_plain_wire(self.wire, f"{type(self).__module__.rpartition('.')[2]} with overlap_steps")
            self.before = torch.empty_like(learner.weights)
            self.kept = (*self.kept, "before", "message", "rate", "due")

    @abstractmethod
    def outer(self, frames: float, lr: float) -> tuple[float, float, float]:
        """(μ, a, r) of a block of ``frames``; ``lr`` is the mean local rate."""

    def start(self) -> None:
        """W(0) = W_g(0) = rank 0's weights, Δ(0) = 0; once more when the warm-up has ended."""
        super().start()
        self.optimizer.begin(self.learner.weights)
        self.blocks = 0

    def step(self, batch: Any | None) -> bool:
        """One local step; the τ-th ends the block."""
        if self.warmup > 0:
            return self.warmup_step(batch)
        frames = self.learner.gradient(batch) if batch is not None else 0.0
        if frames and self.learner.apply(frames):
            self.frames += frames
        self.seen += frames
        self.rates += self.learner.lr
        self.steps += 1
        more, overlap = True, self.settings.overlap_steps
        arrives, ends = self.due and self.steps == overlap, self.steps == self.settings.sync_steps
        if arrives:
            more = self.outer_step(overlapped=True)
        if ends:
            self.end_block(overlap=overlap > 0)
        if ends and not overlap:
            more = self.outer_step()
        self.synchronised = arrives or (ends and not overlap)
        return more

    def warmup_step(self, batch: Any | None) -> bool:
        """A step of synchronised SGD."""
        sum_gradient(self.learner, self.comm, self.wire, batch)
        frames = update(self.learner)
        self.warmup -= frames
        if frames and self.warmup <= 0:
            # What is held back of gradients is no displacement.
            self.wire.forget()
            self.start()
        return frames > 0

    def end_block(self, *, overlap: bool = False) -> None:
        """Average, or begin to."""
        # W̄ − W_g as the mean of x_i − W_g: adding up the weights themselves would cancel digits.
        torch.sub(self.learner.weights, self.w_g, out=self.message[:-2]).mul_(self.frames)
        self.message[-2], self.message[-1] = self.frames, self.seen
        self.rate = self.rates / max(self.steps, 1)
        self.ended = (self.frames, self.seen)
        self.frames = self.seen = self.rates = self.steps = 0
        if overlap:
            self.before.copy_(self.learner.weights)
            self.sum, self.due = self.comm.allreduce_begin(self.message), True
        else:
            self.wire.allreduce(self.comm, self.message, exact=2, over_frames=True)

    def wait(self) -> None:
        """Let the sum that is on its way arrive."""
        if self.sum is not None:
            self.sum.wait()
            self.sum = None

    def outer_step(self, *, overlapped: bool = False) -> bool:
        """Take the outer step, hand W_g to every learner. False if none had seen a frame in the block."""
        self.wait()
        self.due = False
        frames, seen = self.message[-2:].tolist()
        self.ended = (0.0, 0.0)
        if seen == 0:
            return False
        x = self.learner.weights
        self.blocks += 1
        done = self.optimizer.step(self.message[:-2], frames, *self.outer(frames, self.rate))
        if done and overlapped:
            x.add_(torch.sub(self.w_g, self.before, out=self.before))
        else:
            x.copy_(self.w_g)
        if not done:
            # Local steps skip what is not finite, so weights overflowed: forget what was done from W_g on, all alike.
            self.frames = 0
            self.learner.count_nonfinite()
        if not self.settings.keep_local_momentum:
            self.learner.reset_optimizer()
        return True

    def finish(self) -> None:
        if self.due:
            self.outer_step(overlapped=True)
        self.end_block()
        self.outer_step()
        if self.warmup <= 0:
            # Where sums were hidden, x + W_g − y with x = y is W_g but for a rounding, another one on each learner.
            self.learner.weights.copy_(self.w_g)
        self.synchronised = True

    def survive(self, comm: Comm) -> "BlockStrategy":
        """Go on among the learners of ``comm``, some of whom may be new; the block has ended. See above.

        Raises:
            TrainingError: the warm-up goes on, in which all must hold the same weights and momenta.
        """
        # A newcomer knows nothing of it.
        warmup = min(x for x in comm.allgather_object(self.warmup if self.blocks >= 0 else math.inf))
        if 0 < warmup < math.inf:
            raise TrainingError("a learner was lost while warmup_frames go on: run again to resume")
        check_wire(self.wire)
        with suppress(LearnerLost):  # nothing may still be written into its memory
            self.wait()
        most, root = newest(comm, self.blocks)
        other = type(self)(self.settings, self.learner, comm, self.wire)
        other.blocks, other.warmup = most, warmup
        for mine, theirs in zip((self.w, self.w_g, self.delta), (other.w, other.w_g, other.delta), strict=True):
            theirs.copy_(mine)
            comm.broadcast(theirs, root)
        other.frames, other.seen = self.frames, self.seen
        if self.blocks == most:
            other.frames, other.seen = self.frames + self.ended[0], self.seen + self.ended[1]
        elif self.due and self.blocks >= 0:
            self.learner.weights.add_(torch.sub(other.w_g, self.before, out=other.before))
        else:
            self.learner.weights.copy_(other.w_g)
        if self.blocks < most and not self.settings.keep_local_momentum:
            self.learner.reset_optimizer()
        # All must take the outer step with the same rate, however many steps each is behind it.
        rate = self.rates / self.steps if self.steps else self.rate
        other.rates, other.steps = max(comm.allgather_object(rate)), 1
        other.finish()
        return other

    def state_dict(self) -> dict[str, Any]:
        self.wait()
        return super().state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.blocks = 0

    def observed(self) -> torch.Tensor:
        """W, as of the last block, which all learners hold alike."""
        return self.learner.weights if self.warmup > 0 else self.w
