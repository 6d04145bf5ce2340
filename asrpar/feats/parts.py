"""Parts of stage 2, which jobs make on their own, and what each of them leaves for whoever puts them together.

Shards of all parts lie in one folder beside the split's storage, and take its place when they are together. A part's
own file says what it was made of, and what came out besides the shards.
"""

import json
import shutil
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from asrpar.errors import ConfigError, DataError
from asrpar.feats.prepared import Prepared
from asrpar.feats.shard import ShardResult
from asrpar.feats.stats import Moments
from asrpar.files.columns import Strings, read_columns, write_columns


@dataclass(frozen=True)
class Part:
    """One part, from 1.

    Raises:
        ConfigError: no such part.
    """

    number: int
    of: int

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.of:
            raise ConfigError(f"--part {self.number} --parts {self.of}: expected a part from 1 to {self.of}")

    def begin(self, final: Path) -> Path:
        """The folder that this part's shards go to; what it, or a division into another number, left is forgotten."""
        folder = parts_folder(final)
        folder.mkdir(parents=True, exist_ok=True)
        for path in folder.glob("part-*-of-*.npz"):
            if path == self.file(folder) or not path.name.endswith(f"-of-{self.of}.npz"):
                path.unlink(missing_ok=True)
        return folder

    def file(self, folder: Path) -> Path:
        """Its own file."""
        return folder / f"part-{self.number}-of-{self.of}.npz"

    def write(self, folder: Path, settings: dict[str, Any], cuts: Prepared, results: list[ShardResult]) -> None:
        """Say that it is whole, and what it is."""
        moments = [(r.index, speaker, m) for r in results for speaker, m in r.speakers.items()]
        shards = [[r.index, r.count, r.dropped, r.findings] for r in results]
        facts = {"settings": settings, "cuts": cuts.stamp, "utterances": len(cuts), "shards": shards}
        write_columns(
            self.file(folder),
            {
                "facts": np.frombuffer(json.dumps(facts).encode(), np.uint8),
                "shard": np.array([shard for shard, _, _ in moments], np.int32),
                "speaker": Strings.of(speaker for _, speaker, _ in moments),
                "frames": np.array([m.frames for _, _, m in moments], np.int64),
                "total": np.array([m.total for _, _, m in moments], np.float64),
                "squares": np.array([m.squares for _, _, m in moments], np.float64),
            },
        )


def parts_folder(final: Path) -> Path:
    """Where the parts of a split's storage are."""
    return final.with_name(f".{final.name}.parts")


def read_parts(final: Path, parts: int, settings: dict[str, Any], cuts: Prepared, split: str) -> list[ShardResult]:
    """What all parts of a split made, shard by shard.

    Args:
        final: the split's storage.
        parts: how many there are.
        settings: that all must have.
        cuts: likewise.
        split: its name.

    Raises:
        DataError: names a part that is missing or damaged, or was made with other settings or of other cuts.
    """
    folder, found = parts_folder(final), []
    for number in range(1, parts + 1):
        part, again = Part(number, parts), f"run it again (--part {number} --parts {parts})"
        what = f"part {number} of {parts} of the features of {split}"
        if not part.file(folder).is_file():
            raise DataError(f"{what} is missing in {folder}: {again}")
        try:
            columns = read_columns(part.file(folder))
            facts = json.loads(bytes(columns["facts"]))
            results = _results(facts, columns)
        except (OSError, ValueError, KeyError, TypeError, IndexError, EOFError, zipfile.BadZipFile) as e:
            raise DataError(f"{what}, {part.file(folder)}, is damaged ({e}): {again}") from e
        other = [key for key in settings if facts["settings"].get(key) != settings[key]]
        if other:
            key = other[0]
            raise DataError(f"{what} was made with {key}: {facts['settings'].get(key)}, not {settings[key]}: {again}")
        if (facts["cuts"], facts["utterances"]) != (cuts.stamp, len(cuts)):
            raise DataError(f"{what} was made of another {cuts.path}: {again}")
        found += results
    return sorted(found, key=lambda result: result.index)


def take_over(final: Path) -> None:
    """The shards of all parts become the split's storage."""
    folder = parts_folder(final)
    for path in folder.glob("part-*-of-*.npz"):
        path.unlink()
    old = final.with_name(f".{final.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if final.exists():
        final.rename(old)
    folder.rename(final)
    shutil.rmtree(old, ignore_errors=True)


def _results(facts: dict[str, Any], columns: dict[str, Any]) -> list[ShardResult]:
    found = {
        index: ShardResult(index, count, [tuple(finding) for finding in findings], dropped)
        for index, count, dropped, findings in facts["shards"]
    }
    rows = zip(columns["shard"].tolist(), columns["speaker"], columns["frames"].tolist(), strict=True)
    for row, (shard, speaker, frames) in enumerate(rows):
        found[shard].speakers[speaker] = Moments(frames, columns["total"][row], columns["squares"][row])
    return list(found.values())
