"""The tables of a study: CSV for programs, Markdown and HTML for people."""

import csv
import io
from collections.abc import Callable, Sequence
from typing import Any

from asrpar.study.collect import Group, Interval, Run, largest_batches, speed_up, target, to_target
from asrpar.study.config import StudyConfig
from asrpar.study.grid import axes, column_of

Record = dict[str, Any]
Shown = Callable[[float], str]


def _plain(digits: int) -> Shown:
    return lambda v: f"{v:.{digits}f}"


def _bytes(value: float) -> str:
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value:.0f} B"


# name in CSV: (title, how it is shown)
COLUMNS: dict[str, tuple[str, Shown]] = {
    "dev_loss": ("dev loss", _plain(4)),
    "virtual_seconds": ("virtual s", lambda v: f"{v:.4g}"),
    "target_seconds": ("virtual s to target", lambda v: f"{v:.4g}"),
    "target_frames": ("frames to target", lambda v: f"{v:,.0f}"),
    "speed_up": ("speed-up", _plain(2)),
    "efficiency": ("efficiency", _plain(2)),
    "bytes_sent": ("sent", _bytes),
    "exposed_share": ("exposed communication", lambda v: f"{100 * v:.1f} %"),
    "staleness_mean": ("staleness", _plain(2)),
    "staleness_max": ("greatest staleness", _plain(0)),
    "consensus_distance": ("consensus distance", lambda v: f"{v:.3g}"),
    "wall_seconds": ("wall s", _plain(0)),
}
# What the two kinds of rows begin with, besides the axes.
BEFORE, AFTER = ("dev_loss",), tuple(name for name in COLUMNS if name != "dev_loss")


def run_records(study: StudyConfig, runs: Sequence[Run], groups: Sequence[Group]) -> list[Record]:
    """One for each finished cell, all values plain."""
    by_labels = {group.cell.group: group for group in groups}
    records = []
    for run in runs:
        one = Group(by_labels[run.cell.group].labels, [run], reference=by_labels[run.cell.group].reference)
        record: Record = {"cell": run.cell.name, **_settings(one)}
        records.append(record | {"seed": run.cell.config.seed} | _numbers(study, one))
    return records


def group_records(study: StudyConfig, groups: Sequence[Group]) -> list[Record]:
    """One for each group, with the ends of its intervals."""
    records = []
    for group in groups:
        record: Record = {**_settings(group), "seeds": len(group.runs), "seeds_wanted": group.wanted}
        records.append(record | _numbers(study, group))
    return records


def _settings(group: Group) -> Record:
    cell = group.cell
    first = {
        "strategy": group.labels.get("strategy", cell.config.strategy),
        "learners": cell.learners,
        "global_batch": cell.global_batch,
        "straggler": group.labels.get("straggler", ""),
        "ema": cell.config.ema.enabled,
    }
    return first | {a: v for a, v in group.labels.items() if a not in ("strategy", "learners", "straggler", "ema")}


def _numbers(study: StudyConfig, group: Group) -> Record:
    record: Record = {"dev_loss": group.mean("dev_loss")}
    record["dev_loss_low"], record["dev_loss_high"] = _ends(group.interval("dev_loss"))
    for name in [study.data.dev, *study.data.tests] if study.decode else []:
        words = group.words(name)
        record[f"{name}_wer"] = words.rate if words else None
        record[f"{name}_wer_low"], record[f"{name}_wer_high"] = _ends(words.interval() if words else None)
    both = speed_up(group) or (None, None)
    record |= {
        name: group.mean(name) for name in AFTER if not name.startswith("target") and name in group.runs[0].numbers
    }
    if group.values("staleness_max"):
        record["staleness_max"] = max(group.values("staleness_max"))
    record["speed_up"], record["efficiency"] = both
    loss = target(study, group)
    if loss is not None:
        reached = [to_target(run, loss) for run in group.runs]
        if all(reached):
            record["target_frames"] = sum(r[0] for r in reached) / len(reached)
            record["target_seconds"] = sum(r[1] for r in reached) / len(reached)
    return record


