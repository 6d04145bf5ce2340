"""Log-probabilities to words: an engine, scales in front of it, and behind it what reads words out of its paths."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from asrpar.decode.config import DecodeConfig
from asrpar.decode.engine import BestPath, Search, SearchEngine, Symbols
from asrpar.decode.engines import ENGINES
from asrpar.decode.lattices.lattice import Lattice
from asrpar.decode.lexicon import lexicon_of, phone_lexicon_of
from asrpar.decode.phones import PhoneRuns
from asrpar.decode.scales import DEFAULT_POINT, Scaled, SearchPoint
from asrpar.decode.times import token_runs
from asrpar.decode.words import GraphReader, Hypothesis, Reader, UnitReader, hypothesis_of
from asrpar.errors import ConfigError, DataError
from asrpar.files.checksums import check_checksums
from asrpar.graph.folder import MADE_BY, TREE, graph_topology, graph_tree
from asrpar.hmm.topologies import TOPOLOGIES
from asrpar.lang.symbols import read_symbols


@dataclass(frozen=True)
class _Unscaled:
    """Takes the scales of a search off its lattices; can be pickled."""

    point: SearchPoint
    blank: int | None
    then: Callable[[Lattice], Any] | None

    def __call__(self, lattice: Lattice) -> Any:
        found = lattice.unscaled(self.point, self.blank)
        return found if self.then is None else self.then(found)


class Decoder:
    """Turns log-probabilities into words. Use it in a ``with`` block, which closes its engine.

    Args:
        name: of the engine.
        engine: what searches.
        symbols: of the model and the graph.
        reader: what makes words of paths.
        frame_seconds: time between two rows of the log-probabilities.
        blank: the blank class, None without one.
        files: what decides the words besides the engine's files.
    """

    def __init__(
        self,
        name: str,
        engine: SearchEngine,
        symbols: Symbols,
        reader: Reader,
        frame_seconds: float,
        blank: int | None,
        files: Sequence[Path] = (),
    ) -> None:
        self.name = name
        self.symbols = symbols
        self.unit = reader.unit
        self.jobs = engine.jobs
        self.files = [*engine.files, *files]
        self.gives_lattices = engine.gives_lattices
        self.blank = blank
        # What can be swept: without a blank there is nothing to penalise.
        self.axes = tuple(axis for axis in engine.axes if axis != "blank_penalty" or blank is not None)
        self.frame_seconds = frame_seconds
        self._engine, self._reader = engine, reader

    def search(
        self, utterances: Sequence[tuple[str, np.ndarray]], point: SearchPoint = DEFAULT_POINT
    ) -> list[BestPath]:
        """The best path of each utterance, in the order given; scores are those of the scaled log-probabilities.

        Args:
            utterances: pairs of id and log-probabilities (T, C) float32; a torch tensor will do too.
            point: scales, penalties and beam.

        Raises:
            DataError: log-probabilities or a graph that cannot be used.
        """
        return self._engine.search(*self._asked(utterances, point))

    def lattices(
        self,
        utterances: Sequence[tuple[str, np.ndarray]],
        point: SearchPoint,
        lattice_beam: float,
        then: Callable[[Lattice], Any] | None = None,
    ) -> list[Any]:
        """What a search at ``point`` keeps of each utterance, in the order given; costs are those of no scale.

        Args:
            utterances: see `search`.
            point: of the search.
            lattice_beam: how much worse than the best path may be what is kept, counted as beams are.
            then: what to make of each lattice, where it is; see `SearchEngine.lattices`. Without, the lattices come.

        Raises:
            ConfigError: the engine gives no lattices. DataError: see `search`.
        """
        scaled, asked = self._asked(utterances, point)
        return self._engine.lattices(
            scaled, replace(asked, lattice_beam=lattice_beam), _Unscaled(self._used(point), self.blank, then)
        )

    def words(self, paths: Sequence[BestPath]) -> dict[str, list[str]]:
        """The words of each path, by utterance; times cost more than these."""
        return {path.utt_id: self._reader.words(path) for path in paths}

    def hypotheses(self, paths: Sequence[BestPath], point: SearchPoint) -> list[Hypothesis]:
        """Words, times and scores of paths that were found at ``point``."""
        scale = self._used(point).lm_scale
        found = (hypothesis_of(self._reader, path, self.frame_seconds) for path in paths)
        return [replace(h, score=h.score * scale) for h in found]

    def decode(
        self, utterances: Sequence[tuple[str, np.ndarray]], point: SearchPoint = DEFAULT_POINT
    ) -> list[Hypothesis]:
        """`search`, then `hypotheses`."""
        return self.hypotheses(self.search(utterances, point), point)

    def close(self) -> None:
        """Let go of the engine's processes and memory."""
        self._engine.close()

    def __enter__(self) -> "Decoder":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _asked(self, utterances: Sequence[tuple[str, np.ndarray]], point: SearchPoint) -> tuple[Scaled, Search]:
        for _, log_probs in utterances[:1]:
            check_num_classes(log_probs.shape[1], self.symbols.classes, self.symbols.where)
        used = self._used(point)
        return Scaled(utterances, used, self.blank), Search(used.beam, used.lm_scale, used.word_penalty)

    def _used(self, point: SearchPoint) -> SearchPoint:
        return SearchPoint(**{axis: getattr(point, axis) for axis in self.axes})


