"""Curves of single trainings, as they are in experiments' folders: finished, stopped, or still running."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from asrpar.errors import DataError, MissingInputError
from asrpar.files.json_files import read_json
from asrpar.files.paths import entries, naming
from asrpar.parallel.rank_files import load_saved
from asrpar.study.style import COLOURS, MARKERS, grid_of, legend

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# What can be against what: the history's name, and what stands at the axis.
AGAINST = {
    "epochs": ("epoch", "epochs"),
    "frames": ("frames", "frames seen by all learners"),
    "seconds": ("seconds", "seconds of training"),
}
# Quantities of a panel, by their line style, its title, and whether it is logarithmic.
PANELS = (
    ({"dev_loss": "-", "train_loss": ":"}, "loss (nats a frame): dev, and training dotted", False),
    ({"dev_error_rate": "-"}, "errors on dev (%)", False),
    ({"lr": "-"}, "learning rate", False),
    ({"frames_per_second": "-"}, "frames per second", False),
    ({"staleness": "-"}, "staleness (updates)", False),
    ({"consensus_distance": "-"}, "consensus distance", True),
)


@dataclass(frozen=True)
class Training:
    """What is drawn of a training.

    Attributes:
        label: in the legend.
        history: what was told of each epoch, see `asrpar.train.report.epoch_values`.
    """

    label: str
    history: list[dict[str, float]]


def load_trainings(folders: Sequence[Path]) -> list[Training]:
    """Trainings by their folders' names, where these are different, else by their paths.

    Raises:
        MissingInputError: no experiment, or none that has ended an epoch.
        DataError: files that hold no history.
    """
    folders = list(dict.fromkeys(folders))
    names = Counter(folder.resolve().name for folder in folders)
    found = []
    for folder in folders:
        name = folder.resolve().name
        found.append(Training(name if names[name] == 1 else str(folder), history_of(folder)))
    return found


def history_of(exp: Path) -> list[dict[str, float]]:
    """Of ``train.json``, which a training has that has ended or was stopped, else of its newest checkpoint."""
    if not exp.is_dir():
        raise MissingInputError(f"there is no experiment {exp}")
    summary, checkpoints = exp / "train.json", entries(exp / "checkpoints", "epoch-*")
    checkpoints = [path for path in checkpoints if (path / "rank-0.pt").exists()]
    if summary.exists():
        found = read_json(summary).get("history")
    elif checkpoints:
        with naming(checkpoints[-1]):
            found = load_saved(checkpoints[-1] / "rank-0.pt").get("position", {}).get("history")
    else:
        found = []
    if not isinstance(found, list) or not all(isinstance(epoch, dict) and "epoch" in epoch for epoch in found):
        raise DataError(f"{exp} holds no history of a training")
    if not found:
        raise MissingInputError(f"{exp} has no epoch that has ended: train first (asrpar train, stage 6)")
    return found


def curves(trainings: Sequence[Training], against: str) -> "Figure":
    """A panel for each quantity that one of the trainings has, along ``epochs``, ``frames`` or ``seconds``."""
    x, axis = AGAINST[against]
    shown = [panel for panel in PANELS if any(_series(t, x, y) for t in trainings for y in panel[0])]
    figure, pairs = grid_of(len(shown), same_y=False)
    for (quantities, title, logarithmic), ax in zip(shown, pairs, strict=True):
        for number, training in enumerate(trainings):
            look = {"color": COLOURS[number % len(COLOURS)], "marker": MARKERS[number % len(MARKERS)]}
            for quantity, line in quantities.items():
                points = _series(training, x, quantity)
                if not points:
                    continue
                main = line == "-"
                style = look | {"linestyle": line} | ({"label": training.label} if main else {"marker": ""})
                ax.plot(*zip(*points, strict=True), **style)
                if main:
                    _taken_back(ax, training, x, quantity, look["color"])
        ax.set(title=title, xlabel=axis)
        ax.set_yscale("log" if logarithmic else "linear")
        if not logarithmic and "lr" not in quantities and not quantities.keys() & {"dev_loss"}:
            ax.set_ylim(bottom=0)
        if against == "epochs":
            ax.xaxis.get_major_locator().set_params(integer=True)
    legend(figure, pairs)
    return figure


def _series(training: Training, x: str, y: str) -> list[tuple[float, float]]:
    """The epochs for which there is a number."""
    found = [(epoch[x], epoch.get(y)) for epoch in training.history]
    return [(at, value) for at, value in found if value is not None and math.isfinite(value)]


def _taken_back(ax: "Axes", training: Training, x: str, y: str, colour: str) -> None:
    """Rings around the epochs that a schedule has taken back."""
    back = [(epoch[x], epoch[y]) for epoch in training.history if "back_to" in epoch and epoch.get(y) is not None]
    if back:
        xs, ys = zip(*back, strict=True)
        ax.plot(xs, ys, linestyle="", marker="o", markersize=9, markerfacecolor="none", markeredgecolor=colour)
