"""The cells of a study: what is set in each, how it is called, and which are left out."""

import copy
import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from asrpar.choices import settle
from asrpar.config import load_config
from asrpar.errors import ConfigError
from asrpar.names import hint
from asrpar.study.config import StudyConfig

# Axes with a meaning of their own; any other is a setting of the training, or `cluster.` and one of the cluster.
TRAIN_AXES = {"strategy": "strategy", "batch": "batch.size", "ema": "ema.enabled", "seed": "seed"}
STRAGGLER = 1


@dataclass(frozen=True)
class Value:
    """One value of an axis.

    Attributes:
        label: for names, tables and rules.
        train, cluster: what it sets.
        learners: how many, if it says so.
    """

    label: str
    train: dict[str, Any] = field(default_factory=dict)
    cluster: dict[str, Any] = field(default_factory=dict)
    learners: int | None = None


@dataclass
class Cell:
    """One run.

    Attributes:
        name: of its folder.
        labels: of its values, by axis.
        train, cluster: all settings beyond the files.
        learners: their number.
        config: the checked settings of the training (`TrainConfig`).
        digest: the same for two runs that must have the same result.
    """

    name: str
    labels: dict[str, str]
    train: dict[str, Any]
    cluster: dict[str, Any]
    learners: int
    config: Any = None
    digest: str = ""

    @property
    def group(self) -> tuple[str, ...]:
        """What cells share that differ in seed alone."""
        return tuple(label for axis, label in self.labels.items() if axis != "seed")

    @property
    def global_batch(self) -> int:
        """Frames (or utterances) of a batch of all learners."""
        batch = self.config.batch
        return batch.size * (self.learners if batch.per == "learner" else 1)


def plain(value: Any) -> str:
    """A value as ``--set`` and rules take it: ``true``, ``0.5``, ``[1, {"a": 2}]``."""
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        value = int(value)
    return json.dumps(value)


def settings(values: dict[str, Any]) -> list[str]:
    """``key=value`` for each."""
    return [f"{key}={plain(value)}" for key, value in values.items()]


def axes(study: StudyConfig) -> dict[str, list[Value]]:
    """The values of each axis.

    Raises:
        ConfigError: a bundle or a value that cannot be used.
    """
    found = {}
    for axis, values in study.grid.items():
        values = values if isinstance(values, list) else [values]
        found[axis] = [_value(axis, value) for value in values]
        labels = [value.label for value in found[axis]]
        if not labels or len(set(labels)) < len(labels):
            raise ConfigError(f"grid.{axis} is {labels}: at least one value is needed, and each only once")
    return found


def _value(axis: str, value: Any) -> Value:
    if isinstance(value, dict):
        unknown = value.keys() - {"label", "set", "cluster", "learners"}
        parts = [value.get(key) or {} for key in ("set", "cluster")]
        if unknown or "label" not in value or not all(isinstance(part, dict) for part in parts):
            raise ConfigError(
                f"grid.{axis}: {value} is no {{label: WORD, set: {{...}}, cluster: {{...}}, learners: N}}"
            )
        return Value(plain(value["label"]), *parts, _number(axis, value["learners"]) if "learners" in value else None)
    label = plain(value)
    if axis == "learners":
        return Value(label, learners=_number(axis, value))
    if axis == "straggler":
        if isinstance(value, bool) or not isinstance(value, int | float) or value < 1:
            raise ConfigError(f"grid.straggler: {label}: a factor of at least 1 is needed, 1 for no straggler")
        slow = [{"rank": STRAGGLER, "factor": value}]
        return Value(label, cluster={"compute.stragglers": slow} if value > 1 else {})
    if axis.startswith("cluster."):
        return Value(label, cluster={axis.removeprefix("cluster."): value})
    return Value(label, train={TRAIN_AXES.get(axis, axis): value})


