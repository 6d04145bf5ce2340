"""Models of single epochs, kept beside the final one, and their average.

The mean of the weights of a training's last or best epochs is often a little better than each of them, and costs
nothing: users of icefall and WeNet take it as a matter of course.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from asrpar.errors import DataError, MissingInputError
from asrpar.files.paths import entries, naming
from asrpar.parallel.rank_files import load_saved
from asrpar.train.model_io import save_atomically

FOLDER = "epochs"


def epoch_name(epoch: int) -> str:
    """Of an epoch's model, within the experiment."""
    return f"{FOLDER}/epoch-{epoch:04d}.pt"


def epoch_models(exp: Path) -> dict[int, Path]:
    """The models that are kept, by epoch."""
    named = ((re.fullmatch(r"epoch-(\d+)\.pt", path.name), path) for path in entries(exp / FOLDER, "epoch-*.pt"))
    return dict(sorted((int(match[1]), path) for match, path in named if match))


def drop(exp: Path, *, keep: int | None = None, after: int | None = None) -> None:
    """Remove all but the newest ``keep``, or those of epochs ``after`` one that is to be trained anew."""
    found = epoch_models(exp)
    epochs = list(found)
    gone = [e for e in epochs if after is not None and e > after]
    if keep is not None:
        gone += epochs[: max(0, len(epochs) - keep)]
    for epoch in gone:
        found[epoch].unlink(missing_ok=True)


def average_models(paths: Sequence[Path]) -> dict[str, Any]:
    """What a model file holds, with the mean of the weights of all of ``paths`` (float64 sums).

    All but weights and notes is that of the last one, and must be that of all: model and settings, classes, features.

    Raises:
        DataError: models that do not go together, or files that hold none.
    """
    first = last = read_model(paths[0])
    sums = {name: tensor.double() for name, tensor in first["weights"].items()}
    for path in paths[1:]:
        last = read_model(path)
        if differing := differences(first, last):
            raise DataError(f"{path} and {paths[0]} are models of different kinds: they differ in {differing}")
        for name, tensor in last["weights"].items():
            sums[name] += tensor.double()
    kinds = {name: tensor.dtype for name, tensor in last["weights"].items()}
    mean = {name: _as(total / len(paths), kinds[name]) for name, total in sums.items()}
    return last | {"weights": mean, "notes": last["notes"] | {"average_of": [path.name for path in paths]}}


def write_average(paths: Sequence[Path], target: Path) -> None:
    """Write `average_models` of ``paths``, which `asrpar decode --model` takes; the whole file or none."""
    value = average_models(paths)
    target.parent.mkdir(parents=True, exist_ok=True)
    save_atomically(value, target)


def is_average(path: Path) -> bool:
    """Whether a file is one of `write_average`."""
    try:
        return "average_of" in read_model(path)["notes"]
    except DataError:
        return False


def chosen_epochs(exp: Path, *, epochs: Sequence[int] = (), last: int = 0, best: int = 0) -> list[int]:
    """Which epochs are meant, in their order: those given, or so many of the last or the best (by dev loss) ones.

    Raises:
        MissingInputError: there are no such models.
    """
    kept = epoch_models(exp)
    if not kept:
        raise MissingInputError(
            f"{exp} keeps no models of epochs: train with --set checkpoint.keep_epochs=N (the newest N are kept)"
        )
    if missing := [epoch for epoch in epochs if epoch not in kept]:
        raise MissingInputError(
            f"{exp / epoch_name(missing[0])} is not there; models are kept of epochs {spans(list(kept))} "
            "(checkpoint.keep_epochs says of how many)"
        )
    if (count := last or best) > len(kept):
        raise MissingInputError(
            f"{count} epochs are asked for, and {exp} keeps models of {len(kept)}: {spans(list(kept))}"
        )
    if epochs:
        return sorted(epochs)
    if last:
        return list(kept)[-last:]
    losses = {epoch: read_model(path)["notes"]["dev_loss"] for epoch, path in kept.items()}
    # Of equal ones, and of those that are no number, the later.
    by_loss = sorted(kept, key=lambda epoch: (losses[epoch] if losses[epoch] == losses[epoch] else torch.inf, -epoch))
    return sorted(by_loss[:best])


def spans(epochs: Sequence[int]) -> str:
    """``3, 5-7``."""
    runs: list[list[int]] = []
    for epoch in epochs:
        if runs and epoch == runs[-1][-1] + 1:
            runs[-1].append(epoch)
        else:
            runs.append([epoch])
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


def read_model(path: Path) -> dict[str, Any]:
    """What a model file of this version holds. Raises `DataError` if it is none."""
    with naming(path):
        saved = load_saved(path)
    if not isinstance(saved, dict) or not isinstance(saved.get("weights"), dict) or "notes" not in saved:
        raise DataError(f"{path} is no acoustic model of asrpar, which final.pt of an experiment is")
    return saved


def differences(first: dict[str, Any], other: dict[str, Any]) -> str:
    """In what two models differ besides their numbers; empty if in nothing."""
    names = sorted(first.keys() | other.keys())
    found = [n for n in names if n not in ("weights", "notes") and not same(first.get(n), other.get(n))]
    shapes = [{name: tensor.shape for name, tensor in m["weights"].items()} for m in (first, other)]
    return ", ".join(found + (["layers"] if shapes[0] != shapes[1] else []))


def same(a: Any, b: Any) -> bool:
    """Whether nested values with tensors are equal."""
    if isinstance(a, Tensor) or isinstance(b, Tensor):
        return isinstance(a, Tensor) and isinstance(b, Tensor) and torch.equal(a, b)
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    return a == b


def _as(mean: Tensor, kind: torch.dtype) -> Tensor:
    return mean.to(kind) if kind.is_floating_point else mean.round().to(kind)
