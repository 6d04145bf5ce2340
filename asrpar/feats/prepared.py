"""The cuts of a split as stage 1 prepared them, divided into shards; of millions of them only lines are in memory."""

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from lhotse import MonoCut
from lhotse.serialization import deserialize_item

from asrpar.corpus.audio.samples import check_sources
from asrpar.errors import DataError
from asrpar.feats.utterances import stamp
from asrpar.files.paths import check_opens, require_file
from asrpar.files.text import odd_character

SPEEDS_UP = ("Speed", "Tempo")


@dataclass
class Prepared:
    """The cuts of a split in the order of their ids.

    Attributes:
        path: of the manifest.
        ids: of all cuts.
        first: the cut with the first id.
        shards: lines of the manifest by the number of their shard: of all shards, or of those of one part.
        stamp: tells the manifest from others.
        rates: sampling rates that occur, each with one cut that has it.
        nobodys: a cut without speaker; empty if all have one.
        perturbed: a recording that its manifest makes faster or slower; empty if there is none.
    """

    path: Path
    ids: list[str]
    first: MonoCut | None = None
    shards: dict[int, list[bytes]] = field(default_factory=dict)
    stamp: list = field(default_factory=list)
    rates: dict[int, MonoCut] = field(default_factory=dict)
    nobodys: str = ""
    perturbed: str = ""

    def __len__(self) -> int:
        return len(self.ids)

    def ids_of(self, shard: int) -> list[str]:
        """Ids of a shard's cuts."""
        size = shard_size(len(self.ids))
        return self.ids[shard * size : (shard + 1) * size]

    def see(self, cut: MonoCut) -> None:
        """Take note of one cut; they come in the order of their ids."""
        self.rates.setdefault(cut.recording.sampling_rate, cut)
        if not self.nobodys and not cut.supervisions[0].speaker:
            self.nobodys = cut.id
        if not self.perturbed and any(_name(t) in SPEEDS_UP for t in cut.recording.transforms or ()):
            self.perturbed = cut.recording.id


def read_prepared(manifests: Path, split: str, part: int = 1, parts: int = 1) -> Prepared:
    """The cuts of a split.

    Args:
        manifests: MANIFESTS folder.
        split: one of its splits.
        part, parts: take only each ``parts``-th shard, from the ``part``-th on. All ids are known all the same.

    Raises:
        DataError: they are not one supervision per single-channel cut.
    """
    path = manifests / f"cuts_{split}.jsonl.gz"
    require_file(path, "stage 1 (asrpar prepare-manifests)")
    try:
        # A line belongs to a shard by its place among all ids, so these come first; where all lines are taken, they
        # are kept at once.
        rows = [(_id(line), line if parts == 1 else b"") for line in _lines(path)]
    except Exception as e:  # damaged gzip, JSON or manifest: each has its own kind
        check_opens(path)
        raise DataError(f"{path} is not a readable cut manifest ({type(e).__name__}): make it again") from e
    if not rows:
        raise DataError(f"{path} holds no cuts: make the manifests again")
    names, lines = zip(*rows, strict=True)
    order = sorted(range(len(rows)), key=names.__getitem__)
    del rows
    found = Prepared(path, [names[i] for i in order], stamp=stamp(path))
    for one, other in zip(found.ids, found.ids[1:], strict=False):
        if one == other:
            raise DataError(f"{path}: cut {one} is there twice")
    size = shard_size(len(order))
    lines = [lines[i] for i in order]
    if parts > 1:
        place = np.empty(len(order), np.int64)
        place[order] = np.arange(len(order))
        for at, line in zip(place.tolist(), _lines(path), strict=True):
            if at == 0 or at // size % parts == part - 1:
                lines[at] = line
    found.first = decoded(path, lines[0])
    for at, line in enumerate(lines):
        if at // size % parts == part - 1:
            found.see(decoded(path, line))
            found.shards.setdefault(at // size, []).append(line)
    return found


def shard_size(cuts: int) -> int:
    """Utterances of a shard; from the data alone, so that files depend on no number of processes or parts."""
    return min(2000, max(20, -(-cuts // 64)))


def decoded(path: Path, line: bytes) -> MonoCut:
    """The cut of a line. Raises DataError if it is not one supervision of one channel of a recording."""
    try:
        cut = deserialize_item(json.loads(line))
    except Exception as e:
        raise DataError(f"{path} is not a readable cut manifest ({type(e).__name__}): make it again") from e
    if not isinstance(cut, MonoCut) or not cut.has_recording or len(cut.supervisions) != 1:
        raise DataError(f"{path}: cut {cut.id} is not one supervision of one channel of a recording")
    fault = _fault(cut)
    if fault:
        raise DataError(f"{path}: cut {cut.id!r} {fault}")
    try:
        check_sources(cut.recording)
    except DataError as e:
        raise DataError(f"{path}: cut {cut.id}, {e}") from e
    cut.features = None  # those that others made: new ones take their place
    return cut


def _lines(path: Path) -> Iterator[bytes]:
    with gzip.open(path, "rb") as file:
        yield from (line for line in file if line.strip())


def _id(line: bytes) -> str:
    name = json.loads(line)["id"]
    if not isinstance(name, str):
        raise TypeError(f"id {name!r}")
    return name


def _fault(cut: MonoCut) -> str | None:
    for what, value in (("id", cut.id), ("text", cut.supervisions[0].text), ("speaker", cut.supervisions[0].speaker)):
        if not isinstance(value, str | None):
            return f"has a {what} that is {type(value).__name__}, not str: make the manifest again"
        odd = odd_character(value or "")
        if odd:
            return f"has the character {odd} in its {what}, which no text has: make the manifest again"
    if not (cut.start >= 0 and cut.duration > 0):
        return f"is from {cut.start:g} to {cut.start + cut.duration:g} s, which is no piece of its recording"
    return None


def _name(transform: object) -> object:
    return transform.get("name") if isinstance(transform, dict) else type(transform).__name__
