"""A cell's folder: what is in it, whether it is finished, and the commands that fill it."""

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from asrpar.config import load_config
from asrpar.errors import ConfigError
from asrpar.files.json_files import read_json_if_any, write_json
from asrpar.files.paths import require_file
from asrpar.files.text import read_text
from asrpar.score.folders import results_folder
from asrpar.study.config import StudyConfig
from asrpar.study.grid import Cell, check_rules, digest, fits, settings
from asrpar.study.grid import axes as grid_axes

NOTE = "cell.json"
LOG = "cell.log"
# Events of a learner for each gradient that a timeline shows, with room for what comes before the first.
EVENTS_PER_STEP = 40


@dataclass
class Places:
    """Absolute folders of the data."""

    feats: Path
    lang: Path
    graph: Path
    manifests: Path | None
    ali: Path | None = None
    digests: dict[tuple[str, str], str] = field(default_factory=dict, compare=False)

    def data_digest(self, train: str, dev: str) -> str:
        """Of the data that are there now; see `Identity.digest`."""
        from asrpar.train.config import DataConfig
        from asrpar.train.identity import Identity

        if (train, dev) not in self.digests:
            now = Identity.of_data(DataConfig(str(self.feats), str(self.lang), train, dev, str(self.ali or "")))
            self.digests[train, dev] = now.digest()
        return self.digests[train, dev]

    @classmethod
    def of(cls, study: StudyConfig, data_dir: Path) -> "Places":
        """Those of a study; `MissingInputError` names the stage that makes what is missing."""
        data = study.data
        found = cls(
            *((data_dir / name).absolute() for name in (data.feats, data.lang, data.graph)),
            (data_dir / data.manifests).absolute() if data.manifests else None,
            (data_dir / data.ali).absolute() if data.ali else None,
        )
        require_file(found.feats, "stage 2 (asrpar extract-features), or give --data-dir; that")
        require_file(found.lang, "stage 3 (asrpar prepare-lang)")
        if found.ali is not None:
            require_file(found.ali, "stage 4 (asrpar align)")
        if study.decode:
            require_file(found.graph, "stage 5 (asrpar make-graph)")
            if found.manifests is not None:
                require_file(found.manifests, "stage 1 (asrpar prepare-manifests)")
        return found


