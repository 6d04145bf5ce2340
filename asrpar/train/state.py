"""All that a run is made of at one moment: what a checkpoint of one rank holds, part by part."""

from pathlib import Path
from typing import Any, Protocol

import torch

from asrpar.errors import ConfigError
from asrpar.log import get_logger
from asrpar.train.identity import Identity, other_data

log = get_logger(__name__)


class Stateful(Protocol):
    """A part of a run that knows its own state."""

    def state_dict(self) -> dict[str, Any] | None:
        """Tensors and plain values; None if it has none."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""


class Machine:
    """Random numbers, and what they and the order of sums depend on.

    Args:
        device: that this learner computes on.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def state_dict(self) -> dict[str, Any]:
        """As it is now."""
        cuda = self.device.type == "cuda"
        return {
            "threads": torch.get_num_threads(),
            "device": self.device.type,
            "random": torch.get_rng_state(),
            "cuda_random": torch.cuda.get_rng_state(self.device) if cuda else None,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on with the same random numbers, and warn of another device or number of threads."""
        before, now = (state["device"], state["threads"]), (self.device.type, torch.get_num_threads())
        if before != now:
            log.warning("resuming on %s with %d threads what ran on %s with %d: last bits may differ", *now, *before)
        if state["random"] is not None:
            torch.set_rng_state(state["random"])
        if state["cuda_random"] is not None and self.device.type == "cuda":
            torch.cuda.set_rng_state(state["cuda_random"], self.device)


def whole_state(parts: dict[str, Stateful]) -> dict[str, Any]:
    """Everything that this rank needs to go on as if nothing had happened."""
    return {name: part.state_dict() for name, part in parts.items()}


def restore(parts: dict[str, Stateful], state: dict[str, Any], learners: int) -> None:
    """Let ``parts`` go on, in their order, from a state of `whole_state`, which any version may have saved.

    Args:
        parts: of this rank.
        state: with ``learners``, how many saved it, and ``consensus``, what another number begins with.
        learners: how many there are now; not as many only at an epoch's end.
    """
    state = with_machine(state)
    if state["learners"] != learners:
        state = for_other_learners(state)
    for name, part in parts.items():
        # Earlier versions had fewer parts.
        if state.get(name) is not None:
            part.load_state_dict(state[name])


def with_machine(state: dict[str, Any]) -> dict[str, Any]:
    """A state in which the machine is a part; in the first format its values were parts of their own."""
    if "machine" in state:
        return state
    return state | {"machine": {name: state[name] for name in ("threads", "device", "random", "cuda_random")}}


def for_other_learners(state: dict[str, Any]) -> dict[str, Any]:
    """A state for another number of learners: the consensus of weights and averages, and what is nobody's own."""
    machine = state["machine"] | {"random": None, "cuda_random": None}
    found = of_consensus(state) | {"machine": machine, "timing": None}
    course = state.get("course")
    if course is not None and course["best"] is not None:
        found["course"] = course | {"best": of_consensus(course["best"])}
    return found


def of_consensus(state: dict[str, Any]) -> dict[str, Any]:
    """With the consensus in place of one learner's weights and average."""
    # Where learners held the same weights there is none; checkpoints of earlier versions do not have it either.
    if (mean := state.get("consensus")) is None:
        return state
    found = state | {"learner": state["learner"] | {"weights": mean["weights"]}}
    if state["ema"] is not None:
        found["ema"] = state["ema"] | {"mean": mean["ema"]}
    return found


def check_same_data(state: dict[str, Any], now: Identity, exp: Path, *, tell: bool) -> None:
    """Raise `ConfigError` unless the training in ``exp`` goes on with the data that it was begun with.

    Args:
        state: of a checkpoint, which may not say, as those of earlier versions.
        now: the data that are there.
        exp: folder of the experiment.
        tell: whether to warn where that is not known, as one rank does.
    """
    before = Identity.from_state(state.get("identity"))
    if before is None:
        if tell:
            log.warning(
                "the checkpoint, of an earlier version, does not say which data it is of: see that they are these"
            )
        return
    changed = before.other_data(now)
    if changed:
        raise ConfigError(other_data(exp, changed))