def make_decoder(
    config: DecodeConfig,
    graph: Path | None,
    frame_seconds: float,
    lang: Path | None = None,
    device: str = "cpu",
    units: Symbols | None = None,
    blank: int | None = 0,
) -> Decoder:
    """Build what ``config.engine`` names, and what belongs around it.

    Args:
        config: validated settings.
        graph: folder of the decoding graph; an engine without one needs the tokens of it or of ``lang`` only.
        frame_seconds: time between two rows of the log-probabilities.
        lang: language folder; its lexicon makes word times exact.
        device: where an engine runs that can do so elsewhere than on the CPU.
        units: that the model knows itself, instead of tokens of a folder; only without a graph.
        blank: the model's blank class, None if it has none.

    Raises:
        ConfigError: a setting or folder that this engine needs is not given; blank penalties without a blank.
        MissingInputError: a file of the graph is missing.
        DataError: a graph for models of other classes.
    """
    kind = ENGINES.load(config.engine)
    if blank is None and any(config.blank_penalties):
        raise ConfigError(
            f"blank_penalties: {config.blank_penalties} are for models with a blank class, which this one does not "
            "have: set blank_penalties to [0]"
        )
    files = []
    if kind.needs_graph:
        if graph is None:
            raise ConfigError(f"the {config.engine} engine needs --graph; --engine greedy decodes without one")
        check_blank(blank, graph)
        symbols, reader = graph_reader(graph, lang, blank)
        files = [graph / "words.txt", symbols.where]
    else:
        symbols = units or _units(config.engine, lang or graph)
        files = [] if units else [symbols.where]
        reader = UnitReader(symbols.classes, blank)
    settings = ENGINES.settings(config.engine, config.engines)
    engine = kind(settings, symbols, graph, device)
    return Decoder(config.engine, engine, symbols, reader, frame_seconds, blank, files)


def graph_reader(graph: Path, lang: Path | None, blank: int | None) -> tuple[Symbols, Reader]:
    """The classes and words of a graph, and what reads words out of its paths."""
    tree = graph_tree(graph)
    if tree is None:
        symbols = Symbols(read_classes(graph / "tokens.txt"), graph / "tokens.txt", read_words(graph))
        return symbols, GraphReader(symbols.words, lexicon_of(lang, symbols.classes), partial(token_runs, blank=blank))
    symbols = Symbols(tree.names, graph / TREE, read_words(graph), tree.digest)
    runs = PhoneRuns(tree)
    return symbols, GraphReader(symbols.words, phone_lexicon_of(lang, tree.phones, runs.read_as), runs)


def _units(engine: str, folder: Path | None) -> Symbols:
    if folder is None:
        raise ConfigError(f"the {engine} engine needs tokens.txt: give --lang (or --graph)")
    return Symbols(read_classes(folder / "tokens.txt"), folder / "tokens.txt")


def read_words(graph: Path) -> list[str]:
    """The words of a decoding graph by id. Raises `DataError` for a words.txt that is not as it was made."""
    words = read_symbols(graph / "words.txt", MADE_BY)
    check_checksums(graph, MADE_BY)
    return words


def read_classes(path: str | Path) -> list[str]:
    """The model's classes: the symbols of ``tokens.txt`` without the disambiguation symbols #0, #1, ..."""
    symbols = read_symbols(path, MADE_BY)
    first = next((i for i, s in enumerate(symbols) if re.fullmatch(r"#\d+", s)), len(symbols))
    if any(not re.fullmatch(r"#\d+", s) for s in symbols[first:]):
        raise DataError(f"{path}: disambiguation symbols must come after all tokens")
    return symbols[:first]


def check_blank(blank: int | None, graph: Path) -> None:
    """Raise `DataError` unless the graph's topology, if it says which it is, has the model's blank class, or none."""
    if graph_tree(graph) is not None:
        made, found = "a tree", None  # of states that perhaps no topology here has
    elif name := graph_topology(graph):
        made, found = f"the topology {name}", TOPOLOGIES.load(name).blank
    else:
        return
    if found != blank:
        here, there = ("has no blank class" if x is None else f"has class {x} for blank" for x in (blank, found))
        raise DataError(
            f"the model {here}, but {graph} was made with {made}, which {there}: make a graph with the "
            "topology of the model's loss, or with the tree of its alignment (asrpar make-graph, stage 5)"
        )


def check_num_classes(found: int, classes: Sequence[str], where: str | Path) -> None:
    """Raise `DataError` unless a model with ``found`` classes can be decoded with ``classes``."""
    if found != len(classes):
        raise DataError(
            f"the model has {found} classes, but {where} has {len(classes)} tokens or pdfs: decode with the graph of "
            "the language folder, or of the tree, that the model was trained with"
        )
