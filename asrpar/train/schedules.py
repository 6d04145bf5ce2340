"""Learning rates as functions of the frames seen by all learners, so that N does not change their meaning."""

import math

from asrpar.train.config import ScheduleConfig


def learning_rate(config: ScheduleConfig, peak: float, frames: float, frames_per_epoch: float, epochs: int) -> float:
    """The rate for the next step.

    Args:
        config: the schedule.
        peak: highest rate.
        frames: seen so far, by all learners.
        frames_per_epoch: of the whole training set.
        epochs: that the schedule is laid out for.
    """
    progress = min(frames / (frames_per_epoch * epochs), 1.0)
    if progress < config.warmup:
        return peak * (config.start + (1.0 - config.start) * progress / config.warmup)
    if config.name == "constant":
        return peak
    if config.name == "exponential":
        return peak * config.decay ** max(0, int(frames / frames_per_epoch - config.warmup * epochs))
    after = (progress - config.warmup) / max(1.0 - config.warmup, 1e-9)
    return peak * (config.final + (1.0 - config.final) * 0.5 * (1.0 + math.cos(math.pi * after)))
