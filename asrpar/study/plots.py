"""The plots of a study, from its groups."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from asrpar.study.collect import Group, Interval, Run, speed_up, target
from asrpar.study.config import StudyConfig
from asrpar.study.grid import Value, axes, column_of
from asrpar.study.style import REFERENCE, grid_of, legend, log_seconds, look, panels, x_axis_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# What is so many times the best is off the chart, so that it does not flatten the others.
OFF_CHART = 4.0
BEYOND = f" Values above {OFF_CHART:g} times the best are beyond the edge."
# Of a histogram, the last class is open.
CLASSES = 16
# What YAML calls true and false, for people, as in the tables.
ANSWERS = {"true": "yes", "false": "no"}

Known = dict[str, list[Value]]


@dataclass
class Plot:
    """A figure with its file name and its caption."""

    name: str
    caption: str
    figure: "Figure"


def all_plots(study: StudyConfig, groups: Sequence[Group]) -> list[Plot]:
    """Every plot for which there are data."""
    known = axes(study)
    made = [
        _curves(known, groups, "frames", "dev_loss"),
        _curves(known, groups, "seconds", "dev_loss"),
        *(_rates(known, groups, name) for name in ([study.data.dev, *study.data.tests] if study.decode else [])),
        _losses(study, known, groups),
        _speed(known, groups),
        _staleness(known, groups),
        _curves(known, groups, "frames", "consensus_distance"),
    ]
    return [plot for plot in made if plot is not None]


def _series(runs: Sequence[Run], x: str, y: str) -> list[tuple[float, float, float, float]]:
    """(x, mean, least, greatest) of each epoch that all runs have."""
    points = []
    for epochs in zip(*(run.history for run in runs), strict=False):
        values = [epoch.get(y) for epoch in epochs]
        if None not in values:
            x_mean = statistics.fmean(epoch[x] for epoch in epochs)
            points.append((x_mean, statistics.fmean(values), min(values), max(values)))
    return points


def _curves(known: Known, groups: Sequence[Group], x: str, y: str) -> Plot | None:
    """A quantity of the history against frames or virtual time."""
    found = panels(known, groups, None)
    figure, pairs = grid_of(len(found))
    lowest, drawn = float("inf"), False
    for panel, ax in zip(found, pairs, strict=True):
        lines = [
            (name, look(known, name), [r for g in members for r in g.runs]) for name, members in panel.curves.items()
        ]
        if panel.reference is not None:
            lines.append(("reference", {"color": REFERENCE, "linestyle": "--"}, panel.reference.runs))
        for label, style, runs in lines:
            points = _series(runs, x, y)
            if not points:
                continue
            xs, means, lows, highs = zip(*points, strict=True)
            ax.plot(xs, means, label=label, **style)
            if len(runs) > 1:
                ax.fill_between(xs, lows, highs, color=style["color"], alpha=0.15, linewidth=0)
            lowest, drawn = min(lowest, *means), True
        ax.set(title=panel.title, xlabel="frames seen by all learners" if x == "frames" else "virtual seconds")
        ax.set_yscale("log" if y == "consensus_distance" else "linear")
        # The single learner takes many times as long as the others.
        if x == "seconds":
            log_seconds(ax)
    if not drawn:
        return None
    title = {"dev_loss": "dev loss (nats a frame)", "consensus_distance": "consensus distance"}[y]
    figure.supylabel(title, fontsize="medium")
    if y == "dev_loss":
        _near(pairs, [lowest])
    legend(figure, pairs)
    against = "frames" if x == "frames" else "virtual time"
    bands = "Means over seeds; bands reach from the least to the greatest."
    what = {
        "dev_loss": f"Dev loss against {against}." + BEYOND,
        "consensus_distance": "Mean distance of a learner from the mean of all, relative to the mean's norm, over each "
        "epoch.",
    }[y]
    return Plot(f"{y}_{x}".replace("seconds", "virtual_time"), f"{what} {bands}", figure)


def _points(
    known: Known,
    groups: Sequence[Group],
    value: Callable[[Group], tuple[float, Interval | None] | None],
    x_axis: str | None,
    after: Callable[["Axes", list[Group]], None] | None = None,
) -> tuple["Figure", list["Axes"]] | None:
    """A value with its interval along an axis of the grid; None if no group has it."""
    found = panels(known, groups, x_axis)
    figure, pairs = grid_of(len(found))
    drawn = False
    for panel, ax in zip(found, pairs, strict=True):
        members = [g for curve in panel.curves.values() for g in curve]
        labels = (
            [v.label for v in known[x_axis] if any(g.labels[x_axis] == v.label for g in members)] if x_axis else [""]
        )
        for at, (name, curve) in enumerate(panel.curves.items()):
            here = [(labels.index(g.labels[x_axis]) if x_axis else 0, v) for g in curve if (v := value(g)) is not None]
            if not here:
                continue
            drawn = True
            # Side by side, so that intervals do not hide each other.
            xs = [x + 0.06 * (at - (len(panel.curves) - 1) / 2) for x, _ in here]
            ys = [v for _, (v, _) in here]
            below = [v - i[0] if i else 0.0 for _, (v, i) in here]
            above = [i[1] - v if i else 0.0 for _, (v, i) in here]
            ax.errorbar(xs, ys, [below, above], label=name, capsize=2, **look(known, name))
        if panel.reference is not None:
            _reference(ax, [value(r) for r in _along(members, labels, x_axis)])
        if after is not None:
            after(ax, members)
        ax.set_xticks(range(len(labels)), [ANSWERS.get(label, label) for label in labels])
        ax.set(title=panel.title, xlabel="" if x_axis is None else column_of(x_axis))
    if not drawn:
        return None
    legend(figure, pairs)
    return figure, pairs


def _along(members: Sequence[Group], labels: Sequence[str], x_axis: str | None) -> list[Group]:
    """The reference at each place of an axis."""
    if x_axis is None:
        return [members[0].reference]
    return [next(g.reference for g in members if g.labels[x_axis] == label) for label in labels]


def _reference(ax: "Axes", found: Sequence[tuple[float, Interval | None] | None]) -> None:
    """Draw the reference: across, or from place to place if it is another one in each."""
    style = {"color": REFERENCE, "linestyle": "--", "label": "reference"}
    if None in found:
        return
    if len({v for v, _ in found}) > 1:
        ax.plot(range(len(found)), [v for v, _ in found], **style)
        return
    ax.axhline(found[0][0], **style)
    if found[0][1]:
        ax.axhspan(*found[0][1], color=REFERENCE, alpha=0.07, linewidth=0)


def _near(pairs: Sequence["Axes"], values: Sequence[float]) -> None:
    """Show what is near the best of the values."""
    best = max(min(values), 1e-9)
    for ax in pairs:
        low, high = ax.get_ylim()
        # An interval of few seeds may reach below zero, where no loss is.
        ax.set_ylim(max(0.0, min(low, 0.9 * best)), max(min(high, OFF_CHART * best), 1.1 * best))


def _against(axis: str | None) -> str:
    return "" if axis is None else f" against {column_of(axis)}"


def _rates(known: Known, groups: Sequence[Group], name: str) -> Plot | None:
    """Word error rate with its interval."""

    def value(group: Group) -> tuple[float, Interval | None] | None:
        words = group.words(name)
        return (words.rate, words.interval()) if words else None

    axis = x_axis_of(known, groups)
    made = _points(known, groups, value, axis)
    if made is None:
        return None
    _near(made[1], [words.rate for g in groups if (words := g.words(name))])
    made[0].supylabel(f"{name} WER (%)", fontsize="medium")
    caption = f"Word error rate of {name}{_against(axis)}, errors of all seeds pooled, with 95 % bootstrap intervals."
    return Plot(f"wer_{name}", caption + BEYOND, made[0])


def _losses(study: StudyConfig, known: Known, groups: Sequence[Group]) -> Plot | None:
    """Final dev loss along the batch, or along what the study varies, with the margin."""
    axis = (
        "batch"
        if len({g.labels["batch"] for g in groups if not g.is_reference} if "batch" in known else ()) > 1
        else None
    )
    axis = axis or x_axis_of(known, groups)

    def value(group: Group) -> tuple[float, Interval | None] | None:
        loss = group.mean("dev_loss")
        return (loss, group.interval("dev_loss")) if loss is not None else None

    def margin(ax: "Axes", members: list[Group]) -> None:
        limits = [loss for g in members if (loss := target(study, g)) is not None]
        if limits:
            ax.axhline(limits[0], color=REFERENCE, linestyle=":", label=f"reference + {100 * study.margin:g} %")

    made = _points(known, groups, value, axis, margin)
    if made is None:
        return None
    losses = [loss for g in groups if (loss := g.mean("dev_loss")) is not None]
    _near(made[1], losses)
    made[0].supylabel("final dev loss (nats a frame)", fontsize="medium")
    caption = f"Dev loss of the final model{_against(axis)}, with 95 % t-intervals over seeds." + BEYOND
    return Plot("dev_loss_batch" if axis == "batch" else "dev_loss_final", caption, made[0])


def _speed(known: Known, groups: Sequence[Group]) -> Plot | None:
    """Speed-up and efficiency against the number of learners."""
    own = [g for g in groups if not g.is_reference and speed_up(g) is not None]
    if not own or "learners" not in known:
        return None
    found = panels(known, own, "learners")
    figure, pairs = grid_of(2 * len(found), same_y=False, columns=2 if len(found) == 1 else 4)
    for panel, left, right in zip(found, pairs[::2], pairs[1::2], strict=True):
        for name, curve in panel.curves.items():
            points = sorted((g.cell.learners, *speed_up(g)) for g in curve)
            xs, speeds, fractions = zip(*points, strict=True)
            left.plot(xs, speeds, label=name, **look(known, name))
            right.plot(xs, fractions, **look(known, name))
        most = max(g.cell.learners for g in own)
        left.plot([1, most], [1, most], color=REFERENCE, linestyle=":", label="linear")
        ticks = sorted({g.cell.learners for g in own})
        for ax, title in ((left, "speed-up"), (right, "efficiency")):
            ax.set_xscale("log", base=2)
            ax.set_xticks(ticks, [str(n) for n in ticks])
            ax.set(title=panel.title, xlabel="learners", ylabel=title)
        left.set_yscale("log", base=2)
        left.set_yticks([1, *ticks], [str(n) for n in (1, *ticks)])
        right.set_ylim(0.0, max(1.05, right.get_ylim()[1]))
    legend(figure, pairs)
    caption = "Frames per virtual second over those of the reference, and that over the number of learners."
    return Plot("speed_up", caption, figure)


def _staleness(known: Known, groups: Sequence[Group]) -> Plot | None:
    """How stale the updates were."""
    stale = [g for g in groups if any(run.staleness for run in g.runs)]
    if not stale:
        return None
    found = panels(known, stale, None)
    figure, pairs = grid_of(len(found))
    for panel, ax in zip(found, pairs, strict=True):
        for at, (name, curve) in enumerate(panel.curves.items()):
            classes: dict[int, int] = {}
            for run in (run for g in curve for run in g.runs):
                for value, number in run.staleness.items():
                    classes[min(value, CLASSES)] = classes.get(min(value, CLASSES), 0) + number
            whole = sum(classes.values())
            width = 0.8 / len(panel.curves)
            places = [value + width * (at - (len(panel.curves) - 1) / 2) for value in sorted(classes)]
            fractions = [classes[value] / whole for value in sorted(classes)]
            ax.bar(places, fractions, width, label=name, color=look(known, name)["color"])
        ax.set(title=panel.title, xlabel="staleness (updates)")
        ax.xaxis.get_major_locator().set_params(integer=True)
    figure.supylabel("fraction of updates", fontsize="medium")
    legend(figure, pairs)
    return Plot("staleness", f"Histograms of staleness; the last class is {CLASSES} and more.", figure)
