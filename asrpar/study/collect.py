"""The results of a study's cells, and of groups of cells that differ in seed alone.

Losses have a t-interval over seeds. Word errors of the seeds are pooled, and their interval is the bootstrap over
speakers of `asrpar.score`: it tells how sure the rate is for other speakers of the kind, given these models.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from asrpar.errors import AsrparError
from asrpar.files.json_files import read_json_if_any
from asrpar.numbers import plain, ratio
from asrpar.study.config import StudyConfig
from asrpar.study.folder import CellFolder
from asrpar.study.grid import Cell, axes, fits, reference_rules

Interval = tuple[float, float]


@dataclass
class Words:
    """Word errors of a set, by utterance.

    Attributes:
        errors, words, speakers: of each utterance, in the order of their ids.
    """

    errors: list[int]
    words: list[int]
    speakers: list[str] | None = None

    @property
    def rate(self) -> float:
        """Word error rate in percent."""
        return 100.0 * ratio(sum(self.errors), sum(self.words))

    def interval(self) -> Interval:
        """The 95 % interval of the rate."""
        from asrpar.score.significance import wer_interval

        return wer_interval(self.errors, self.words, self.speakers)


@dataclass
class Run:
    """A finished cell.

    Attributes:
        cell: of the grid.
        folder: of the experiment.
        train: its ``train.json``.
        numbers: what is compared, by name; None where it is not known.
        words: word errors, by set.
    """

    cell: Cell
    folder: Path
    train: dict[str, Any]
    numbers: dict[str, float | None]
    words: dict[str, Words] = field(default_factory=dict)

    @property
    def history(self) -> list[dict[str, float]]:
        """Of each epoch."""
        return self.train.get("history") or []

    @property
    def staleness(self) -> dict[int, int]:
        """How many updates had which staleness."""
        histogram = (self.train.get("time", {}).get("staleness") or {}).get("histogram") or {}
        return {int(at): number for at, number in histogram.items()}


@dataclass
class Group:
    """Cells that differ in seed alone.

    Attributes:
        labels: what they share, by axis.
        runs: those that are finished.
        wanted: how many there are in the grid.
        reference: with whom they are compared; None for no such cells.
    """

    labels: dict[str, str]
    runs: list[Run]
    wanted: int = 0
    reference: "Group | None" = None
    is_reference: bool = False

    @property
    def cell(self) -> Cell:
        """One of them."""
        return self.runs[0].cell

    def values(self, name: str) -> list[float]:
        """Of the runs that have one; a loss that is not finite is none."""
        return [v for run in self.runs if (v := run.numbers[name]) is not None]

    def mean(self, name: str) -> float | None:
        """Over the seeds; None if a run has no value, for the mean of the others would hide that."""
        values = self.values(name)
        return statistics.fmean(values) if values and len(values) == len(self.runs) else None

    def interval(self, name: str) -> Interval | None:
        """95 % t-interval of the mean; None for a single seed."""
        return t_interval(self.values(name)) if self.mean(name) is not None else None

    def words(self, name: str) -> Words | None:
        """The errors of all seeds together; None unless all runs are scored on the same utterances, with words."""
        found = [run.words.get(name) for run in self.runs]
        if not found or None in found or not any(found[0].words) or any(w.words != found[0].words for w in found):
            return None
        errors = [sum(of_one) for of_one in zip(*(w.errors for w in found), strict=True)]
        return Words(errors, [len(found) * n for n in found[0].words], found[0].speakers)


def t_interval(values: Sequence[float]) -> Interval | None:
    """The 95 % interval of a mean by Student's t; None for fewer than two values."""
    if len(values) < 2:
        return None
    from scipy.stats import t

    mean = statistics.fmean(values)
    half = float(t.ppf(0.975, len(values) - 1)) * statistics.stdev(values) / math.sqrt(len(values))
    return mean - half, mean + half


def load_run(folder: CellFolder) -> Run:
    """Read a finished cell."""
    train = plain(read_json_if_any(folder.path / "train.json"))
    run = Run(folder.cell, folder.path, train, {})
    times = train.get("time") or {}
    mean, staleness = times.get("mean") or {}, times.get("staleness") or {}
    seconds, frames = train.get("train_seconds"), train.get("frames")
    ranks = [rank.get("bytes_sent", 0.0) for rank in times.get("ranks") or []]
    distance = times.get("consensus_distance") or {}
    run.numbers = {
        "dev_loss": train.get("dev_loss"),
        "frames": frames,
        "virtual_seconds": seconds,
        "frames_per_second": frames / seconds if frames and seconds else None,
        "bytes_sent": float(sum(ranks)) if ranks else None,
        "exposed_share": mean.get("waiting"),
        "staleness_mean": staleness.get("mean"),
        "staleness_max": staleness.get("max"),
        "consensus_distance": next(
            (e["consensus_distance"] for e in reversed(run.history) if "consensus_distance" in e), distance.get("last")
        ),
        "wall_seconds": train.get("wall_seconds"),
    }
    if folder.study.decode:
        run.words = {name: word_errors(folder.path / f"decode_{name}") for name in folder.sets}
    return run


