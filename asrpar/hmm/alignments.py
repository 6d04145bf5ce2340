"""The ALI folder: which class each frame is of, for every utterance of the aligned sets.

    tree.txt                     phones, states with transition probabilities, classes (pdfs)
    ali.yaml                     method and settings, frame shift, what was aligned (`AlignmentInfo`)
    pdfs_SET.npy                 (frames of all utterances,) int32, memory-mapped
    phones_SET.npy               (phones of all utterances, 3) int32: phone, its frames, number of its word or -1
    classes_SET.npy              (frames of all utterances,) int32 pdf classes, where pdfs do not tell them
    supervisions_SET.jsonl.gz    Lhotse supervisions: times of words and phones, and the pdfs as temporal arrays
    index_SET.npz                where each utterance's rows are (`asrpar.hmm.alignment_index`)
    counts_SET.txt               how often each pdf is used, as Kaldi writes a vector
    left_out_SET.txt             utterances without alignment, each with the reason

`asrpar.hmm.alignment_files` writes it. Where pdfs are all that is known, as of imported ones, there are no phones.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from asrpar.config import load_config
from asrpar.errors import ConfigError, DataError
from asrpar.files.checksums import check_checksums, checked_files
from asrpar.files.paths import require_file
from asrpar.files.text import text_lines
from asrpar.hmm.aligned_set import MADE_BY, AlignedSet, OfUtterances
from asrpar.hmm.alignment_index import index_of
from asrpar.hmm.segments import Segments
from asrpar.hmm.tree import Tree
from asrpar.names import unknown
from asrpar.rules import at_least, positive

INFO = "ali.yaml"
NO_WORD = -1  # the number of a silence's word
# Arrays of more bytes are not read as a whole before the first step: what is used of them is compared by itself.
AT_ONCE = 1 << 28
INDEXED = ("pdfs_{}.npy", "phones_{}.npy", "classes_{}.npy", "supervisions_{}.jsonl.gz")


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


class Alignments:
    """An ALI folder.

    Attributes:
        folder: where it is.
        tree: phones, states, and the meaning of the labels.
        info: what ali.yaml says.
    """

    def __init__(self, folder: Path, tree: Tree, info: AlignmentInfo) -> None:
        self.folder, self.tree, self.info = folder, tree, info
        self._sets: dict[str, AlignedSet] = {}

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
        check_checksums(folder, MADE_BY, _later(folder, info))
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
            DataError: the set was not aligned, or its files are damaged; what is asked for later may raise it, too.
        """
        found = self._set(split)
        return OfUtterances(found.places, found.labels)

    def label_counts(self, split: str, ids: Sequence[str]) -> np.ndarray:
        """(n,) int32, how many labels each of these utterances has; 0 for none. Raises as `labels`."""
        places = self._set(split).places
        rows = places.finder.rows_of(ids)
        return np.where(rows < 0, 0, places.frames[rows] if len(places.ids) else 0)

    def fingerprints(self, split: str, ids: Sequence[str]) -> Iterator[str]:
        """What tells labels from others, for each of these utterances; empty where it has none. Raises as `labels`."""
        return self._set(split).fingerprints(ids)

    def segments(self, split: str) -> Mapping[str, Segments] | None:
        """The phones of each utterance, from which any tree's labels follow; None where pdfs are all that is known.

        Raises:
            DataError: as `labels`.
        """
        found = self._set(split)
        if found.phones is None:
            return None
        known = () if found.classes is not None else map(self.tree.class_of, range(self.num_pdfs))
        class_of = np.fromiter(known, np.uint8)

        def make(row: int) -> Segments:
            phones, classes = found.phones_of(row)
            of_frames = class_of[found.labels(row)] if classes is None else classes.astype(np.uint8)
            return Segments(phones[:, 0], phones[:, 1], of_frames)

        return OfUtterances(found.places, make)

    def word_numbers(self, split: str) -> Mapping[str, np.ndarray] | None:
        """The word of each phone, (n,) int32, by utterance: its number, or `NO_WORD`; None as of `segments`."""
        found = self._set(split)
        return None if found.phones is None else OfUtterances(found.places, lambda row: found.phones_of(row)[0][:, 2])

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
        found = self._set(split)
        for row, entry in enumerate(found.entries()):
            times = {kind: [tuple(item[:3]) for item in items] for kind, items in entry.get("alignment", {}).items()}
            text, speaker = entry.get("text") or "", entry.get("speaker") or ""
            words, phones = times.get("word", []), times.get("phone", [])
            seconds = entry.get("duration", 0.0)
            yield AlignedUtterance(entry["id"], text, words, phones, found.labels(row), speaker, seconds)

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

    def _set(self, split: str) -> AlignedSet:
        self._check_name(split)
        if split not in self._sets:
            self._sets[split] = AlignedSet(self.folder, split, self.num_pdfs, _is_indexed(self.folder, split))
        return self._sets[split]


def _is_indexed(folder: Path, split: str) -> bool:
    # Who has changed labels by hand has removed the digests, and what the index says of them is no longer so.
    path = index_of(folder, split)
    return path.exists() and path.name in checked_files(folder)


def _later(folder: Path, info: AlignmentInfo) -> set[str]:
    """Files whose contents are compared when they are used."""
    names = (form.format(x) for x in info.sets if _is_indexed(folder, x) for form in INDEXED)
    return {name for name in names if (folder / name).is_file() and (folder / name).stat().st_size > AT_ONCE}