class CellFolder:
    """The folder of one cell.

    Args:
        study: checked settings.
        cell: of its grid.
        exp_dir: of all cells.

    Attributes:
        both: train so that both models of an average over time are kept.
        places: the data, where they are known; what was made of others is not this cell's then.
    """

    def __init__(self, study: StudyConfig, cell: Cell, exp_dir: Path) -> None:
        self.study, self.cell, self.both = study, cell, False
        self.places: Places | None = None
        self.path = exp_dir.absolute() / cell.name
        self.log = self.path / LOG
        # What decides the words: a change of it costs decoding, not training.
        files = [read_text(file) for file in study.decoding.config]
        self.decoding = digest([files, settings(study.decoding.set), study.data.dev, study.data.tests])

    @property
    def sets(self) -> list[str]:
        """The sets that are scored."""
        return [self.study.data.dev, *self.study.data.tests]

    def note(self) -> dict[str, Any]:
        """What was noted when the cell was begun; empty for none."""
        return read_json_if_any(self.path / NOTE)

    def trained(self) -> bool:
        """Whether it holds a whole training, of whatever settings."""
        return bool(read_json_if_any(self.path / "train.json").get("complete")) and (self.path / "final.pt").exists()

    def is_ours(self) -> bool:
        """Whether what it holds is this cell's."""
        return (
            self.note().get("digest") == self.cell.digest and self._same("feats", "lang", "ali") and self._same_data()
        )

    def scored(self) -> bool:
        """Whether all sets are scored, with these settings."""
        if not self.study.decode:
            return True
        files = [self.path / f"decode_{name}" / "wer.json" for name in self.sets]
        same = self.note().get("decoding") == self.decoding and self._same("graph")
        return same and all(file.exists() for file in files)

    def finished(self) -> bool:
        """Whether there is nothing left to do."""
        return self.is_ours() and self.trained() and self.scored()

    def begin(self) -> None:
        """Empty it. `ConfigError` if something else is in it, which may be somebody's."""
        if self.path.is_dir() and any(self.path.iterdir()) and not (self.path / NOTE).exists():
            raise ConfigError(f"{self.path} is in the way: it holds something else than a cell of a study")
        if self.trained() and (problem := self.earlier()):
            raise ConfigError(
                f"{self.path} holds a training of an earlier version ({problem}): "
                "choose another --exp-dir, or remove it"
            )
        shutil.rmtree(self.path, ignore_errors=True)
        self.path.mkdir(parents=True)
        self.write_note()

    def earlier(self) -> str:
        """How the settings of what is there differ from those that this version knows; an empty string if they do not.

        Other names make another digest, and whoever has paid for a training wants to be asked before it is done anew.
        """
        from asrpar.train.config import TrainConfig

        config = self.path / "config.yaml"
        try:
            if config.exists():
                load_config(TrainConfig, config)
        except ConfigError as e:
            return str(e)
        return ""

    def forget_words(self) -> None:
        """Remove what was decoded with other settings or another graph, which `asrpar decode` would not overwrite."""
        for name in self.sets:
            shutil.rmtree(results_folder(self.path, name), ignore_errors=True)

    def write_note(self, **more: Any) -> None:
        """Note what this cell is, and ``more``."""
        data = {name: str(getattr(self.places, name)) for name in ("feats", "lang", "graph")} if self.places else {}
        if self.places and self.places.ali:
            data["ali"] = str(self.places.ali)
        note = {"digest": self.cell.digest, "values": self.cell.labels, "data": data, **more}
        write_json(self.path / NOTE, note)

    def _same(self, *names: str) -> bool:
        """Whether what is there was made of these places; yes where it is not noted."""
        data = self.note().get("data", {})
        return self.places is None or all(data.get(n) in (None, str(getattr(self.places, n))) for n in names)

    def _same_data(self) -> bool:
        """Whether it is trained on the data that are in these places now; yes where it is not noted."""
        known = read_json_if_any(self.path / "train.json").get("data_digest")
        if self.places is None or known is None:
            return True
        return self.places.data_digest(self.cell.config.data.train, self.study.data.dev) == known

    def training(self, places: Places) -> list[str]:
        """Arguments of ``asrpar`` that train it."""
        study, cell = self.study, self.cell
        found = ["simulate", *(f"--config={file}" for file in study.base.config)]
        found += [f"--cluster={study.cluster.preset or study.cluster.config}", f"--learners={cell.learners}"]
        found += [f"--set={item}" for item in settings(cell.train)]
        found += [f"--set-cluster={item}" for item in settings(cell.cluster)]
        found += [f"--set=exp={self.path}", f"--set=data.feats={places.feats}", f"--set=data.lang={places.lang}"]
        found += [f"--set=data.dev={study.data.dev}", *([f"--set=data.ali={places.ali}"] if places.ali else [])]
        if self.both:
            found.append("--set=ema.both=true")
        if self.is_traced():
            # The step of a gossiping learner has two activities, with messages in each.
            found += ["--set=trace.enabled=true", f"--set=trace.max_events={EVENTS_PER_STEP * study.timelines.steps}"]
        return found

    def is_traced(self) -> bool:
        """Whether its timeline is wanted: of the first seed only."""
        known = grid_axes(self.study)
        first = "seed" not in known or self.cell.labels["seed"] == known["seed"][0].label
        return first and fits(self.cell.labels, check_rules("timelines.cells", self.study.timelines.cells, known))

    def scoring(self, places: Places) -> list[list[str]]:
        """Arguments of ``asrpar`` that decode and score it, one list for each call."""
        study = self.study
        exp = f"--exp={self.path}"
        decode = ["decode", *(f"--config={file}" for file in study.decoding.config), exp]
        decode += [f"--set={item}" for item in settings(study.decoding.set)]
        decode += [f"--feats={places.feats}", f"--graph={places.graph}", f"--lang={places.lang}"]
        decode += [f"--dev={study.data.dev}", f"--test={','.join(study.data.tests)}", "--jobs=1"]
        score = ["score", exp, f"--set={','.join(self.sets)}"]
        if places.manifests is not None:
            score.append(f"--manifests={places.manifests}")
        return [decode, score]

    def last_line(self) -> str:
        """The last line of its log, which says why it failed."""
        try:
            lines = self.log.read_text(encoding="utf-8", errors="replace").split("\n")
        except OSError:
            return "it left no log"
        return next((line.strip() for line in reversed(lines) if line.strip()), "its log is empty")