def _ends(interval: Interval | None) -> tuple[float | None, float | None]:
    return interval if interval is not None else (None, None)


def csv_text(records: Sequence[Record]) -> str:
    """All records, with the columns of any of them."""
    names = list(dict.fromkeys(name for record in records for name in record))
    out = io.StringIO()
    writer = csv.DictWriter(out, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows([{k: "" if v is None else v for k, v in record.items()} for record in records])
    return out.getvalue()


def shown(study: StudyConfig, records: Sequence[Record]) -> list[list[str]]:
    """A header and rows for people: intervals beside their means, no column that says nothing or always the same."""
    if not records:
        return []
    axis_names = [a for a in axes(study) if a not in ("strategy", "learners", "batch", "straggler", "ema", "seed")]
    columns: list[tuple[str, Callable[[Record], str]]] = [
        ("strategy", lambda r: str(r["strategy"])),
        ("learners", lambda r: str(r["learners"])),
        ("global batch", lambda r: f"{r['global_batch']:,}"),
        ("straggler", lambda r: "" if r["straggler"] in ("", "1") else f"×{r['straggler']}"),
        (column_of("ema"), lambda r: "yes" if r["ema"] else "no"),
        *((column_of(a), lambda r, a=a: str(r.get(a, ""))) for a in axis_names),
    ]
    if "seed" in records[0]:
        columns.append(("seed", lambda r: str(r["seed"])))
    if "seeds" in records[0]:
        columns.append(("seeds", _seeds))
    columns.append(("dev loss", lambda r: _with_interval(r, "dev_loss", _plain(4))))
    for name in [study.data.dev, *study.data.tests] if study.decode else []:
        columns.append((f"{name} WER %", lambda r, name=name: _with_interval(r, f"{name}_wer", _plain(2))))
    for name in AFTER:
        title, show = COLUMNS[name]
        columns.append((title, lambda r, name=name, show=show: "" if r.get(name) is None else show(r[name])))
    kept = [(title, cell) for title, cell in columns if any(cell(record) for record in records)]
    return [[title for title, _ in kept], *([cell(record) or "–" for _, cell in kept] for record in records)]


def _seeds(record: Record) -> str:
    have, wanted = record["seeds"], record["seeds_wanted"]
    return str(have) if have == wanted else f"{have} of {wanted}"


def _with_interval(record: Record, name: str, show: Shown) -> str:
    if record.get(name) is None:
        return ""
    if record.get(f"{name}_low") is None:
        return show(record[name])
    return f"{show(record[name])} ({show(record[f'{name}_low'])} to {show(record[f'{name}_high'])})"


def findings(study: StudyConfig, groups: Sequence[Group]) -> list[str]:
    """What the margin says, in sentences."""
    lines = []
    for labels, best in largest_batches(study, groups):
        what = ", ".join(f"{column_of(a)} {v}" if a != "strategy" else v for a, v in labels.items())
        if best is None:
            lines.append(f"{what}: no batch of the grid is within {100 * study.margin:g} % of the reference")
            continue
        loss, limit = best.mean("dev_loss"), target(study, best)
        lines.append(
            f"{what}: up to a global batch of {best.cell.global_batch:,} (dev loss {loss:.4f}, limit {limit:.4f}, "
            f"{100 * study.margin:g} % above the reference)"
        )
    return lines


def markdown(study: StudyConfig, groups: list[list[str]], runs: list[list[str]], said: Sequence[str]) -> str:
    """Both tables, with what was found between them."""
    from asrpar.score.compare import markdown_table

    lines = [f"# {study.title}", ""]
    if study.question:
        lines += [" ".join(study.question.split()), ""]
    lines += [
        "Seconds, speed-up and efficiency are those of the virtual cluster. Intervals are 95 %: Student's t over",
        "",
    ]
    lines[-2] += (
        " seeds for losses, bootstrap over utterances with the errors of all seeds pooled for word error rates."
    )
    lines += [*(f"- {line}" for line in said), ""] if said else []
    lines += ["## Means over seeds", "", *markdown_table(groups), "", "## Cells", "", *markdown_table(runs)]
    return "\n".join(lines) + "\n"
