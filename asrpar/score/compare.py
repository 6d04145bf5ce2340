"""A table of several experiments from their ``wer.json``."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from pathlib import Path
from typing import Any

from asrpar.errors import DataError, MissingInputError
from asrpar.files.json_files import read_json, read_json_if_any
from asrpar.score.folders import results_folder
from asrpar.score.mapsswe import matched_pairs
from asrpar.score.origin import check_origin
from asrpar.score.sctk.hubscr import WHOLE, read_scored
from asrpar.score.significance import drawn_by, probability_better
from asrpar.score.speakers import speakers_of
from asrpar.score.trn import read_transcripts
from asrpar.score.wer import MEASURES, UtteranceScore, score

# More experiments than this make a page of pairs that nobody reads.
MAX_PAIRED = 12


# Equal in runs that are repetitions of each other. config_digest stands for all settings of the training but seed and
# folders; trainings of before it was written are told apart by the other keys alone.
GROUP_KEYS = ("config_digest", "data_digest", "model", "parameters", "strategy", "learners", "epochs", "ema")


@dataclass
class Experiment:
    """One scored experiment: ``numbers`` is its ``wer.json``, ``training`` the part about training, ``times`` what
    ``train.json`` says on messages, ``suffix`` that of the decoding, ``cpu`` what trained it, with its matrix units,
    empty if that is not known, or if its times are virtual; ``part`` of the set, such as swbd, that numbers are of."""

    name: str
    folder: Path
    numbers: dict[str, Any]
    times: dict[str, Any] = field(default_factory=dict)
    suffix: str = ""
    cpu: str = ""
    part: str = WHOLE

    def sent(self) -> str:
        """Bytes that all learners have sent, in GB."""
        total = sum(rank.get("bytes_sent", 0) for rank in self.times.get("ranks", []))
        return f"{total / 1e9:.1f}" if total else "-"

    def staleness(self) -> str:
        """Mean and greatest staleness."""
        found = self.times.get("staleness")
        return f"{found['mean']:.2f}, {found['max']}" if found else "-"

    @property
    def training(self) -> dict[str, Any]:
        """Facts about training; empty when scored without an experiment's ``train.json``."""
        return self.numbers.get("training") or {}

    def group(self) -> tuple[str, ...]:
        """What experiments share that differ in seed alone, the way in which they were decoded included."""
        decoding = str(self.numbers.get("engine", "-")), self.suffix
        return (*(str(self.training.get(key, "-")) for key in GROUP_KEYS), *decoding)


def load_experiment(exp: Path, set_name: str, suffix: str = "") -> Experiment:
    """Read ``exp/decode_<set>/wer.json``, or that of ``exp/decode_<set>_<suffix>``.

    Raises:
        MissingInputError: not scored yet. DataError: the file cannot be used.
    """
    folder = results_folder(exp, set_name, suffix)
    path = folder / "wer.json"
    if not path.is_file():
        option = f" --suffix {suffix}" if suffix else ""
        raise MissingInputError(
            f"{path} is missing: run asrpar score --exp {exp} --set {set_name}{option} (stage 8) first"
        )
    try:
        numbers = read_json(path)
        low, high = numbers["ci95"]
        if not all(map(math.isfinite, (numbers["wer"], low, high))):
            raise ValueError("not a number")
        dict(numbers.get("training") or {})
    except (DataError, ValueError, KeyError, TypeError, AttributeError) as e:
        raise DataError(f"{path} is no result of asrpar score ({type(e).__name__}): score again") from e
    check_origin(exp, numbers, folder)
    train = read_json_if_any(exp / "train.json")
    times, versions = (v if isinstance(v, dict) else {} for v in (train.get("time"), train.get("versions")))
    cpu = "" if train.get("virtual") else str(versions.get("CPU") or "")
    name = exp.name or exp.resolve().name
    return Experiment(f"{name} ({suffix})" if suffix else name, folder, numbers, times, suffix, cpu)


def by_characters(experiment: Experiment) -> Experiment:
    """The experiment with its character error rate in the place of the rate that it was scored by.

    Raises:
        DataError: it was scored before character error rates had an interval, or its units are not characters.
    """
    numbers = experiment.numbers
    if "cer_ci95" not in numbers or numbers.get("metric") == "PER" or _by_hubscr(numbers):
        raise DataError(f"{experiment.folder} has no character error rate to compare: score it again, as words")
    return replace(experiment, numbers=numbers | {"metric": "CER", "wer": numbers["cer"], "ci95": numbers["cer_ci95"]})


def of_part(experiment: Experiment, part: str) -> Experiment:
    """The experiment with the numbers of a part of its set.

    Raises:
        DataError: the set has no such part.
    """
    numbers, parts = experiment.numbers, experiment.numbers.get("subsets") or {}
    if part not in parts:
        known = f"it has {', '.join(sorted(parts))}" if parts else "only sets that hubscr.pl scores have parts"
        raise DataError(f"{experiment.folder} has no scores of a part {part}: {known}")
    return replace(experiment, numbers=numbers | parts[part], part=part)


