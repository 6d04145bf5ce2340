"""Ids of what is extracted: known, and found to be different, before anything is written."""

import re
from collections.abc import Sequence

from lhotse import MonoCut

from asrpar.corpus.ids import id_fault
from asrpar.errors import DataError
from asrpar.feats.audio import speed_prefix
from asrpar.feats.storages.contract import FeatureStorage

# How Kaldi and ESPnet, Lhotse, and WeNet call copies at another speed or tempo; one of the groups is the original's id.
_COPY = re.compile(r"sp\d+(?:\.\d+)?-(?P<before>.+)|(?P<after>.+?)(?:[_-](?:sp|tp)|#)\d+(?:\.\d+)?")


def check_ids(cuts: Sequence[MonoCut], split: str, speeds: Sequence[float], storage: FeatureStorage) -> None:
    """Raise DataError if two of a split's copies would have one id, or an id does not fit the storage.

    Args:
        cuts: the utterances, of different ids.
        split: for messages.
        speeds: of the copies that will be made of each.
        storage: where they will lie.
    """
    given = {cut.id for cut in cuts}
    advice = f"split {split} holds copies at other speeds already: set speeds: [1.0], or take them out"
    if set(speeds) != {1.0}:
        for cut in cuts:
            match = _COPY.fullmatch(cut.id)
            original = match and (match["before"] or match["after"])
            if original in given:
                raise DataError(f"cut {cut.id} is a copy of {original}: {advice}")
            if any(_name(t) in ("Speed", "Tempo") for t in cut.recording.transforms or ()):
                raise DataError(f"recording {cut.recording.id} is made faster or slower by its manifest: {advice}")
    made: dict[str, str] = {}
    for cut in cuts:
        for speed in speeds:
            key = speed_prefix(speed) + cut.id
            if key in made:
                raise DataError(f"the copies of {made[key]} and {cut.id} would both be called {key}: {advice}")
            made[key] = cut.id
    for key in made:
        storage.check_id(key)
        fault = id_fault(key)
        if fault:
            raise DataError(f"the id {key!r} {fault}, which files of transcripts, 'WORDS (id)', cannot hold: rename it")


def _name(transform: object) -> object:
    return transform.get("name") if isinstance(transform, dict) else type(transform).__name__
