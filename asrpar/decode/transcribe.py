"""Words of single recordings, from a model that knows its features and units."""

import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
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

# Output frames that are searched at a time: enough for all processes, and no more in memory.
SEARCHED = 20_000


def names_of(paths: Sequence[Path], one_field: bool = False) -> list[str]:
    """What to call recordings: by their file's name without extension, where that is different, else by their path.

    Args:
        paths: the files.
        one_field: for files in which a name has to be one field, such as trn and ctm.

    Raises:
        DataError: a file that is there twice, or a name that the output cannot hold.
    """
    stems = Counter(path.stem for path in paths)
    names = [path.stem if stems[path.stem] == 1 else str(path) for path in paths]
    for name, count in Counter(names).items():
        if count > 1:
            raise DataError(f"{name} is given {count} times")
        fault = id_fault(name) if one_field else None
        control = any(unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") for char in name)
        if control:
            fault = "has a line break, a tab or another control character in it"
        if fault:
            hint = "" if control else "; --format text can"
            raise DataError(f"the name of the recording {name!r} {fault}, which the output cannot hold{hint}")
    return names


def transcribe(
    module: torch.nn.Module,
    front_end: FrontEnd,
    decoder: Decoder,
    point: SearchPoint,
    recordings: Mapping[str, Path],
    device: str,
) -> Iterator[Hypothesis]:
    """The best path of each recording, by its name and in the order given; all headers are looked at before the first.

    Raises:
        DataError: a recording cannot be taken.
    """
    for path in recordings.values():
        front_end.check(path)
    waiting: list[tuple[str, np.ndarray]] = []
    for name, path in recordings.items():
        features = front_end.features(path, name)
        output = run_model(module, [_batch(name, features)], device)
        if output.unusable:
            raise DataError(f"the model's output is NaN for {path}")
        waiting += output.log_probs
        if sum(len(x) for _, x in waiting) >= SEARCHED:
            yield from _searched(decoder, point, waiting)
            waiting = []
    yield from _searched(decoder, point, waiting)


def _searched(decoder: Decoder, point: SearchPoint, waiting: list[tuple[str, np.ndarray]]) -> Iterator[Hypothesis]:
    for hypothesis in decoder.decode(waiting, point) if waiting else ():
        if not hypothesis.complete:
            LOG.warning("%s reached no final state: its best unfinished path is taken", hypothesis.utt_id)
        yield hypothesis


def _batch(name: str, features: np.ndarray) -> Batch:
    frames, width = features.shape
    # As long as batches are elsewhere, so that one recording by itself gives what it gives in a set.
    x = torch.zeros(1, padded(frames), width)
    x[0, :frames] = torch.from_numpy(features)
    return Batch(x, torch.tensor([frames]), [""], [name], frames, frames, 0, 0)
