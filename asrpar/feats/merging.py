"""A split is put together of its shards: the report, statistics, the manifest of cuts and its index."""

import gzip
import heapq
import json
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from asrpar.config import save_config
from asrpar.errors import DataError
from asrpar.feats.config import FeatureConfig
from asrpar.feats.prepared import Prepared
from asrpar.feats.report import write_report
from asrpar.feats.shard import CUTS, ShardResult, cut_file
from asrpar.feats.stats import save_stats
from asrpar.feats.storages import STORAGES
from asrpar.feats.utterances import Collector, index_of
from asrpar.files.paths import entries
from asrpar.files.replacing import replacing
from asrpar.log import get_logger

log = get_logger(__name__)

TRAIN = "train"  # the split that gets speed copies and that gives the global statistics


def speeds_of(config: FeatureConfig, split: str) -> list[float]:
    """Of the copies of a split's utterances."""
    return config.speeds if split == TRAIN else [1.0]


def storage_of(output: Path, split: str) -> Path:
    """Where a split's matrices lie; a link leads to where there is more room."""
    return (output / "storage" / split).resolve()


def begin(config: FeatureConfig, output: Path, splits: list[str]) -> None:
    """Make room for splits in a FEATS folder that is held, and say how they are made."""
    (output / "storage").mkdir(parents=True, exist_ok=True)
    for split in splits:
        # Cuts of earlier settings must not outlive the description of how they were made.
        cuts = output / f"cuts_{split}.jsonl.gz"
        cuts.unlink(missing_ok=True)
        index_of(cuts).unlink(missing_ok=True)
    if not entries(output, "cuts_*.jsonl.gz"):
        for name in ("stats.pt", "report.txt"):
            (output / name).unlink(missing_ok=True)
    save_config(config, output / "feats.yaml")


class Merged:
    """Puts the shards of a split together.

    Args:
        config: settled.
        cuts: as prepared.
        output: FEATS folder, held.
        split: its name.
    """

    def __init__(self, config: FeatureConfig, cuts: Prepared, output: Path, split: str) -> None:
        self.config, self.cuts, self.output, self.split = config, cuts, output, split
        self.results: list[ShardResult] = []

    @property
    def count(self) -> int:
        """Cuts with features, speed copies included."""
        return sum(result.count for result in self.results)

    def storage(self, folder: Path, results: list[ShardResult]) -> "Merged":
        """All shards are in ``folder``, which will be that of the split's storage.

        Raises:
            DataError: too much is wrong with the recordings.
        """
        self.results = results
        self._judge()
        STORAGES.make(self.config).finish(folder)
        return self

    def rest(self) -> None:
        """The storage is in its place: write the statistics, then the cuts with their index."""
        merged: dict = {}
        for result in self.results:
            for speaker, moments in result.speakers.items():
                merged[speaker] = merged[speaker] + moments if speaker in merged else moments
        save_stats(self.output / "stats.pt", self.split, merged)
        folder = storage_of(self.output, self.split)
        path = self.output / f"cuts_{self.split}.jsonl.gz"
        collected = Collector()
        with ExitStack() as stack:
            temporary = stack.enter_context(replacing(path))
            raw = stack.enter_context(open(temporary, "wb"))
            # No time stamp and no name in the gzip header: the same cuts are the same bytes.
            packed = stack.enter_context(gzip.GzipFile(filename="", fileobj=raw, mode="wb", mtime=0))
            for _, line, cut in heapq.merge(
                *(self._of_speed(folder, speed) for speed in speeds_of(self.config, self.split)), key=lambda one: one[0]
            ):
                collected.add(cut)
                packed.write(line)
        collected.done(path).write(index_of(path), path)
        shutil.rmtree(folder / CUTS)

    def _of_speed(self, folder: Path, speed: float) -> Iterator[tuple[str, bytes, dict[str, Any]]]:
        """The cuts of one speed, whose ids have one beginning, in the order of their ids."""
        for result in self.results:
            with cut_file(folder, result.index, speed).open("rb") as file:
                for line in file:
                    cut = json.loads(line)
                    yield cut["id"], line, cut

    def _judge(self) -> None:
        """Write what was found, and raise `DataError` if too many utterances had to be dropped."""
        findings = [f for r in self.results for f in r.findings]
        dropped, number = sum(r.dropped for r in self.results), len(self.cuts)
        report = self.output / "report.txt"
        write_report(report, self.split, number, dropped, findings)
        if dropped > self.config.max_bad_fraction * number or not self.count:
            utterance, _, reason = next(f for f in findings if f[1] == "dropped")
            raise DataError(
                f"{dropped} of {number} utterances of split {self.split} cannot be used, more than max_bad_fraction = "
                f"{self.config.max_bad_fraction:g} allows: {report} lists them, first {utterance} ({reason})"
            )
        if findings:
            kept = sum(what == "kept" for _, what, _ in findings)
            log.warning("split %s: %d utterances dropped, %d suspicious: see %s", self.split, dropped, kept, report)
