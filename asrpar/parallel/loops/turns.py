"""A strategy's step and the body of somebody's loop, one after the other, though neither calls the other.

A strategy asks its learner for a gradient in the middle of its step; in a training loop a gradient is there in the
middle of the loop's body. So the step runs in a greenlet: where it asks, the loop goes on, and where the loop has its
gradient, the step does. Both are in one thread, and one of them stands still.
"""

from collections.abc import Callable

from greenlet import error as GreenletError
from greenlet import getcurrent, greenlet

from asrpar.errors import TrainingError


class Turns:
    """Of one learner."""

    def __init__(self) -> None:
        self.step: greenlet | None = None

    @property
    def open(self) -> bool:
        """Whether a step waits for the loop's gradient."""
        return self.step is not None

    def begin(self, step: Callable[[], bool]) -> None:
        """Run a step up to where it asks for the gradient."""
        self.step = greenlet(step)
        # On a virtual cluster the loop is an activity, and so is its step.
        self.step.__dict__.update(getcurrent().__dict__)
        self._switch()
        if not self.open:
            raise TrainingError("the strategy took a step without a gradient")

    def ask(self) -> float:
        """Called within a step: let the loop go on; returns what `end` is given."""
        return self.step.parent.switch()

    def end(self, frames: float) -> bool:
        """Let the step go on with the gradient of so many frames, to its end; returns what it returns."""
        return self._switch(frames)

    def _switch(self, *frames: float) -> bool:
        step = self.step
        try:
            result = step.switch(*frames)
        except GreenletError as e:
            raise TrainingError("a step was begun in one thread and ended in another: keep the loop in one") from e
        finally:
            if step.dead:
                self.step = None
        return result
