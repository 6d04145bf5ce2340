"""Settings of compression, and the wire that they ask for."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Size, Tensor

from asrpar.config import check
from asrpar.errors import ConfigError
from asrpar.parallel.compress.wire import Wire
from asrpar.rules import below_one, need, not_negative, one_of

METHODS = ("none", "bf16", "fp16", "onebit", "threshold", "topk", "powersgd")


@dataclass
class CompressionConfig:
    """How vectors travel between learners.

    Attributes:
        method: ``none``; ``bf16`` or ``fp16``, for all that is sent; or, for sums of gradients and for what goes to a
            server and back, ``onebit``, ``threshold``, ``topk`` or (sums only) ``powersgd``, which keep back what they
            do not send and add it to the next, as a part of the mean gradient.
        warmup_frames: no compression of these until all learners together have seen so many frames.
        block: of ``onebit``, elements that share two reconstruction values; a multiple of 8.
        threshold: τ of ``threshold``: what passes it in magnitude is sent as ±τ. In the unit of what is summed: for
            gradients, the loss gradient summed over a learner's frames of a step (in one of fewer frames than the
            longest so far, τ is less in proportion); to a server and back, changes of the weights, which are smaller
            by the learning rate.
        density: of ``topk``, fraction of the elements sent, in (0, 1]. The paper goes down to 0.001.
        momentum: of ``topk``, m in [0, 1) of momentum correction, which takes the place of the local optimizer's
            momentum; 0 sends the largest elements of plain gradients.
        rank: r of ``powersgd``.
        seed: of ``powersgd``'s first matrices Q.
    """

    method: str = "none"
    warmup_frames: float = 0.0
    block: int = 1024
    threshold: float = 1.0
    density: float = 0.01
    momentum: float = 0.0
    rank: int = 4
    seed: int = 0

    def validate(self) -> None:
        """Refuse what no field's type can.

        Raises:
            ConfigError: with the key and what it may be.
        """
        one_of(self, "method", METHODS)
        not_negative(self, "warmup_frames", "seed")
        need(self, "block", self.block >= 8 and self.block % 8 == 0, "must be a multiple of 8")
        need(self, "threshold", self.threshold > 0, "must be greater than 0")
        need(self, "density", 0 < self.density <= 1, "is a fraction of the elements, above 0 and up to 1")
        below_one(self, "momentum")
        need(self, "rank", self.rank >= 1, "must be at least 1")
        if self.momentum and self.method != "topk":
            raise ConfigError(
                f"momentum is {self.momentum}, but method '{self.method}' has no momentum correction: set it to 0, or "
                "choose topk"
            )


def make_wire(config: CompressionConfig, shapes: Sequence[Size], like: Tensor) -> Wire:
    """The wire of one learner.

    Args:
        config: how vectors travel.
        shapes: of the parameters, in their order in the vectors.
        like: (P,) a vector of the kind to be sent: its length, type and device count.

    Raises:
        ConfigError: settings that cannot be used.
    """
    check(config, "compression.")
    match config.method:
        case "none":
            return Wire()
        case "bf16" | "fp16":
            from asrpar.parallel.compress.half import Bfloat16, Float16

            return (Bfloat16 if config.method == "bf16" else Float16)(config.warmup_frames, like)
        case "onebit":
            from asrpar.parallel.compress.onebit import OneBit

            return OneBit(config.block, config.warmup_frames, like)
        case "threshold":
            from asrpar.parallel.compress.threshold import Threshold

            return Threshold(config.threshold, config.warmup_frames, like)
        case "topk":
            from asrpar.parallel.compress.topk import TopK

            return TopK(config.density, config.momentum, config.warmup_frames, like)
        case _:
            from asrpar.parallel.compress.powersgd import PowerSgd

            return PowerSgd(config.rank, config.seed, config.warmup_frames, shapes, like)
