"""What a run shows of itself: a progress bar on a terminal, TensorBoard scalars, one line for each epoch."""

import math
from pathlib import Path
from typing import TYPE_CHECKING

from asrpar.launch.rank import progress_stream
from asrpar.numbers import ratio

if TYPE_CHECKING:
    from asrpar.train.learner import AcousticLearner


class Progress:
    """Rank 0's view of a run; every method does nothing on other ranks.

    Args:
        rank: this learner.
        folder: TensorBoard's.
        total_frames: of one epoch, all learners.
        every: steps between two points of the curves of `step`; 0 for none.
    """

    def __init__(self, rank: int, folder: Path, total_frames: int, every: int = 0) -> None:
        self.rank, self.folder, self.total = rank, folder, total_frames
        self.bar = None
        self.writer = None
        self.every = every
        # Since the last point: steps, summed loss and its frames; frames of all learners and seconds at that point.
        self.steps, self.loss_sum, self.loss_frames = 0, 0.0, 0.0
        self.begun: tuple[float, float] | None = None
        # What of the learner's tally of this epoch is in these sums, or in a point; not known where it resumed.
        self.seen: tuple[float, float] | None = (0.0, 0.0)

    def open(self, frames: int) -> None:
        """A run begins, or goes on after ``frames``: TensorBoard forgets what an interrupted one wrote since."""
        if frames:
            self.seen = None
        if self.rank == 0:
            from asrpar.train.events import Events

            self.writer = Events(self.folder, frames + 1 if frames else None)

    def take_over(self, frames: int, epoch: int, epochs: int) -> None:
        """The first rank was lost, and this one is the first now; see `open` and `begin_epoch`."""
        self.rank = 0
        self.open(frames)
        self.begin_epoch(epoch, epochs, 0)

    def begin_epoch(self, epoch: int, epochs: int, frames: int) -> None:
        """A new bar, already at ``frames`` when a run resumes within an epoch."""
        stream = progress_stream() if self.rank == 0 else None
        if stream is not None:
            from tqdm import tqdm

            self.bar = tqdm(
                total=self.total,
                initial=frames,
                unit="frame",
                unit_scale=True,
                desc=f"epoch {epoch}/{epochs}",
                leave=False,
                file=stream,
            )

    def step(self, new_frames: int, learner: "AcousticLearner", frames: int, seconds: float) -> None:
        """Advance by a step.

        Args:
            new_frames: of the step, all learners.
            learner: rank 0's, which knows loss, gradient norm and rate without asking anybody.
            frames: so far, all learners.
            seconds: of training so far.
        """
        if self.bar is not None:
            self.bar.update(new_frames)
            if learner.loss_frames:
                loss = learner.loss_sum / learner.loss_frames
                self.bar.set_postfix(loss=f"{loss:.4f}", lr=f"{learner.lr:.2e}", refresh=False)
        if self.writer is None or not self.every:
            return
        if self.begun is None:
            self.begun = frames, seconds  # the first step's own time is not known
        tally = (learner.loss_sum, learner.loss_frames)
        if self.seen is not None:
            self.loss_sum += tally[0] - self.seen[0]
            self.loss_frames += tally[1] - self.seen[1]
        self.seen = tally
        self.steps += 1
        if self.steps >= self.every:
            self.point(learner, frames, seconds)

    def point(self, learner: "AcousticLearner", frames: int, seconds: float) -> None:
        """The means since the last point, and what holds now."""
        values = {"loss": ratio(self.loss_sum, self.loss_frames), "grad_norm": learner.grad_norm, "lr": learner.lr}
        values["frames_per_second"] = ratio(frames - self.begun[0], seconds - self.begun[1])
        self.scalars({f"step/{name}": value for name, value in values.items()}, frames)
        self.steps, self.loss_sum, self.loss_frames, self.begun = 0, 0.0, 0.0, (frames, seconds)

    def end_epoch(self) -> None:
        """Remove the bar; the learner's tally begins anew."""
        self.seen = (0.0, 0.0)
        if self.bar is not None:
            self.bar.close()
            self.bar = None

    def scalars(self, values: dict[str, float], frames: int) -> None:
        """Write values against the frames seen by all learners; none where there is no number."""
        if self.writer is not None:
            for name, value in values.items():
                if math.isfinite(value):
                    self.writer.add_scalar(name, value, frames)

    def close(self) -> None:
        """Flush everything."""
        self.end_epoch()
        if self.writer is not None:
            self.writer.close()
