"""What a study's YAML file may hold."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from asrpar.config import load_config
from asrpar.errors import ConfigError
from asrpar.rules import at_least, need


@dataclass
class BaseConfig:
    """What all cells share.

    Attributes:
        config: training settings in YAML, later files override earlier ones; relative to the study's file.
        set: single settings such as ``models.tdnn.channels: 128``, which override the files.
    """

    config: list[str] = field(default_factory=list)
    set: dict[str, Any] = field(default_factory=dict)


@dataclass
class StudyData:
    """Folders of the recipe's stages 1 to 5, relative to ``--data-dir``, and the names of the sets.

    Attributes:
        feats: of stage 2.
        lang: of stage 3.
        graph: of stage 5.
        ali: of stage 4, for trainings on labels of frames; empty for none.
        manifests: of stage 1, as the reference for scores; empty to score against what was decoded.
        dev: LM scale and beam are chosen on it.
        tests: decoded once with that choice.
    """

    feats: str = "feats"
    lang: str = "lang"
    graph: str = "graph"
    ali: str = ""
    manifests: str = "manifests"
    dev: str = "dev"
    tests: list[str] = field(default_factory=lambda: ["test"])


@dataclass
class ClusterChoice:
    """The virtual cluster.

    Attributes:
        preset: name of a preset; or
        config: a cluster file, relative to the study's file.
        set: single settings that override it, such as ``nodes: 8``.
    """

    preset: str = ""
    config: str = ""
    set: dict[str, Any] = field(default_factory=dict)


@dataclass
class DecodingConfig:
    """Settings of ``asrpar decode``.

    Attributes:
        config: files, relative to the study's.
        set: single ones, which override the files.
    """

    config: list[str] = field(default_factory=list)
    set: dict[str, Any] = field(default_factory=dict)


@dataclass
class TimelineChoice:
    """Cells whose first seed is traced, for a picture of who did what when.

    Attributes:
        cells: rules as in ``only``; none for no timelines.
        ranks: so many learners are shown.
        steps: about so many gradients of a learner.
    """

    cells: list[Any] = field(default_factory=list)
    ranks: int = 4
    steps: int = 8

    def validate(self) -> None:
        at_least(self, 1, "ranks", "steps")


@dataclass
class StudyConfig:
    """A study.

    Attributes:
        name: a short word, for file names and titles.
        title: one line; the name by default.
        question: a paragraph for the report: what is asked, and how it is answered.
        grid: axes: name to a list of values, or of bundles ``{label: ..., set: {...}, cluster: {...}}``.
        only: rules, mappings of axis to value or values; if there are any, a cell must fit one of them.
        skip: rules; a cell that fits one is left out.
        when: settings for some cells, ``{cells: [rules], set: {...}, cluster: {...}}``; they override the axes'.
        reference: the rule of the cells that others are compared with; none takes ``{strategy: single}``, if there are
            such cells.
        margin: a dev loss is as good as the reference's if it exceeds it by at most this fraction; 0 for no comparison.
        decode: decode and score dev and test sets of each cell.
    """

    name: str = ""
    title: str = ""
    question: str = ""
    base: BaseConfig = field(default_factory=BaseConfig)
    data: StudyData = field(default_factory=StudyData)
    cluster: ClusterChoice = field(default_factory=ClusterChoice)
    grid: dict[str, Any] = field(default_factory=dict)
    only: list[Any] = field(default_factory=list)
    skip: list[Any] = field(default_factory=list)
    when: list[Any] = field(default_factory=list)
    reference: dict[str, Any] = field(default_factory=dict)
    margin: float = 0.0
    decode: bool = False
    decoding: DecodingConfig = field(default_factory=DecodingConfig)
    timelines: TimelineChoice = field(default_factory=TimelineChoice)

    def validate(self) -> None:
        word = bool(self.name) and all(c.isalnum() or c in "-_" for c in self.name)
        if not word:
            raise ConfigError(f"name is '{self.name}': a word of letters, digits, - and _ is needed")
        if not self.grid:
            raise ConfigError("grid has no axes, such as 'strategy: [ssgd, adpsgd]'")
        if bool(self.cluster.preset) == bool(self.cluster.config):
            raise ConfigError("cluster needs either a preset or a config")
        need(self, "margin", self.margin >= 0, "is a share of the reference's dev loss")


def load_study(path: str | Path) -> StudyConfig:
    """Read and check a study's file; files that it names become absolute.

    Raises:
        ConfigError: what cannot be used, and where.
    """
    path = Path(path)
    try:
        study = load_config(StudyConfig, path)
    except ConfigError as e:
        at = f"{path}: "
        raise ConfigError(f"{at}{str(e).removeprefix(at)}") from e
    study.title = study.title or study.name
    here = path.resolve().parent
    study.base.config = [str(here / name) for name in study.base.config]
    study.decoding.config = [str(here / name) for name in study.decoding.config]
    if study.cluster.config:
        study.cluster.config = str(here / study.cluster.config)
    for file in [*study.base.config, *study.decoding.config, *filter(None, [study.cluster.config])]:
        if not Path(file).is_file():
            raise ConfigError(f"{path}: there is no file {file}")
    return study
