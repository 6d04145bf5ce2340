"""The ALI folder: which class each frame is of, for every utterance of the aligned sets.

    tree.txt                     phones, states with transition probabilities, classes (pdfs)
    ali.yaml                     method and settings, frame shift, what was aligned (`AlignmentInfo`)
    pdfs_SET.npy                 (frames of all utterances,) int32, memory-mapped
    phones_SET.npy               (phones of all utterances, 3) int32: phone, its frames, number of its word or -1
    classes_SET.npy              (frames of all utterances,) int32 pdf classes, where pdfs do not tell them
    supervisions_SET.jsonl.gz    Lhotse supervisions: times of words and phones, and the pdfs as temporal arrays
    counts_SET.txt               how often each pdf is used, as Kaldi writes a vector
    left_out_SET.txt             utterances without alignment, each with the reason

`asrpar.hmm.alignment_files` writes it. Where pdfs are all that is known, as of imported ones, there are no phones.
"""

import gzip
import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from asrpar.config import load_config
from asrpar.errors import ConfigError, DataError
from asrpar.files.checksums import check_checksums
from asrpar.files.paths import check_opens, require_file
from asrpar.files.text import text_lines
from asrpar.hmm.segments import Segments
from asrpar.hmm.tree import Tree
from asrpar.names import unknown
from asrpar.rules import at_least, positive

MADE_BY = "asrpar align (stage 4)"
INFO = "ali.yaml"
NO_WORD = -1  # the number of a silence's word


@dataclass
class AlignmentInfo:
    """What ali.yaml says.

    Attributes:
        method: how the alignment was made, such as ``flat``.
        frame_shift: seconds between two frames of the features.
        subsampling: feature frames for each label.
        lang: digest of the units and pronunciations; empty where none are known.
        sets: of each set ``utterances`` and ``frames`` that there were, a ``digest`` of them, and how many utterances
            were ``aligned``.
        settings: that it was made with.
    """

    method: str = ""
    frame_shift: float = 0.01
    subsampling: int = 1
    lang: str = ""
    sets: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)

    def validate(self) -> None:
        positive(self, "frame_shift")
        at_least(self, 1, "subsampling")


@dataclass(frozen=True)
class AlignedUtterance:
    """An utterance's alignment.

    Attributes:
        id: of the cut.
        text: its transcript.
        words: symbol, start and duration in seconds of each word.
        phones: likewise of each phone, silence included.
        pdfs: (T,) int32.
        speaker: as in the features' cuts.
        seconds: where the utterance ends.
    """

    id: str
    text: str
    words: list[tuple[str, float, float]]
    phones: list[tuple[str, float, float]]
    pdfs: np.ndarray
    speaker: str = ""
    seconds: float = 0.0


class _Set:
    """The files of one set: places of utterances in the arrays."""

    def __init__(self, folder: Path, name: str, num_pdfs: int) -> None:
        path = folder / f"supervisions_{name}.jsonl.gz"
        require_file(path, MADE_BY)
        self.entries: dict[str, dict[str, Any]] = {}
        self.frames: dict[str, tuple[int, int]] = {}
        self.rows: dict[str, tuple[int, int]] = {}
        row = 0
        try:
            with gzip.open(path, "rt", encoding="utf-8") as file:
                for line in file:
                    entry = json.loads(line)
                    first, count = entry["custom"]["pdfs"]["array"]["storage_key"].split(":")
                    self.frames[entry["id"]] = (int(first), int(count))
                    phones = len((entry.get("alignment") or {}).get("phone", ()))
                    self.rows[entry["id"]] = (row, phones)
                    self.entries[entry["id"]] = entry
                    row += phones
            self.pdfs = np.load(folder / f"pdfs_{name}.npy", mmap_mode="r", allow_pickle=False)
            phones_file = folder / f"phones_{name}.npy"
            self.phones = np.load(phones_file, mmap_mode="r", allow_pickle=False) if phones_file.exists() else None
            class_file = folder / f"classes_{name}.npy"
            self.classes = np.load(class_file, mmap_mode="r", allow_pickle=False) if class_file.exists() else None
            if self.classes is not None and self.classes.shape != self.pdfs.shape:
                raise ValueError(f"classes_{name}.npy has other frames than pdfs_{name}.npy")
            if self.pdfs.ndim != 1 or self.pdfs.dtype != np.int32:
                raise ValueError(f"pdfs_{name}.npy is no vector of int32")
            if sum(count for _, count in self.frames.values()) != len(self.pdfs):
                raise ValueError(f"pdfs_{name}.npy has {len(self.pdfs)} frames")
            if self.phones is not None and self.phones.shape != (row, 3):
                raise ValueError(f"phones_{name}.npy is not ({row}, 3)")
            if len(self.pdfs) and not 0 <= self.pdfs.min() <= self.pdfs.max() < num_pdfs:
                raise ValueError(f"pdfs_{name}.npy has pdfs beyond the {num_pdfs} of the tree")
        except (OSError, EOFError, ValueError, KeyError, TypeError, zlib.error) as e:
            check_opens(path)
            raise DataError(f"the alignment of {name} in {folder} is damaged ({e}): run {MADE_BY} again") from e