def word_errors(folder: Path) -> Words:
    """Errors of each utterance of a decoded set."""
    from asrpar.score.speakers import speakers_of
    from asrpar.score.trn import read_transcripts
    from asrpar.score.wer import pick_measure, utterance_counts

    references = read_transcripts(folder / "ref.trn")
    hypotheses = read_transcripts(folder / "hyp.trn", may_be_empty=True)
    ids = sorted(references)
    measure = pick_measure(references.values())
    counts = [utterance_counts(references[u], hypotheses.get(u, []), measure) for u in ids]
    return Words([c.errors for c in counts], [c.ref for c in counts], speakers_of(folder, ids))


def collect(study: StudyConfig, folders: Sequence[CellFolder]) -> tuple[list[Run], list[Group], dict[str, str]]:
    """All finished cells, their groups in the order of the grid, and by name those that cannot be read and why."""
    runs, broken = [], {}
    for folder in folders:
        if folder.finished():
            try:
                runs.append(load_run(folder))
            except AsrparError as e:
                broken[folder.cell.name] = str(e)
    known = axes(study)
    place = {axis: {v.label: i for i, v in enumerate(values)} for axis, values in known.items()}

    def where(cell: Cell) -> tuple[int, ...]:
        return tuple(place[axis][label] for axis, label in cell.labels.items())

    runs.sort(key=lambda run: where(run.cell))
    groups: dict[tuple[str, ...], Group] = {}
    for folder in sorted(folders, key=lambda f: where(f.cell)):
        labels = {axis: label for axis, label in folder.cell.labels.items() if axis != "seed"}
        groups.setdefault(folder.cell.group, Group(labels, [])).wanted += 1
    for run in runs:
        groups[run.cell.group].runs.append(run)
    found = [group for group in groups.values() if group.runs]
    _compare(study, found)
    return runs, found, broken


def _compare(study: StudyConfig, groups: Sequence[Group]) -> None:
    """Give each group its reference: of those that fit the rule, the one with which it shares most."""
    rules = reference_rules(study, axes(study))
    references = [group for group in groups if fits(group.labels, rules)]
    for group in groups:
        group.is_reference = any(group is r for r in references)
        if references:
            group.reference = max(references, key=lambda r: sum(r.labels[a] == b for a, b in group.labels.items()))


def speed_up(group: Group) -> tuple[float, float] | None:
    """Frames per virtual second over the reference's, and that over the number of learners relative to it."""
    if group.reference is None:
        return None
    own, other = group.mean("frames_per_second"), group.reference.mean("frames_per_second")
    if not own or not other:
        return None
    return own / other, own / other * group.reference.cell.learners / group.cell.learners


def target(study: StudyConfig, group: Group) -> float | None:
    """The dev loss that is as good as the reference's."""
    loss = group.reference.mean("dev_loss") if group.reference is not None and study.margin else None
    return None if loss is None else loss * (1.0 + study.margin)


def to_target(run: Run, loss: float) -> tuple[float, float] | None:
    """Frames and virtual seconds of the first epoch that ends with a dev loss of at most ``loss``."""
    for epoch in run.history:
        if epoch.get("dev_loss") is not None and epoch["dev_loss"] <= loss:
            return epoch["frames"], epoch["seconds"]
    return None


def largest_batches(study: StudyConfig, groups: Sequence[Group]) -> list[tuple[dict[str, str], Group | None]]:
    """For each set of groups that differ in batch alone, the largest up to which all are within the margin."""
    known = axes(study)
    if not study.margin or len(known.get("batch", [])) < 2:
        return []
    series: dict[tuple[str, ...], list[Group]] = {}
    for group in groups:
        if not group.is_reference and target(study, group) is not None:
            series.setdefault(tuple(v for a, v in group.labels.items() if a != "batch"), []).append(group)
    found = []
    for members in series.values():
        best = None
        for group in sorted(members, key=lambda g: g.cell.global_batch):
            loss = group.mean("dev_loss")
            if loss is None or loss > target(study, group):
                break
            best = group
        found.append(({a: v for a, v in members[0].labels.items() if a != "batch"}, best))
    return found
