"""How long a training may stand still: a time-out that it learns from itself.

A step takes milliseconds in one run and minutes in another, so no one time-out serves both. This one is a multiple of
the 99th percentile of the times between two signs of progress, and of the longest one that ended by itself. It is
trusted once there were enough of them, and once a checkpoint has been written: by then the run has done whatever it
does, dev sets too.
"""

import math
from collections import deque

# Seconds until something has been learned; and the least, for a file system may be away for a while.
FIRST, LEAST = 600.0, 60.0
# Times that are looked at, at most and at least.
KEPT, ENOUGH = 1000, 100
# So many times the percentile, and the longest.
USUAL, LONGEST = 20.0, 3.0


class Patience:
    """The time-out of one learner.

    Args:
        fixed: seconds, where somebody has chosen them (0 for no end); None to learn.
    """

    def __init__(self, fixed: float | None) -> None:
        self.fixed = fixed
        self.times: deque[float] = deque(maxlen=KEPT)
        self.longest, self.saved = 0.0, False
        self.seconds = FIRST if fixed is None else fixed

    @property
    def least(self) -> float:
        """Seconds that no learner's time-out is below, also where each has learned its own."""
        return LEAST if self.fixed is None else self.fixed

    def learn(self, idle: float) -> None:
        """The learner has come on after ``idle`` seconds."""
        if self.fixed is not None:
            return
        self.times.append(idle)
        self.longest = max(self.longest, idle)
        if self.saved and len(self.times) >= ENOUGH:
            usual = sorted(self.times)[math.ceil(0.99 * len(self.times)) - 1]
            self.seconds = float(math.ceil(max(LEAST, USUAL * usual, LONGEST * self.longest)))