class _Slices(Mapping[str, np.ndarray]):
    """Utterances' pieces of one array, cut out when they are asked for."""

    def __init__(self, array: np.ndarray, places: Mapping[str, tuple[int, int]]) -> None:
        self._array, self._places = array, places

    def __getitem__(self, utterance: str) -> np.ndarray:
        first, count = self._places[utterance]
        return np.asarray(self._array[first : first + count])

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


class _SegmentsOf(Mapping[str, Segments]):
    """Segments of a set's utterances, made when they are asked for."""

    def __init__(self, found: _Set, tree: Tree) -> None:
        self._found, self._pdfs = found, _Slices(found.pdfs, found.frames)
        self._rows = _Slices(found.phones, found.rows)
        self._classes = None if found.classes is None else _Slices(found.classes, found.frames)
        classes = [tree.class_of(pdf) for pdf in range(tree.num_pdfs)] if found.classes is None else ()
        self._class_of = np.array(classes, np.uint8)

    def __getitem__(self, utterance: str) -> Segments:
        rows = self._rows[utterance]
        if self._classes is not None:
            return Segments(rows[:, 0], rows[:, 1], self._classes[utterance].astype(np.uint8))
        return Segments(rows[:, 0], rows[:, 1], self._class_of[self._pdfs[utterance]])

    def __iter__(self) -> Iterator[str]:
        return iter(self._found.frames)

    def __len__(self) -> int:
        return len(self._found.frames)


