"""The utterances of one split of a FEATS folder: from its cuts, or from an index, which opens millions at once.

The index, ``FEATS/index_<split>.npz``, is written beside the cuts by stage 2 and says of which cuts it is. Without it,
as in folders of earlier versions, the cuts are read. Either way an utterance is made when it is asked for.
"""

import gzip
import hashlib
import json
import os
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from json.encoder import encode_basestring_ascii as quoted
from pathlib import Path
from typing import Any, overload

import numpy as np

from asrpar.errors import DataError
from asrpar.files.columns import Codes, GrowingStrings, Strings, read_columns, write_columns
from asrpar.files.paths import check_opens
from asrpar.files.text import nfc
from asrpar.log import get_logger

log = get_logger(__name__)

MADE_BY = "stage 2 (asrpar extract-features)"
FORMAT = 1
_SEPARATOR = "\0"
_BLOCK = 4096


@dataclass(frozen=True, slots=True)
class Utterance:
    """What a cut with features says, as far as batches need it."""

    id: str
    text: str
    speaker: str
    num_frames: int
    num_features: int
    storage_type: str
    storage_path: str
    storage_key: str


_TYPES = (str, str, str, int, int, str, str, str)  # of an utterance's fields


class Utterances(Sequence[Utterance]):
    """All utterances of a split, in columns.

    Attributes:
        ids, keys: of each utterance, the id and the key in its storage.
        texts, text_of: different transcripts, and which of them each utterance has, (n,) int32.
        speakers, speaker_of: likewise.
        places, place_of: likewise kinds of storage with their paths.
        num_frames: (n,) int32.
        num_features: of each frame.
    """

    def __init__(self, columns: dict[str, Any], num_features: int, facts: dict[str, Any] | None = None) -> None:
        self.ids: Strings = columns["ids"]
        self.keys: Strings = columns["keys"]
        self.texts: Strings = columns["texts"]
        self.text_of: np.ndarray = columns["text_of"]
        self.speakers: Strings = columns["speakers"]
        self.speaker_of: np.ndarray = columns["speaker_of"]
        self.places: Strings = columns["places"]
        self.place_of: np.ndarray = columns["place_of"]
        self.num_frames: np.ndarray = columns["num_frames"]
        self.num_features = num_features
        self._columns, self._facts = columns, facts or {}

    @overload
    def __getitem__(self, index: int) -> Utterance: ...
    @overload
    def __getitem__(self, index: slice) -> list[Utterance]: ...
    def __getitem__(self, index: int | slice) -> Utterance | list[Utterance]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        index = int(index)
        kind, path = self._few("places")[self.place_of.item(index)].split(_SEPARATOR)
        return Utterance(
            self.ids[index],
            self.texts[self.text_of.item(index)],
            self._few("speakers")[self.speaker_of.item(index)],
            self.num_frames.item(index),
            self.num_features,
            kind,
            path,
            self.keys[index],
        )

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[Utterance]:
        return map(self.__getitem__, range(len(self)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and len(self) == len(other) and all(map(Utterance.__eq__, self, other))

    __hash__ = None  # type: ignore[assignment]

    @cached_property
    def digest(self) -> str:
        """Of ids, frames, order, speakers and transcripts."""
        return self._facts.get("digest") or self._digest()

    @cached_property
    def words(self) -> Sequence[str]:
        """What blanks separate in the transcripts, each once."""
        found = self._columns.get("words")
        return found if found is not None else sorted({word for text in self.texts for word in text.split()})

    def spoken_frames(self) -> np.ndarray:
        """(texts,) frames of the shortest utterance of each transcript."""
        found = np.full(len(self.texts), np.iinfo(np.int32).max, np.int32)
        np.minimum.at(found, self.text_of, self.num_frames)
        return found

    def write(self, path: Path, cuts: Path) -> None:
        """Write the index of ``cuts``, whose utterances these are."""
        names = ("ids", "keys", "texts", "text_of", "speakers", "speaker_of", "places", "place_of", "num_frames")
        facts = {"format": FORMAT, "num_features": self.num_features, "digest": self.digest, "cuts": stamp(cuts)}
        packed = np.frombuffer(json.dumps(facts).encode(), np.uint8)
        write_columns(
            path, {"facts": packed, **{name: self._columns[name] for name in names}, "words": Strings.of(self.words)}
        )

    def _few(self, name: str) -> list[str]:
        found = self.__dict__.get(f"_{name}")
        if found is None:
            found = self.__dict__[f"_{name}"] = list(getattr(self, name))
        return found

    def _digest(self) -> str:
        # What `asrpar.train.identity.digest` makes of [id, num_frames, speaker, text], without a json.dumps for each.
        found, speakers = hashlib.sha256(), [quoted(name) for name in self.speakers]
        block: list[str] = []
        for name, frames, speaker, text in zip(
            self.ids, _numbers(self.num_frames), _numbers(self.speaker_of), _numbers(self.text_of), strict=True
        ):
            block.append(f"[{quoted(name)}, {frames}, {speakers[speaker]}, {quoted(self.texts[text])}]\n")
            if len(block) == _BLOCK:
                found.update("".join(block).encode())
                block.clear()
        found.update("".join(block).encode() + b"\0")
        return found.hexdigest()


def _numbers(column: np.ndarray) -> Iterator[int]:
    for first in range(0, len(column), _BLOCK):
        yield from column[first : first + _BLOCK].tolist()


class Collector:
    """Collects the utterances of cuts, one by one."""

    def __init__(self) -> None:
        self._ids, self._keys = GrowingStrings(), GrowingStrings()
        self._codes = {name: Codes() for name in ("text", "speaker", "place")}
        self._rows: dict[str, list[int]] = {name: [] for name in ("text", "speaker", "place", "frames")}
        self._blocks: list[dict[str, np.ndarray]] = []
        self.widths: set[int] = set()

    def add(self, cut: dict[str, Any]) -> None:
        """One more cut with features, as in a manifest. Raises what Python does where that is none."""
        features, supervision = cut["features"], cut["supervisions"][0]
        one = Utterance(
            cut["id"],
            nfc(supervision.get("text") or ""),
            supervision.get("speaker") or "",
            features["num_frames"],
            features["num_features"],
            features["storage_type"],
            features["storage_path"],
            features["storage_key"],
        )
        values = (one.id, one.text, one.speaker, one.num_frames, one.num_features)
        values += (one.storage_type, one.storage_path, one.storage_key)
        if not all(map(isinstance, values, _TYPES)) or min(values[3:5]) < 1:
            raise ValueError(f"an entry of cut {cut['id']!r} is of no use")
        self._ids.append(one.id)
        self._keys.append(one.storage_key)
        place = f"{one.storage_type}{_SEPARATOR}{one.storage_path}"
        for name, value in (("text", one.text), ("speaker", one.speaker), ("place", place)):
            self._rows[name].append(self._codes[name].number(value))
        self._rows["frames"].append(one.num_frames)
        self.widths.add(one.num_features)
        if len(self._rows["frames"]) == _BLOCK:
            self._pack()

    def _pack(self) -> None:
        self._blocks.append({name: np.array(rows, np.int32) for name, rows in self._rows.items()})
        self._rows = {name: [] for name in self._rows}

    def done(self, path: Path) -> Utterances:
        """All of them; ``path`` is for messages.

        Raises:
            DataError: there are none, one is there twice, or they are of different widths.
        """
        self._pack()
        column = {name: np.concatenate([block[name] for block in self._blocks]) for name in self._rows}
        if not len(column["frames"]):
            raise DataError(f"{path} holds no utterances: run {MADE_BY} again")
        ids = self._ids.done()
        if (twice := ids.repeated()) is not None:
            raise DataError(f"{path} holds cut {twice} twice: run {MADE_BY} again")
        if len(self.widths) > 1:
            raise DataError(f"{path} mixes features of widths {sorted(self.widths)}: run {MADE_BY} again")
        columns: dict[str, Any] = {"ids": ids, "keys": self._keys.done(), "num_frames": column["frames"]}
        for name, codes in self._codes.items():
            columns |= {f"{name}s": codes.done(), f"{name}_of": column[name]}
        return Utterances(columns, min(self.widths))


def of_cuts(path: Path, cuts: Iterable[str | bytes]) -> Utterances:
    """The utterances of the lines of a manifest of cuts with features, which ``path`` is.

    Raises:
        DataError: it is none.
    """
    found = Collector()
    try:
        for line in cuts:
            found.add(json.loads(line))
        return found.done(path)
    except (OSError, EOFError, ValueError, KeyError, IndexError, TypeError, zlib.error) as e:
        check_opens(path)
        raise DataError(f"{path} is not a manifest of cuts with features ({e!r}): run {MADE_BY} again") from e


def read_cuts(path: Path) -> Utterances:
    """The utterances of a manifest of cuts with features. Raises `DataError` if it is none."""

    def lines() -> Iterator[str]:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            yield from file

    # As JSON: building Lhotse's objects takes some ten times as long, and training needs none of them.
    return of_cuts(path, lines())


def open_utterances(cuts: Path) -> Utterances:
    """The utterances of ``cuts``, which is there, by its index if there is one that belongs to it."""
    path = index_of(cuts)
    if not path.exists():
        return read_cuts(cuts)
    try:
        columns = read_columns(path)
        facts = json.loads(bytes(columns.pop("facts")))
        if facts["format"] == FORMAT and facts["cuts"] == stamp(cuts):
            return Utterances(columns, facts["num_features"], facts)
        log.info("%s is of other cuts than those in %s, which are read instead", path, cuts.name)
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as e:
        log.warning("%s is damaged (%s): %s is read instead, which takes longer", path, e, cuts.name)
    return read_cuts(cuts)


def index_of(cuts: Path) -> Path:
    """Where the index of a split's cuts lies."""
    return cuts.with_name(f"index_{cuts.name.removeprefix('cuts_').removesuffix('.jsonl.gz')}.npz")


def stamp(cuts: Path) -> list[Any]:
    """What tells cuts from others without reading them: the size of the file, and of its contents size and checksum."""
    with cuts.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 8))
        return [size, file.read(8).hex()]
