"""Rates that fall when the dev loss stands still; `plateau` and `newbob` are such, with other defaults.

After each epoch the gain is (best - loss) / |best|, of the dev loss that was least before it. Once an epoch gains less
than ``min_gain`` the rate falls by ``factor``, and from then on after each epoch, or after such epochs alone.
"""

import math
from dataclasses import dataclass

from asrpar.rules import fraction, not_negative
from asrpar.train.schedules.common import Verdict, WarmUp, WarmUpSchedule


@dataclass
class WatchSettings(WarmUp):
    """Settings of schedules that watch the dev loss, those of all schedules and:

    Attributes:
        warmup: as elsewhere; the first epoch that ends after it is the first one that can lower the rate.
        factor: what the rate is multiplied by.
        min_gain: relative gain in dev loss that an epoch must bring, or the rate falls.
        each_epoch: once it has fallen, let it fall after each epoch; false: only after those that gain too little.
        hold: epochs after which the rate stays what it is, whatever the dev loss is.
        rollback: after an epoch whose dev loss is no lower than the best one before it, go on from the best model, with
            the state that learners and strategy had there.
        stop_gain: end the training where the rate has fallen before and an epoch gains less than that; 0 for never.
    """

    warmup: float = 0.0
    factor: float = 0.5
    min_gain: float = 0.01
    each_epoch: bool = True
    hold: int = 0
    rollback: bool = False
    stop_gain: float = 0.0

    def validate(self) -> None:
        super().validate()
        fraction(self, "factor", "min_gain", "stop_gain")
        not_negative(self, "hold")


class WatchingSchedule(WarmUpSchedule):
    """Falls when it has to.

    Attributes:
        scale: the rate as a fraction of the peak.
        falling: whether it has fallen.
        least: dev loss so far, without epochs that were rolled back.
    """

    watches = True
    settings: WatchSettings

    def __init__(self, settings: WatchSettings, peak: float, frames_per_epoch: float, epochs: int) -> None:
        super().__init__(settings, peak, frames_per_epoch, epochs)
        self.scale, self.falling, self.least = 1.0, False, math.inf

    def after(self, progress: float, frames: float) -> float:
        return self.scale

    def epoch_ended(self, epoch: int, dev_loss: float, frames: float) -> Verdict:
        s, better = self.settings, dev_loss < self.least  # NaN is not
        gain = self.gain(dev_loss)
        self.least = dev_loss if better else self.least
        # In the warm-up the rate is no measure of what an epoch can bring.
        if epoch <= s.hold or self.progress(frames) < s.warmup:
            return Verdict(best=better and s.rollback)
        over = self.falling and gain < s.stop_gain
        lower = gain < s.min_gain
        self.falling = self.falling or lower
        if lower or (self.falling and s.each_epoch):
            self.scale *= s.factor
        known = math.isfinite(self.least)
        return Verdict(best=better and s.rollback, back=s.rollback and not better and known, over=over)

    def gain(self, dev_loss: float) -> float:
        """What an epoch has brought, of the best loss before; infinite for the first epoch, negative for none."""
        if math.isinf(self.least):
            return math.inf
        return (self.least - dev_loss) / max(abs(self.least), 1e-12) if math.isfinite(dev_loss) else -math.inf

    def state_dict(self) -> dict[str, float]:
        return {"scale": self.scale, "falling": self.falling, "least": self.least}

    def load_state_dict(self, state: dict[str, float]) -> None:
        self.scale, self.falling, self.least = state["scale"], bool(state["falling"]), state["least"]
