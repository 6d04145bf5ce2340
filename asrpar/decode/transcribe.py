"""Words of single recordings of any length, from a model that knows its features and units."""

import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from asrpar.corpus.ids import id_fault
from asrpar.decode.acoustic import run_model
from asrpar.decode.decoder import Decoder
from asrpar.decode.scales import SearchPoint
from asrpar.decode.words import Hypothesis
from asrpar.errors import DataError
from asrpar.feats.batches import Batch
from asrpar.feats.plan import padded
from asrpar.feats.recording import FrontEnd
from asrpar.log import get_logger

LOG = get_logger(__name__)

# Output frames that are searched at a time, enough for all processes; and numbers, so that 32,000 classes fit as well.
SEARCHED, NUMBERS = 20_000, 50_000_000


def names_of(paths: Sequence[Path], one_field: bool = False, by_stem: bool = False) -> list[str]:
    """What to call recordings: by their file's name without extension, where that is different, else by their path.

    Args:
        paths: the files.
        one_field: for files in which a name has to be one field, such as trn and ctm.
        by_stem: for files that are called so, each recording its own: paths do not do.

    Raises:
        DataError: a file that is there twice, or a name that the output cannot hold.
    """
    stems = Counter(path.stem for path in paths)
    names = [path.stem if stems[path.stem] == 1 or by_stem else str(path) for path in paths]
    for name, count in Counter(names).items():
        if count > 1:
            more = ": files of that name would be written over each other" if by_stem else ""
            raise DataError(f"{name} is given {count} times{more}")
        fault = id_fault(name) if one_field else None
        control = any(unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") for char in name)
        if control:
            fault = "has a line break, a tab or another control character in it"
        if fault:
            hint = "" if control else "; --format text can"
            raise DataError(f"the name of the recording {name!r} {fault}, which the output cannot hold{hint}")
    return names


@dataclass
class Transcript:
    """What was recognised in a recording.

    Attributes:
        name: of the recording.
        path: its file.
        hypothesis: words and their times in the recording.
        pieces: seconds at which pieces begin that it was recognised in; one of a recording that was taken as a whole.
    """

    name: str
    path: Path
    hypothesis: Hypothesis
    pieces: list[float] = field(default_factory=list)

    def add(self, begin: float, found: Hypothesis) -> None:
        """The next piece, which begins at second ``begin``."""
        whole = self.hypothesis
        self.pieces.append(begin)
        whole.words += found.words
        whole.start_times += [begin + time for time in found.start_times]
        whole.end_times += [begin + time for time in found.end_times]
        whole.score += found.score
        whole.complete = whole.complete and found.complete


def transcribe(
    module: torch.nn.Module,
    front_end: FrontEnd,
    decoder: Decoder,
    point: SearchPoint,
    recordings: Mapping[str, Path],
    device: str,
) -> Iterator[Transcript]:
    """What is said in each recording, in the order given; all headers are looked at before the first.

    Memory holds one piece of audio, and log-probabilities of some minutes.

    Raises:
        DataError: a recording cannot be taken.
    """
    for path in recordings.values():
        if done := front_end.check(path):
            LOG.info("%s: %s", path, done)
    waiting: list[tuple[Transcript, float, np.ndarray]] = []
    open_ones: list[Transcript] = []
    for name, path in recordings.items():
        open_ones.append(Transcript(name, path, Hypothesis(name)))
        for piece in front_end.pieces(path, name):
            output = run_model(module, [_batch(name, piece.features)], device)
            if output.unusable:
                raise DataError(f"the model's output is NaN for {path}")
            waiting.append((open_ones[-1], piece.begin, output.log_probs[0][1]))
            frames = sum(len(x) for *_, x in waiting)
            if frames >= SEARCHED or frames * waiting[0][2].shape[1] >= NUMBERS:
                _search(decoder, point, waiting)
                yield from open_ones[:-1]
                waiting, open_ones = [], open_ones[-1:]
    _search(decoder, point, waiting)
    yield from open_ones


def _search(decoder: Decoder, point: SearchPoint, waiting: list[tuple[Transcript, float, np.ndarray]]) -> None:
    """Let the transcripts of pieces grow by what is recognised in these."""
    if not waiting:
        return
    found = decoder.decode([(str(number), x) for number, (*_, x) in enumerate(waiting)], point)
    for hypothesis, (transcript, begin, _) in zip(found, waiting, strict=True):
        if not hypothesis.complete:
            LOG.warning(
                "%s%s reached no final state: its best unfinished path is taken",
                transcript.name, f" from {begin:.1f} s on" if begin else "",
            )  # fmt: skip
        transcript.add(begin, hypothesis)


def _batch(name: str, features: np.ndarray) -> Batch:
    frames, width = features.shape
    # As long as batches are elsewhere, so that one recording by itself gives what it gives in a set.
    x = torch.zeros(1, padded(frames), width)
    x[0, :frames] = torch.from_numpy(features)
    return Batch(x, torch.tensor([frames]), [""], [name], frames, frames, 0, 0)
