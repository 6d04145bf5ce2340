"""What would train nonsense, or wait for ever, is refused before the first step."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from asrpar.errors import ConfigError, TrainingError
from asrpar.parallel.comm import Comm

# Bytes of a tensor that are compared.
_LOOKED_AT = 1 << 20
# Wrappers that exchange gradients themselves.
_WRAPPERS = ("DistributedDataParallel", "DataParallel", "FullyShardedDataParallel", "FSDPModule", "DeepSpeedEngine")


def check_parts(model: Any, optimizer: Any) -> None:
    """Raise `ConfigError` unless a strategy can train the model with the optimizer."""
    if not isinstance(model, nn.Module):
        raise ConfigError(f"Parallel(model, optimizer, strategy): the model is a torch.nn.Module, not {_kind(model)}")
    for part in type(model).__mro__:
        if part.__name__ in _WRAPPERS:
            raise ConfigError(
                f"the model is wrapped in {part.__name__}, which exchanges gradients itself: give Parallel the model "
                "without it (model.module)"
            )
    if not isinstance(optimizer, torch.optim.Optimizer):
        raise ConfigError(
            f"Parallel(model, optimizer, strategy): the optimizer is a torch.optim.Optimizer, not {_kind(optimizer)}"
        )
    if isinstance(optimizer, torch.optim.LBFGS):
        raise ConfigError("LBFGS computes several gradients in a step: strategies need an optimizer that takes one")
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    if not trained:
        raise ConfigError("the model has no parameters that are trained (requires_grad)")
    kinds = {(p.dtype, p.device): name for name, p in trained.items()}
    if len(kinds) > 1:
        few = ", ".join(f"{name} ({dtype}, {device})" for (dtype, device), name in list(kinds.items())[:2])
        raise ConfigError(f"all parameters that are trained must have one type and one device: {few}")
    dtype = next(iter(kinds))[0]
    if dtype not in (torch.float32, torch.float64):
        raise ConfigError(
            f"the model's parameters are {dtype}: keep them in float32, and compute under torch.autocast instead"
        )
    own = {id(p) for p in trained.values()}
    others = [p for group in optimizer.param_groups for p in group["params"] if p.requires_grad and id(p) not in own]
    if others:
        raise ConfigError(
            f"the optimizer has {len(others)} tensors that are not the model's (the first has the shape "
            f"{tuple(others[0].shape)}): make it of model.parameters(), after the model has been moved or converted, "
            "and put what else is trained into the model"
        )


def check_number(value: Any, at_least: float, what: str) -> None:
    """Raise `ConfigError` unless the value is a number of at least ``at_least``; NaN is none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= at_least:
        raise ConfigError(f"{what} is {value!r}: expected a number of at least {at_least:g}")


def check_alike(comm: Comm, facts: dict[str, Any]) -> None:
    """Raise `ConfigError` on all learners unless all were made alike. Collective.

    Args:
        comm: the learners.
        facts: of this learner's, by what they are called.
    """
    everybody = comm.allgather_object(facts)
    for rank, other in enumerate(everybody):
        for what, value in everybody[0].items():
            if other[what] != value:
                raise ConfigError(
                    f"learner {rank} has another {what} than learner 0 ({_short(other[what])}, not {_short(value)}): "
                    "all learners run the same script with the same arguments"
                )


def check_rates(comm: Comm | None, rates: list[str]) -> None:
    """Raise `TrainingError` unless learners that hold the same weights step at the same rates. Collective.

    Args:
        comm: these learners; None where each has weights of its own.
        rates: of this one's optimizer.
    """
    if comm is None or comm.size == 1:
        return
    everybody = comm.allgather_object(rates)
    for rank, other in enumerate(everybody):
        for own, first in zip(other, everybody[0], strict=True):
            if own != first:
                raise TrainingError(
                    f"learner {rank} steps with {own}, learner 0 with {first}, and their weights would no longer be "
                    "the same: step a schedule equally often on all learners (once an epoch, or with shares of one "
                    "length), and by what is the same for all (parallel.total)"
                )


def check_shares(comm: Comm, batch: Any, learners: int) -> None:
    """Raise `TrainingError` on all learners if their first batches are the same, and with them all of their work.

    Collective.

    Args:
        comm: all ranks.
        batch: this rank's first; None if it has none.
        learners: the ranks that have batches, the first ones.
    """
    digests = comm.allgather_object(digest(batch))[:learners]
    if len(digests) > 1 and digests[0] and len(set(digests)) == 1:
        raise TrainingError(
            "all learners have the same first batch: give each its own share, such as parallel.share(batches), or "
            "num_replicas=parallel.learners and rank=parallel.rank of a sampler (shares=False says that it is meant so)"
        )


def digest(batch: Any) -> str:
    """The same for batches of the same numbers and texts; empty if there are none in it."""
    found = hashlib.sha256()
    leaves = 0
    for leaf in _leaves(batch):
        leaves += 1
        found.update(leaf)
    return found.hexdigest() if leaves else ""


def _leaves(value: Any, depth: int = 0) -> Iterator[bytes]:
    if isinstance(value, Tensor):
        if not value.is_sparse and value.layout == torch.strided:
            flat = value.detach().reshape(-1)[: _LOOKED_AT // max(value.element_size(), 1)].cpu()
            yield f"{tuple(value.shape)} {value.dtype} ".encode()
            yield flat.contiguous().view(torch.uint8).numpy().tobytes() if flat.numel() else b""
    elif isinstance(value, str | int | float):
        yield repr(value).encode()
    elif hasattr(value, "__array__") and not hasattr(value, "__dict__"):
        yield value.tobytes()[:_LOOKED_AT]
    elif isinstance(value, Mapping) and depth < 8:
        for key in value:
            yield from _leaves(value[key], depth + 1)
    elif isinstance(value, Sequence) and not isinstance(value, bytes) and depth < 8:
        for part in value:
            yield from _leaves(part, depth + 1)


def check_plain(value: Any, where: str) -> None:
    """Raise `ConfigError` unless a checkpoint can hold the value: tensors, numbers, texts, and collections of these."""
    if isinstance(value, dict):
        for key, part in value.items():
            check_plain(part, f"{where}.{key}")
    elif isinstance(value, list | tuple) and type(value) in (list, tuple):
        for number, part in enumerate(value):
            check_plain(part, f"{where}[{number}]")
    elif not (value is None or isinstance(value, Tensor) or type(value) in (bool, int, float, str)):
        raise ConfigError(
            f"{where} is {_kind(value)}, which no checkpoint can hold: save tensors, numbers and texts, such as what "
            "state_dict() gives"
        )


def _kind(value: Any) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
