"""What every decoding engine takes and gives."""

import importlib
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from asrpar.decode.config import ENGINES, DecodeConfig
from asrpar.errors import ConfigError, DataError
from asrpar.files.checksums import check_checksums
from asrpar.lang.symbols import read_symbols

MADE_BY = "asrpar make-graph (stage 5)"


@dataclass(frozen=True)
class SearchPoint:
    """One point of the grid that is searched on dev."""

    lm_scale: float = 1.0
    beam: float = 16.0
    word_penalty: float = 0.0
    blank_penalty: float = 0.0


DEFAULT_POINT = SearchPoint()


@dataclass
class Hypothesis:
    """The best path of one utterance.

    ``words[i]`` lasts from ``start_times[i]`` to ``end_times[i]``, in seconds. ``score`` is the path's log-probability,
    acoustic plus ``lm_scale`` times graph. ``complete`` is False when no final state was reached (the words are then
    those of the best unfinished path, perhaps none).
    """

    utt_id: str
    words: list[str] = field(default_factory=list)
    start_times: list[float] = field(default_factory=list)
    end_times: list[float] = field(default_factory=list)
    score: float = 0.0
    complete: bool = True


class Engine(ABC):
    """Turns log-probabilities into words. Holds its graph; use it in a ``with`` block."""

    name = ""
    # What the "words" of a hypothesis are: "words", or "tokens" for a phone sequence.
    unit = "words"
    # Processes that search.
    jobs = 1
    # The symbols of the classes, and the file that they come from.
    classes: list[str]
    tokens_file: Path
    # What it searches; other files, other words.
    files: list[Path]

    @abstractmethod
    def decode(
        self, utterances: Sequence[tuple[str, np.ndarray]], point: SearchPoint = DEFAULT_POINT
    ) -> list[Hypothesis]:
        """Decode utterances.

        Args:
            utterances: pairs of id and log-probabilities (T, C) float32, class 0 blank; a torch tensor will do too.
            point: scales and beam.

        Returns:
            One hypothesis for each utterance, in the order given.
        """

    def close(self) -> None:
        """Let go of processes and memory."""

    def __enter__(self) -> "Engine":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def make_engine(
    config: DecodeConfig, graph: Path | None, frame_seconds: float, lang: Path | None = None, device: str = "cpu"
) -> Engine:
    """Build the engine that ``config.engine`` names.

    Args:
        config: validated settings.
        graph: folder with ``HLG.fst`` or ``HLG.pt``, ``words.txt``, ``tokens.txt``; greedy needs tokens only.
        frame_seconds: time between two rows of the log-probabilities.
        lang: language folder; its lexicon makes word times exact, and greedy takes its tokens.
        device: where the k2 engine runs.

    Raises:
        ConfigError: a setting or folder that this engine needs is not given.
        MissingInputError: a file of the graph is missing.
    """
    module, cls = ENGINES[config.engine]
    engine: Any = getattr(importlib.import_module(module), cls)
    return engine(config, graph, frame_seconds, lang=lang, device=device)


def read_words(graph: Path) -> list[str]:
    """The words of a decoding graph by id. Raises `DataError` for a words.txt that is not as it was made."""
    words = read_symbols(graph / "words.txt", MADE_BY)
    check_checksums(graph, ["words.txt"], MADE_BY)
    return words


def device_of(name: str) -> str:
    """The device that the setting ``device`` means here. Raises `ConfigError` if there is none."""
    import torch

    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError("device: cuda was asked for, but torch sees no CUDA device here")
    return ("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name


def read_classes(path: str | Path) -> list[str]:
    """The model's classes: the symbols of ``tokens.txt`` without the disambiguation symbols #0, #1, ..."""
    symbols = read_symbols(path, MADE_BY)
    first = next((i for i, s in enumerate(symbols) if re.fullmatch(r"#\d+", s)), len(symbols))
    if any(not re.fullmatch(r"#\d+", s) for s in symbols[first:]):
        raise DataError(f"{path}: disambiguation symbols must come after all tokens")
    return symbols[:first]


def check_num_classes(found: int, classes: Sequence[str], where: str | Path) -> None:
    """Raise `DataError` unless a model with ``found`` classes can be decoded with ``classes``."""
    if found != len(classes):
        raise DataError(
            f"the model has {found} classes, but {where} has {len(classes)} tokens: "
            "decode with the graph of the language folder that the model was trained with"
        )


def to_array(log_probs: Any, point: SearchPoint | None = None) -> np.ndarray:
    """A C-contiguous float32 copy (T, C), blank penalised and divided by the LM scale; the input stays as it is."""
    x = np.array(log_probs.cpu() if hasattr(log_probs, "cpu") else log_probs, dtype=np.float32, order="C")
    if x.ndim != 2:
        raise DataError(f"log-probabilities must be (T, C), not of shape {x.shape}")
    if point is not None and point.blank_penalty and x.shape[1]:
        x[:, 0] -= point.blank_penalty
    if point is not None and point.lm_scale != 1.0:
        x /= point.lm_scale
    return x


def packs(utterances: Sequence[tuple[str, Any]], max_frames: int) -> Iterator[list[int]]:
    """Indices of utterances, longest first, in packs whose padded size is at most ``max_frames`` (one at least)."""
    order = sorted(range(len(utterances)), key=lambda i: (-len(utterances[i][1]), i))
    pack: list[int] = []
    for i in order:
        if pack and (len(pack) + 1) * len(utterances[pack[0]][1]) > max_frames:
            yield pack
            pack = []
        pack.append(i)
    if pack:
        yield pack
