"""Who did what when: a picture of a few learners from the trace of a run."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median

from asrpar.study.collect import Run
from asrpar.study.plots import Plot
from asrpar.study.style import MOST_PANELS, grid_of, legend

# Spans of the learner's own thread, and what they are; all others are waiting for somebody.
KINDS = {"compute": "computing", "straggle": "computing", "apply": "local update", "data": "waiting for data"}
COLOURS = {
    "computing": "#0072B2",
    "local update": "#56B4E9",
    "waiting for data": "#CC79A7",
    "waiting for others": "#D55E00",
    "hidden communication": "#009E73",
}
# What an activity does that waits to be called.
IDLE = "wait"


@dataclass
class Span:
    """A stretch of virtual time, in seconds."""

    kind: str
    begin: float
    length: float


def read_trace(path: Path) -> list[Span]:
    """The spans of a learner, from a Chrome trace; also of one whose run was killed, which has no end."""
    text = path.read_text(encoding="utf-8").rstrip().rstrip(",")
    try:
        events = json.loads(text if text.endswith("]") else text + "]")
    except ValueError:
        return []
    spans = []
    for event in events:
        if event.get("ph") != "X":
            continue
        if event["tid"]:
            if event["name"] == IDLE:
                continue
            kind = "hidden communication"
        else:
            kind = KINDS.get(event["name"], "waiting for others")
        spans.append(Span(kind, event["ts"] * 1e-6, event["dur"] * 1e-6))
    return spans


def window(learners: Sequence[list[Span]], steps: int) -> tuple[float, float]:
    """Begin and end of about ``steps`` gradients of a usual learner, after the first one of each."""
    gradients = [[s for s in spans if s.kind == "computing"] for spans in learners]
    lengths = [s.length for of_one in gradients for s in of_one]
    if not lengths:
        return 0.0, 0.0
    begin = min(of_one[min(1, len(of_one) - 1)].begin for of_one in gradients if of_one)
    # What is between two gradients belongs to a step as well.
    starts = [b.begin - a.begin for of_one in gradients for a, b in pairwise(of_one)]
    return begin, begin + steps * max(median(lengths), median(starts) if starts else 0.0)


def timelines(runs: Sequence[Run], ranks: int, steps: int) -> Plot | None:
    """A row of bars for each of the first ``ranks`` learners of every run that was traced; None if none was."""
    found = []
    for run in runs:
        files = [run.folder / "trace" / f"rank-{rank}.json" for rank in range(min(ranks, run.cell.learners))]
        learners = [read_trace(file) for file in files if file.exists()]
        begin, end = window(learners, steps)
        if end > begin:
            found.append((run, learners, begin, end))
    found = found[:MOST_PANELS]
    if not found:
        return None
    figure, pairs = grid_of(len(found), same_y=False)
    for (run, learners, begin, end), ax in zip(found, pairs, strict=True):
        for rank, spans in enumerate(learners):
            for kind, colour in COLOURS.items():
                hidden = kind == "hidden communication"
                bars = [
                    (max(s.begin, begin) - begin, min(s.begin + s.length, end) - max(s.begin, begin))
                    for s in spans
                    if s.kind == kind and s.begin < end and s.begin + s.length > begin
                ]
                place = (rank + 0.1, 0.25) if hidden else (rank - 0.35, 0.4)
                if bars:
                    ax.broken_barh(bars, place, facecolors=colour, edgecolors="white", linewidth=0.3, label=kind)
        ax.set_yticks(range(len(learners)), [f"learner {rank}" for rank in range(len(learners))])
        ax.invert_yaxis()
        ax.grid(visible=False)
        ax.set(title=run.cell.name, xlabel="virtual seconds", xlim=(0.0, end - begin))
    legend(figure, pairs)
    caption = "What a few learners did early in a run; the lower bar of each is what goes on beside its computing."
    return Plot("timelines", caption, figure)
