"""What a run shows of itself: a progress bar on a terminal, TensorBoard scalars, one line for each epoch."""

import math
from pathlib import Path

from asrpar.launch import progress_stream


class Progress:
    """Rank 0's view of a run; every method does nothing on other ranks.

    Args:
        rank: this learner.
        folder: TensorBoard's.
        total_frames: of one epoch, all learners.
        first_frame: where this run goes on; TensorBoard forgets what an interrupted run wrote beyond it.
    """

    def __init__(self, rank: int, folder: Path, total_frames: int, first_frame: int = 0) -> None:
        self.rank = rank
        self.total = total_frames
        self.bar = None
        self.writer = None
        if rank == 0:
            from asrpar.train.events import Events

            self.writer = Events(folder, first_frame + 1 if first_frame else None)

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

    def step(self, frames: int, loss: float | None, lr: float) -> None:
        """Advance by the frames of a global step."""
        if self.bar is not None:
            self.bar.update(frames)
            if loss is not None:
                self.bar.set_postfix(loss=f"{loss:.4f}", lr=f"{lr:.2e}", refresh=False)

    def end_epoch(self) -> None:
        """Remove the bar."""
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