class Alignments:
    """An ALI folder.

    Attributes:
        folder: where it is.
        tree: phones, states, and the meaning of the labels.
        info: what ali.yaml says.
    """

    def __init__(self, folder: Path, tree: Tree, info: AlignmentInfo) -> None:
        self.folder, self.tree, self.info = folder, tree, info
        self._sets: dict[str, _Set] = {}

    @classmethod
    def open(cls, folder: str | Path) -> "Alignments":
        """Open an ALI folder.

        Raises:
            MissingInputError: it is not there, or not complete.
            DataError: it is damaged.
        """
        folder = Path(folder)
        require_file(folder / INFO, MADE_BY)
        try:
            info = load_config(AlignmentInfo, folder / INFO)
        except ConfigError as e:
            raise DataError(f"{e}: run {MADE_BY} again") from e
        check_checksums(folder, MADE_BY)
        return cls(folder, Tree.read(folder), info)

    @property
    def frame_shift(self) -> float:
        """Seconds between two frames of the features that were aligned."""
        return self.info.frame_shift

    @property
    def subsampling(self) -> int:
        """Feature frames for each label; labels are (ceil(frames / subsampling),)."""
        return self.info.subsampling

    @property
    def sets(self) -> list[str]:
        """Names of the aligned sets."""
        return list(self.info.sets)

    @cached_property
    def num_pdfs(self) -> int:
        """All labels are below it."""
        return self.tree.num_pdfs

    def labels(self, split: str) -> Mapping[str, np.ndarray]:
        """The pdf of each frame, (T,) int32, by utterance; utterances that were left out are not in it.

        Raises:
            DataError: the set was not aligned, or its files are damaged.
        """
        found = self._set(split)
        return _Slices(found.pdfs, found.frames)

    def segments(self, split: str) -> Mapping[str, Segments] | None:
        """The phones of each utterance, from which any tree's labels follow; None where pdfs are all that is known.

        Raises:
            DataError: the set was not aligned, or its files are damaged.
        """
        found = self._set(split)
        return None if found.phones is None else _SegmentsOf(found, self.tree)

    def word_numbers(self, split: str) -> Mapping[str, np.ndarray] | None:
        """The word of each phone, (n,) int32, by utterance: its number, or `NO_WORD`; None as of `segments`."""
        found = self._set(split)
        return None if found.phones is None else _Slices(found.phones[:, 2], found.rows)

    def counts(self, split: str | None = None) -> np.ndarray:
        """How often each pdf is used in a set, (num_pdfs,) int64; without a name in the first, which is for training.

        Raises:
            DataError: the set was not aligned, or its counts are damaged.
        """
        split = self.sets[0] if split is None and self.sets else split or "train"
        self._check_name(split)
        path = self.folder / f"counts_{split}.txt"
        fields = [field for _, line in text_lines(path, f"run {MADE_BY}") for field in line.split()]
        if fields[:1] != ["["] or fields[-1:] != ["]"] or len(fields) != self.num_pdfs + 2:
            raise DataError(f"{path} is not '[ ... ]' with {self.num_pdfs} counts: run {MADE_BY} again")
        try:
            return np.array([int(x) for x in fields[1:-1]], np.int64)
        except ValueError as e:
            raise DataError(f"{path} has counts that are no integers: run {MADE_BY} again") from e

    def utterances(self, split: str) -> Iterator[AlignedUtterance]:
        """All that is known of a set's utterances, in the order of the features.

        Raises:
            DataError: the set was not aligned, or its files are damaged.
        """
        found, labels = self._set(split), self.labels(split)
        for name, entry in found.entries.items():
            times = {kind: [tuple(item[:3]) for item in items] for kind, items in entry.get("alignment", {}).items()}
            text, speaker = entry.get("text") or "", entry.get("speaker") or ""
            words, phones = times.get("word", []), times.get("phone", [])
            yield AlignedUtterance(name, text, words, phones, labels[name], speaker, entry.get("duration", 0.0))

    def left_out(self, split: str) -> dict[str, str]:
        """Utterances that have no alignment, and why."""
        self._check_name(split)
        path = self.folder / f"left_out_{split}.txt"
        lines = (line.strip().partition(" ") for _, line in text_lines(path, f"run {MADE_BY}"))
        return {name: reason for name, _, reason in lines if name}

    def check(self, split: str, frame_shift: float, data: Mapping[str, Any]) -> None:
        """Refuse to use the alignment for other features than it was made of.

        Args:
            split: a set.
            frame_shift: of the features, in seconds.
            data: what the set is: ``utterances``, ``frames``, ``digest``, as `asrpar.train.identity.summary` says it.

        Raises:
            DataError: says what differs.
        """
        self._check_name(split)
        if abs(frame_shift - self.frame_shift) > 1e-6:
            raise DataError(
                f"{self.folder} has labels for frames of {self.frame_shift:g} s, the features have {frame_shift:g} s: "
                f"run {MADE_BY} on these features"
            )
        before = self.info.sets[split]
        for key in ("utterances", "frames", "digest"):
            if before.get(key) not in (None, data[key]):
                what = f"{before[key]} {key}, there are {data[key]} now" if key != "digest" else "other ids or texts"
                raise DataError(
                    f"{self.folder} was aligned on other features of {split} ({what}): run {MADE_BY} on these features"
                )

    def _check_name(self, split: str) -> None:
        if split not in self.info.sets:
            raise DataError(str(unknown(f"{self.folder}: set", split, self.sets)))

    def _set(self, split: str) -> _Set:
        self._check_name(split)
        if split not in self._sets:
            self._sets[split] = _Set(self.folder, split, self.num_pdfs)
        return self._sets[split]