def table_rows(experiments: Sequence[Experiment]) -> list[tuple[str, ...]]:
    """A header, then one row for each experiment; ``-`` for what is not known.

    Raises:
        DataError: word and phone error rates in one table.
    """
    metric = _metric(experiments)
    rows = [
        (
            *("experiment", "strategy", "learners", "seed", f"{metric} %", "95 % interval", "SER %", "train"),
            *("frames/s", "GB sent", "staleness"),
        )
    ]
    for e in experiments:
        t, n = e.training, e.numbers
        seconds, speed = t.get("train_seconds"), t.get("frames_per_second")
        rows.append(
            (
                e.name,
                *(str(t.get(key, "-")) for key in ("strategy", "learners", "seed")),
                f"{n['wer']:.2f}",
                f"{n['ci95'][0]:.2f} to {n['ci95'][1]:.2f}",
                f"{n['ser']:.2f}" if "ser" in n else "-",
                f"{seconds:.0f} s" if seconds else "-",
                f"{speed:.0f}" if speed else "-",
                e.sent(),
                e.staleness(),
            )
        )
    return rows


def cpu_lines(experiments: Sequence[Experiment]) -> list[str]:
    """What the times of a table were measured on: a line for each kind of processor."""
    trained: dict[str, list[str]] = {}
    for e in experiments:
        if e.cpu:
            trained.setdefault(e.cpu, []).append(e.name)
    everywhere = [len(names) == len(experiments) for names in trained.values()] == [True]
    return [f"trained on {cpu}" + ("" if everywhere else f": {', '.join(names)}") for cpu, names in trained.items()]


def group_lines(experiments: Sequence[Experiment]) -> list[str]:
    """Mean and sample standard deviation of the WER over the seeds of each group that has several."""
    groups: dict[tuple[str, ...], list[Experiment]] = {}
    for e in experiments:
        if e.training.get("strategy") is not None:
            groups.setdefault(e.group(), []).append(e)
    lines = []
    for members in groups.values():
        seeds = {m.training.get("seed") for m in members}
        if len(seeds) < 2:
            continue
        t, metric = members[0].training, _metric(members)
        wers = [m.numbers["wer"] for m in members]
        lines.append(
            f"{t['strategy']}, {t.get('learners')} learners, model {t.get('model')}, {len(members)} runs, seeds "
            f"{', '.join(sorted(map(str, seeds)))}: {metric} {statistics.mean(wers):.2f} "
            f"± {statistics.stdev(wers):.2f} %"
        )
    return lines


def pair_lines(experiments: Sequence[Experiment]) -> list[str]:
    """Of every two experiments which is better: paired bootstrap over speakers, and the matched-pairs test (MAPSSWE).

    Raises:
        DataError: two experiments were scored on different references, or in different ways.
    """
    if not 2 <= len(experiments) <= MAX_PAIRED:
        return []
    scores = _scores(experiments)
    speakers = [u.speaker for u in scores[0]]
    errors = [[u.counts.errors for u in of_one] for of_one in scores]
    words = [u.counts.ref for u in scores[0]]
    lines = []
    for a, b in combinations(range(len(experiments)), 2):
        p = probability_better(errors[a], errors[b], words, speakers)
        better, worse, p = (b, a, p) if p >= 0.5 else (a, b, 1.0 - p)
        verdict = "significant at 5 %" if p > 0.975 else "not significant"
        names = f"{experiments[better].name} better than {experiments[worse].name}"
        test = matched_pairs((x.pairs, y.pairs) for x, y in zip(scores[worse], scores[better], strict=True))
        also = "significant" if test.significant else "not significant"
        lines.append(f"{names}: probability {p:.3f} ({verdict}); MAPSSWE Z {test.z:.2f}, p {test.p:.3f} ({also})")
    return [*lines, f"probabilities are of resampled {drawn_by(speakers)}, {len(set(speakers))} speakers"]


def _scores(experiments: Sequence[Experiment]) -> list[list[UtteranceScore]]:
    """The utterances of each, aligned, of the same references."""
    first = experiments[0]
    if len({_by_hubscr(e.numbers) for e in experiments}) > 1:
        raise DataError("some of these were scored by hubscr.pl: score all of them in one way")
    if len({bool(e.numbers.get("optional_words", False)) for e in experiments}) > 1:
        raise DataError("some of these were scored with --optional-words: score all of them in one way")
    if _by_hubscr(first.numbers):
        if len({e.numbers.get("reference_sha256") for e in experiments}) > 1:
            raise DataError("these were scored on different references (STM or GLM): they cannot be compared")
        return [read_scored(e.folder / "sctk", e.part).utterances for e in experiments]
    optional = first.numbers.get("optional_words", False)
    measure = _metric(experiments).lower()
    measure = measure if measure in MEASURES else "wer"
    references = read_transcripts(first.folder / "ref.trn", optional_words=optional)
    ids = sorted(references)
    speakers = dict(zip(ids, speakers_of(first.folder, ids), strict=True))
    found = []
    for e in experiments:
        if read_transcripts(e.folder / "ref.trn", optional_words=optional) != references:
            raise DataError(f"{e.folder} and {first.folder} have different references: they cannot be compared")
        hypotheses = read_transcripts(e.folder / "hyp.trn", may_be_empty=True, optional_words=optional)
        found.append(score(references, hypotheses, speakers, measure).utterances)
    return found


def _by_hubscr(numbers: dict[str, Any]) -> bool:
    return numbers.get("scored_by") == "hubscr"


def markdown_table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a Markdown table; the first row is the header."""
    header, *rest = [[c.replace("|", "\\|") for c in row] for row in rows]
    return ["| " + " | ".join(row) + " |" for row in (header, ["---"] * len(header), *rest)]


def text_table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table in columns; the first row is the header."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows]


def _metric(experiments: Sequence[Experiment]) -> str:
    metrics = sorted({e.numbers.get("metric", "WER") for e in experiments})
    if len(metrics) > 1:
        raise DataError(f"{' and '.join(metrics)} cannot be compared: leave out what was decoded in another way")
    return metrics[0]
