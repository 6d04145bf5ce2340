"""The report of a study: tables, plots, and one HTML page with all of it that needs no other file."""

import base64
import html
import shlex
from collections.abc import Sequence
from pathlib import Path

from asrpar.files.json_files import read_json_if_any
from asrpar.files.replacing import replacing
from asrpar.study.collect import collect
from asrpar.study.config import StudyConfig
from asrpar.study.folder import CellFolder, Places
from asrpar.study.grid import axes
from asrpar.study.tables import csv_text, findings, group_records, markdown, run_records, shown

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 75rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
table { border-collapse: collapse; font-size: 0.85rem; }
.wide { overflow-x: auto; }
th, td { padding: 0.2rem 0.6rem; border-bottom: 1px solid #ddd; text-align: right; white-space: nowrap; }
th { border-bottom: 2px solid #666; } th:first-child, td:first-child { text-align: left; }
figure { margin: 1.5rem 0; } img { max-width: 100%; } figcaption { color: #555; font-size: 0.9rem; }
pre { background: #f5f5f5; padding: 0.7rem; overflow-x: auto; font-size: 0.85rem; }
.note { background: #fff6df; padding: 0.5rem 0.8rem; }
"""
MADE_WITH = ("asrpar", "python", "torch")
VIRTUAL = (
    "Time, speed-up, efficiency, bytes and shares of time on this page are those of a virtual cluster, whose "
    "description is below. Losses and word error rates are of models that were really trained. Wall seconds are of the "
    "machine that ran the study."
)
INTERVALS = (
    "Intervals are 95 %: Student's t over seeds for losses; for word error rates the bootstrap over utterances with "
    "the errors of all seeds pooled."
)


def write_report(
    study: StudyConfig, source: Path, folders: Sequence[CellFolder], failed: dict[str, str], output: Path
) -> list[Path]:
    """Write what the finished cells tell into ``output``; returns the files, none if no cell is finished.

    Args:
        study: checked settings.
        source: their file.
        folders: all cells.
        failed: what went wrong, by the name of the cell.
        output: made if it is not there.
    """
    from asrpar.study.plots import all_plots
    from asrpar.study.style import drawing, save
    from asrpar.study.timelines import timelines

    runs, groups, broken = collect(study, folders)
    if not runs:
        return []
    output.mkdir(parents=True, exist_ok=True)
    by_group, by_run = group_records(study, groups), run_records(study, runs, groups)
    said = findings(study, groups)
    group_rows, run_rows = shown(study, by_group), shown(study, by_run)
    paths = [
        _write(output / "groups.csv", csv_text(by_group)),
        _write(output / "cells.csv", csv_text(by_run)),
        _write(output / "results.md", markdown(study, group_rows, run_rows, said)),
    ]
    pictures = []
    with drawing():
        plots = all_plots(study, groups)
        traced = [run for folder in folders if folder.is_traced() for run in runs if run.cell is folder.cell]
        plots += filter(None, [timelines(traced, study.timelines.ranks, study.timelines.steps)])
        for plot in plots:
            saved = save(plot.figure, output, plot.name)
            paths += saved
            pictures.append((plot.caption, saved[-1]))
    missing = {f.cell.name: "not run yet" for f in folders if not f.finished()} | failed | broken
    page = _page(study, source, folders, (group_rows, run_rows), said, pictures, missing)
    return [*paths, _write(output / "report.html", page)]


def _write(path: Path, text: str) -> Path:
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path


def _page(
    study: StudyConfig,
    source: Path,
    folders: Sequence[CellFolder],
    tables: tuple[list[list[str]], list[list[str]]],
    said: Sequence[str],
    pictures: Sequence[tuple[str, Path]],
    missing: dict[str, str],
) -> str:
    done = len(folders) - len(missing)
    parts = [f"<h1>{_text(study.title)}</h1>"]
    parts += [f"<p>{_text(block)}</p>" for block in study.question.split("\n\n") if block.strip()]
    parts.append(f'<p class="note">{VIRTUAL}</p>')
    parts.append(f"<p>{done} of {len(folders)} cells are in this report. {INTERVALS}</p>")
    if said:
        parts.append("<h2>Within the margin</h2><ul>" + "".join(f"<li>{_text(line)}</li>" for line in said) + "</ul>")
    parts += ["<h2>Means over seeds</h2>", _table(tables[0]), "<h2>Plots</h2>"]
    parts += [_figure(caption, path) for caption, path in pictures]
    if missing:
        parts.append("<h2>Cells without a result</h2><ul>")
        parts += [f"<li><code>{_text(name)}</code>: {_text(why)}</li>" for name, why in missing.items()]
        parts.append("</ul>")
    parts += ["<h2>Cells</h2>", _table(tables[1]), "<h2>Settings</h2>", _settings(study, source)]
    parts += [_how(study, source, next(f for f in folders if f.finished()))]
    return (
        f'<!doctype html>\n<html lang="en">\n<head><meta charset="utf-8"><title>{_text(study.title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head>\n<body>\n'
        + "\n".join(parts)
        + "\n</body>\n</html>\n"
    )


def _text(value: str) -> str:
    return html.escape(" ".join(value.split()))


def _table(rows: list[list[str]]) -> str:
    header, *rest = rows
    lines = ["<tr>" + "".join(f"<th>{_text(c)}</th>" for c in header) + "</tr>"]
    lines += ["<tr>" + "".join(f"<td>{_text(c)}</td>" for c in row) + "</tr>" for row in rest]
    return '<div class="wide"><table>\n' + "\n".join(lines) + "\n</table></div>"


def _figure(caption: str, path: Path) -> str:
    data = base64.b64encode(path.read_bytes()).decode("ascii")
    image = f'<img alt="{_text(caption)}" src="data:image/svg+xml;base64,{data}">'
    return f"<figure>{image}<figcaption>{_text(caption)}</figcaption></figure>"


def _settings(study: StudyConfig, source: Path) -> str:
    lines = ["<p>The axes of the grid: "]
    lines.append(
        "; ".join(f"{_text(a)}: {_text(', '.join(v.label for v in values))}" for a, values in axes(study).items())
    )
    lines.append(f".</p>\n<p><code>{_text(source.name)}</code>, the study:</p>")
    lines.append(_file(source))
    for file in [*study.base.config, *study.decoding.config, *filter(None, [study.cluster.config])]:
        lines.append(f"<p><code>{_text(Path(file).name)}</code>, named there:</p>{_file(Path(file))}")
    return "".join(lines)


def _file(path: Path) -> str:
    return f"<pre>{html.escape(path.read_text(encoding='utf-8').rstrip())}</pre>"


def _how(study: StudyConfig, source: Path, finished: CellFolder) -> str:
    train = read_json_if_any(finished.path / "train.json")
    facts = train.get("versions") or {}
    versions = {name: str(v).split()[0] for name, v in facts.items() if v and name in MADE_WITH}
    # Without the folders of the machine that it ran on.
    data = study.data
    feats, lang, graph, ali = (Path("DATA") / name for name in (data.feats, data.lang, data.graph, data.ali))
    arguments = finished.training(Places(feats, lang, graph, None, ali if data.ali else None))
    known = {str(finished.path.parent): "EXP", f"{source.resolve().parent}/": ""}
    for path, name in known.items():
        arguments = [argument.replace(path, name) for argument in arguments]
    lines = ["<h2>How to make it again</h2>"]
    lines.append(f"<pre>asrpar study {_text(shlex.quote(source.name))} --data-dir DATA --exp-dir EXP --jobs 2</pre>")
    lines.append("<p>DATA holds what stages 1 to 5 of the recipe made. One cell by itself, such as the first:</p>")
    lines.append(f"<pre>{html.escape(shlex.join(['asrpar', *arguments]))}</pre>")
    cluster = finished.path / "cluster.yaml"
    if cluster.exists():
        name = _text(str(train.get("cluster") or ""))
        lines.append(f"<p>The virtual cluster of that cell, {name}:</p>{_file(cluster)}")
    made_with = ", ".join(f"{name} {version}" for name, version in versions.items())
    source_at = _text(str(train.get("git") or "an unknown commit"))
    on = f", on {_text(str(facts['CPU']))}" if facts.get("CPU") else ""
    lines.append(f"<p>Made with {_text(made_with)}{on}; source at {source_at}.</p>")
    return "".join(lines)
