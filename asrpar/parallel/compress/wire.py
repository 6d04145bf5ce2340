"""How vectors travel between learners: as they are, or compressed (see `asrpar.parallel.compress`)."""

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from asrpar.errors import ConfigError
from asrpar.parallel.comm import Comm
from asrpar.parallel.compress.codec import Codec
from asrpar.rules import not_negative


@dataclass
class WarmUp:
    """What all kinds of compression can be set to.

    Attributes:
        warmup_frames: sums, and what goes to a server and back, are not compressed before all learners together have
            seen so many frames.
    """

    warmup_frames: float = 0.0

    def validate(self) -> None:
        not_negative(self, "warmup_frames")


class Wire:
    """Vectors travel as they are. Compression derives from this class.

    A wire belongs to one group of learners and to one activity at a time: it keeps residuals and reuses its buffers.

    Attributes:
        carries_weights: whether `pack` and `unpack` may be used; see `need_weights_wire`.
        residual: (P,) what was held back of this learner's vectors and is to be added to the next; of sums over frames,
            as a mean over them; None if nothing is.
        momentum: of momentum correction, which makes a sum of gradients one of velocities.
        warming: whether vectors travel as they are for now.
    """

    carries_weights: ClassVar[bool] = True
    residual: Tensor | None = None
    momentum: float = 0.0
    warming = False

    @property
    def method(self) -> str:
        """Its name in the settings, which is that of a compression's file."""
        return "none" if type(self) is Wire else type(self).__module__.rpartition(".")[2]

    def allreduce(self, comm: Comm, x: Tensor, exact: int = 0, *, over_frames: bool = False) -> None:
        """Replace ``x`` (P + exact,), in place, by its sum over all learners.

        Args:
            comm: the learners.
            x: what is added up. It must be of the nature of a gradient (a displacement), so that what a compression
                holds back now may be sent later.
            exact: so many last elements, such as counts of frames, travel without loss.
            over_frames: ``x`` is a sum over frames, their number is the first of the exact elements, and the sum of the
                one will be divided by that of the other. What is held back then is a part of the mean: in another sum,
                of n frames, it counts n times.
        """
        comm.allreduce(x)

    def pack(self, x: Tensor) -> Tensor:
        """``x`` (P,) as it is sent between two learners; valid until the next call. Only the type may change."""
        return x

    def buffer(self, x: Tensor) -> Tensor:
        """A new tensor into which a packed vector like ``x`` can be received."""
        return x.new_empty(x.shape)

    def unpack(self, packed: Tensor) -> Tensor:
        """What `pack` packed, in the type of the weights; valid until the same memory is unpacked again."""
        return packed

    def codec(self) -> Codec | None:
        """For messages to one other learner that are not `pack`ed; None if they travel as they are.

        Raises:
            ConfigError: if there can be none.
        """
        return None

    def belong(self, comm: Comm) -> None:
        """What is held back must be this learner's among those of ``comm``; what is not, is dropped."""

    def advance(self, frames: float) -> None:
        """``frames`` more have been seen by all learners: ends a warm-up without compression.

        All learners must have said the same when they next come to `allreduce`.
        """

    def forget(self) -> None:
        """Drop what is held back, for instance because the next vectors will be of another nature."""

    def state_dict(self) -> dict[str, Any]:
        """All that is needed to go on: residuals and counters."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore, in place."""


def need_weights_wire(wire: Wire, strategy: str) -> None:
    """For strategies that use `Wire.pack`: `ConfigError` unless weights can travel on this wire."""
    if not wire.carries_weights:
        raise ConfigError(
            f"strategy '{strategy}' sends whole vectors from one learner to another, which compression "
            f"'{wire.method}' cannot carry: set compression to none, bf16 or fp16"
        )


def need_plain_wire(wire: Wire, strategy: str, instead: str = "") -> None:
    """For strategies that do not use the wire: `ConfigError` if it compresses, which may say what to do ``instead``."""
    if wire.method != "none":
        raise ConfigError(
            f"strategy '{strategy}' has no compression, but compression is '{wire.method}': set it to none"
            + (f", {instead}" if instead else "")
        )