def _number(axis: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigError(f"grid.{axis}: {value} is no number of learners")
    return value


def check_rules(where: str, rules: Iterable[Any], known: dict[str, list[Value]]) -> list[dict[str, set[str]]]:
    """Rules as axis to labels; `ConfigError` for what is on no axis, which would be a rule without effect."""
    checked = []
    for rule in rules:
        if not isinstance(rule, dict):
            raise ConfigError(f"{where}: {rule!r} is no rule such as {{strategy: single, learners: [1, 4]}}")
        found = {}
        for axis, wanted in rule.items():
            if axis not in known:
                raise ConfigError(f"{where}: there is no axis '{axis}' in the grid; {hint(axis, known)}")
            labels = [value.label for value in known[axis]]
            found[axis] = {plain(w) for w in (wanted if isinstance(wanted, list) else [wanted])}
            for word in sorted(found[axis] - set(labels)):
                raise ConfigError(f"{where}: {axis} has no value '{word}'; {hint(word, labels)}")
        checked.append(found)
    return checked


def reference_rules(study: StudyConfig, known: dict[str, list[Value]]) -> list[dict[str, set[str]]]:
    """Which groups of cells, that differ in seed alone, others are compared with; `ConfigError` if none can be."""
    groups = {axis: values for axis, values in known.items() if axis != "seed"}
    rule = study.reference
    if not rule and "single" in [value.label for value in groups.get("strategy", [])]:
        rule = {"strategy": "single"}
    return check_rules("reference", [rule], groups) if rule else []


def fits(labels: dict[str, str], rules: Iterable[dict[str, set[str]]]) -> bool:
    """Whether one of the rules holds in all that it says."""
    return any(all(labels[axis] in wanted for axis, wanted in rule.items()) for rule in rules)


def special(study: StudyConfig, known: dict[str, list[Value]]) -> list[tuple[list[dict[str, set[str]]], Value]]:
    """What the study says under ``when``: rules, and what holds for cells that fit one of them."""
    found = []
    for at, part in enumerate(study.when):
        if not isinstance(part, dict) or not isinstance(part.get("cells"), list):
            raise ConfigError(f"when: {part!r} is no {{cells: [RULE, ...], set: {{...}}, cluster: {{...}}}}")
        rest = {key: value for key, value in part.items() if key != "cells"}
        found.append((check_rules("when", part["cells"], known), _value(f"when {at + 1}", {"label": "-", **rest})))
    return found


def cells(study: StudyConfig) -> list[Cell]:
    """All cells, checked; those of the first seed first, so that an unfinished study shows something of everything.

    Raises:
        ConfigError: settings that no training takes, or cells that cannot be told apart.
    """
    known = axes(study)
    only, skip = check_rules("only", study.only, known), check_rules("skip", study.skip, known)
    reference_rules(study, known)
    exceptions = special(study, known)
    order = sorted(known, key=lambda axis: axis != "seed")
    ready: dict[tuple[str, ...], Any] = {}
    made: dict[str, Cell] = {}
    for combination in product(*(known[axis] for axis in order)):
        values = dict(zip(order, combination, strict=True))
        labels = {axis: values[axis].label for axis in known}
        if fits(labels, skip) or (only and not fits(labels, only)):
            continue
        more = [value for rules, value in exceptions if fits(labels, rules)]
        cell = _cell(study, [*(values[axis] for axis in known), *more], labels, ready)
        if cell.name in made:
            raise ConfigError(f"two cells of the grid would be called {cell.name}: give their values other labels")
        made[cell.name] = cell
    if not made:
        raise ConfigError("no cell of the grid is left by 'only' and 'skip'")
    return list(made.values())


def _cell(
    study: StudyConfig, values: Sequence[Value], labels: dict[str, str], ready: dict[tuple[str, ...], Any]
) -> Cell:
    from asrpar.parallel.virtual.presets import load_cluster
    from asrpar.train.digests import config_digest

    train, cluster, learners = dict(study.base.set), dict(study.cluster.set), 1
    for value in values:
        train |= value.train
        cluster |= value.cluster
        learners = value.learners or learners
    name = "_".join(_part(axis, label) for axis, label in labels.items())
    cell = Cell(name, labels, train, cluster, learners)
    seed = train.get("seed", 0)
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise ConfigError(f"cell {name}: seed is {plain(seed)}: it is a whole number of at least 0")
    # Reading settings takes a while, and most cells share theirs with others.
    key = tuple(settings({k: v for k, v in train.items() if k != "seed"}))
    place = ("cluster", *settings(cluster))
    try:
        if key not in ready:
            ready[key] = _training(study, key)
        if place not in ready:
            ready[place] = load_cluster(study.cluster.preset or study.cluster.config, settings(cluster))
        ready[place].check_size(learners)
    except ConfigError as e:
        raise ConfigError(f"cell {name}: {e}") from e
    cell.config = copy.deepcopy(ready[key])
    cell.config.seed = seed
    if cell.config.strategy == "single" and learners > 1:
        raise ConfigError(f"cell {name}: strategy 'single' has one learner, not {learners}: leave it out by 'skip'")
    cell.digest = digest([config_digest(cell.config), cell.config.seed, learners, ready[place].values()])
    return cell


def _training(study: StudyConfig, changes: Sequence[str]) -> Any:
    """Checked settings of a training, with those of its strategy."""
    from asrpar.train.config import TrainConfig, check_config

    places = [f"data.{name}={getattr(study.data, name)}" for name in ("feats", "lang", "dev", "ali")]
    config = load_config(TrainConfig, study.base.config, [*changes, *places, f"exp={study.name}"])
    check_config(config)
    settle(config)
    return config


def digest(value: Any) -> str:
    """Of plain values."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def _part(axis: str, label: str) -> str:
    """An axis in a cell's name."""
    if axis == "ema":
        label = {"true": "ema", "false": "noema"}.get(label, label)
    prefix = {"strategy": "", "learners": "n", "batch": "b", "straggler": "x", "ema": "", "seed": "seed"}
    text = prefix.get(axis, axis.rsplit(".", 1)[-1] + "-") + label
    return re.sub(r"[^\w.+-]+", "-", text).strip("-.")


def column_of(axis: str) -> str:
    """An axis as the title of a column."""
    return {"batch": "global batch", "ema": "EMA"}.get(axis, axis)


def value_in_words(axis: str, label: str) -> str:
    """A value as a plot names it."""
    if axis == "learners":
        return "1 learner" if label == "1" else f"{label} learners"
    if axis == "straggler":
        return "no straggler" if label == "1" else f"straggler ×{label}"
    if axis == "ema":
        return {"true": "with EMA", "false": "without EMA"}.get(label, label)
    if axis == "batch":
        return f"batch {label}"
    return label if axis == "strategy" else f"{axis} {label}"


def ordered(labels: Iterable[str], known: Sequence[Value]) -> list[str]:
    """Labels in the order of their axis."""
    here = set(labels)
    return [value.label for value in known if value.label in here]
