"""What every decoding engine takes and gives."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from asrpar.decode.lattices.lattice import Lattice
from asrpar.decode.scales import AXES, Scaled
from asrpar.errors import ConfigError
from asrpar.rules import need, positive


@dataclass
class Pruning:
    """Settings of engines that keep so many states in a frame.

    Attributes:
        max_active: states that are kept in each frame, at most.
        min_active: and at least, whatever the beam.
    """

    max_active: int = 4000
    min_active: int = 20

    def validate(self) -> None:
        positive(self, "max_active", "min_active")
        need(self, "max_active", self.max_active < 2**31, "must be less than 2147483648")
        need(self, "min_active", self.min_active < self.max_active, f"must be below max_active ({self.max_active})")


@dataclass(frozen=True)
class Symbols:
    """What the numbers of a model and a graph stand for.

    Attributes:
        classes: symbol of each class of the model.
        where: the file that they come from.
        words: of the graph by id; empty without a graph.
        tree: digest of the tree whose leaves the classes are; empty where they are units.
    """

    classes: list[str]
    where: Path
    words: list[str] = field(default_factory=list)
    tree: str = ""

    @property
    def digest(self) -> str:
        """Tells these from others: what is stored as numbers means another thing with others."""
        return hashlib.sha256(repr((self.classes, self.words, self.tree)).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Search:
    """What an engine is told besides scaled log-probabilities.

    Attributes:
        beam: in units of log-probabilities before they were scaled, as are the beams among an engine's settings.
        scale: what the log-probabilities were divided by, and beams are to be.
        word_penalty: added to the graph's cost of each word.
        lattice_beam: how much worse than the best path may be what a lattice keeps, counted as ``beam`` is.
    """

    beam: float
    scale: float
    word_penalty: float
    lattice_beam: float = 8.0


@dataclass
class BestPath:
    """The best path of one utterance.

    Attributes:
        utt_id: the utterance.
        classes: (T,) int32, the class of each frame; of none where no path was found.
        words: ids of the graph's words along it; none of an engine without a graph.
        emitted: the frame at which the path carries each word, not decreasing.
        score: its log-probability, of the scaled values.
        complete: whether it ends in a final state.
    """

    utt_id: str
    classes: np.ndarray
    words: list[int] = field(default_factory=list)
    emitted: list[int] = field(default_factory=list)
    score: float = 0.0
    complete: bool = True

    @classmethod
    def none(cls, utt_id: str) -> "BestPath":
        """Where nothing was found."""
        return cls(utt_id, np.zeros(0, dtype=np.int32), complete=False)


class SearchEngine(ABC):
    """Searches, and knows nothing of scales, the blank, spellings and times. Holds its graph until it is closed.

    Args:
        settings: the `Settings` of its module.
        symbols: of the model and the graph.
        graph: folder of the decoding graph; None only where `needs_graph` is False.
        device: where it runs, if it is not bound to the CPU.

    Raises:
        MissingInputError: a file of the graph is missing.
    """

    # Without, it gives the model's units, and words only as these spell them.
    needs_graph = True
    # Those of `AXES` that change what it finds.
    axes: tuple[str, ...] = AXES
    # Whether `lattices` does more than refuse.
    gives_lattices = False
    # Processes that search.
    jobs = 1
    # What it searches; other files, other words.
    files: list[Path]

    @abstractmethod
    def __init__(self, settings: Any, symbols: Symbols, graph: Path | None, device: str) -> None: ...

    @abstractmethod
    def search(self, utterances: Scaled, search: Search) -> list[BestPath]:
        """One path for each utterance, in the order given.

        Raises:
            DataError: a graph that cannot be used.
        """

    def lattices(self, utterances: Scaled, search: Search, then: Callable[[Lattice], Any]) -> list[Any]:
        """What ``then`` makes of the lattice of each utterance, in the order given.

        The best path of a lattice is that of `search`, where pruning leaves both the same choice. Its acoustic costs
        are those of the scaled log-probabilities, its graph costs those of the graph without the word penalty.

        Args:
            utterances: see `search`.
            search: with the lattice's beam.
            then: called where the lattice is, perhaps in another process, so it and its results can be pickled: whole
                lattices of a large set are more than fits in memory.

        Raises:
            ConfigError: this engine has none. DataError: a graph that cannot be used.
        """
        raise ConfigError("this engine gives no lattices: choose another, such as --engine kaldi")

    def close(self) -> None:
        """Let go of processes and memory."""


def packs(lens: Sequence[int], max_frames: int) -> Iterator[list[int]]:
    """Indices of utterances of ``lens`` frames, longest first, in packs of at most ``max_frames`` with padding.

    Each has at least one.
    """
    order = sorted(range(len(lens)), key=lambda i: (-lens[i], i))
    pack: list[int] = []
    for i in order:
        if pack and (len(pack) + 1) * lens[pack[0]] > max_frames:
            yield pack
            pack = []
        pack.append(i)
    if pack:
        yield pack
