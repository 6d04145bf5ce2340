"""How the plots of a study look, how their panels are laid out, and how they are saved."""

import contextlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asrpar.files.replacing import replacing
from asrpar.study.collect import Group
from asrpar.study.grid import Value, ordered, value_in_words

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito 2008: told apart also by people who see few colours; yellow is too pale for lines.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F3C8D", "#666666")
MARKERS = "osD^vPX*"
REFERENCE = "#222222"
WIDTH, HEIGHT = 4.2, 3.1
# More panels than this are a wall, not a figure.
MOST_PANELS = 24
SETTINGS = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "axes.titlesize": 9,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "lines.linewidth": 1.4,
    "lines.markersize": 4.5,
    "savefig.dpi": 120,
    # The same figure gives the same bytes.
    "svg.hashsalt": "asrpar",
}


@dataclass
class Panel:
    """A part of the groups, for one pair of axes.

    Attributes:
        title: what they share and other panels do not.
        curves: groups by the label of their curve; the reference is in none.
        reference: with whom they are compared.
    """

    title: str
    curves: dict[str, list[Group]]
    reference: Group | None


def panels(known: dict[str, list[Value]], groups: Sequence[Group], x_axis: str | None) -> list[Panel]:
    """Groups as panels: curves are strategies, ``x_axis`` is along them, all other axes that differ divide panels."""
    own = [group for group in groups if not group.is_reference] or list(groups)
    curve = curve_axis(known)
    dividing = [a for a in known if a not in (curve, x_axis, "seed") and len({g.labels[a] for g in own}) > 1]
    parts: dict[tuple[str, ...], list[Group]] = {}
    for group in own:
        parts.setdefault(tuple(group.labels[a] for a in dividing), []).append(group)
    places = [[value.label for value in known[a]] for a in dividing]
    in_order = sorted(parts.items(), key=lambda part: [p.index(v) for p, v in zip(places, part[0], strict=True)])
    found = []
    for labels, members in in_order[:MOST_PANELS]:
        names = ordered({g.labels[curve] for g in members}, known[curve]) if curve else ["all"]
        curves = {n: [g for g in members if not curve or g.labels[curve] == n] for n in names}
        title = ", ".join(value_in_words(a, v) for a, v in zip(dividing, labels, strict=True))
        reference = members[0].reference
        found.append(Panel(title, curves, None if reference in members else reference))
    return found


def curve_axis(known: dict[str, list[Value]]) -> str | None:
    """The axis whose values are curves: the strategy, or else the first that has several values."""
    if "strategy" in known:
        return "strategy"
    return next((a for a, values in known.items() if len(values) > 1 and a != "seed"), None)


def x_axis_of(known: dict[str, list[Value]], groups: Sequence[Group]) -> str | None:
    """The axis along which results are shown: learners if they differ, else the batch, else the last that differs."""
    own = [group for group in groups if not group.is_reference]
    varied = [a for a in known if a not in (curve_axis(known), "seed") and len({g.labels[a] for g in own}) > 1]
    return next((a for a in ("learners", "batch") if a in varied), varied[-1] if varied else None)


def look(known: dict[str, list[Value]], curve: str) -> dict[str, Any]:
    """Colour and marker of a curve, the same in all figures of a study."""
    axis = curve_axis(known)
    at = [value.label for value in known[axis]].index(curve) if axis else 0
    return {"color": COLOURS[at % len(COLOURS)], "marker": MARKERS[at % len(MARKERS)]}


@contextlib.contextmanager
def drawing() -> Iterator[None]:
    """Matplotlib without a display, with this module's look."""
    import matplotlib

    matplotlib.use("Agg")
    with matplotlib.rc_context(SETTINGS):
        yield


def grid_of(number: int, *, same_y: bool = True, columns: int = 3) -> tuple["Figure", list["Axes"]]:
    """A figure with ``number`` pairs of axes in rows of at most ``columns``."""
    from matplotlib.figure import Figure

    wide = min(number, columns)
    high = math.ceil(number / wide)
    figure = Figure(figsize=(max(WIDTH * wide, 5.5), HEIGHT * high + 0.5), layout="constrained")
    made = figure.subplots(high, wide, squeeze=False, sharey=same_y).ravel().tolist()
    for axes in made[number:]:
        axes.set_visible(False)
    return figure, made[:number]


def log_seconds(axes: "Axes") -> None:
    """A logarithmic axis of times, with 1, 2, 5, 10 ... written out."""
    from matplotlib.ticker import LogLocator, NullFormatter

    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())


def legend(figure: "Figure", pairs: Sequence["Axes"]) -> None:
    """One legend for all panels, below them."""
    found: dict[str, Any] = {}
    for axes in pairs:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    if found:
        figure.legend(
            found.values(), found.keys(), loc="outside lower center", ncols=max(1, int(figure.get_figwidth() / 1.7))
        )


def save(figure: "Figure", folder: Path, name: str) -> list[Path]:
    """Write ``name.png`` and ``name.svg``: the same figure, the same bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for suffix, about in (("png", {"Software": None}), ("svg", {"Date": None})):
        path = folder / f"{name}.{suffix}"
        with replacing(path) as temporary:
            figure.savefig(temporary, format=suffix, metadata=about)
        paths.append(path)
    return paths
