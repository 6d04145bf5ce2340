"""Ids of what is extracted: known, and found to be different, before anything is written."""

import re
from collections.abc import Sequence

from asrpar.corpus.ids import id_fault
from asrpar.errors import DataError
from asrpar.feats.audio import speed_prefix
from asrpar.feats.prepared import Prepared
from asrpar.feats.storages.contract import FeatureStorage

# How Kaldi and ESPnet (and `speed_prefix`), Lhotse, and WeNet call copies at another speed or tempo; one of the groups
# is the original's id.
_COPY = re.compile(r"sp\d+(?:\.\d+)?-(?P<before>.+)|(?P<after>.+?)(?:[_-](?:sp|tp)|#)\d+(?:\.\d+)?")


def check_ids(cuts: Prepared, split: str, speeds: Sequence[float], storage: FeatureStorage) -> None:
    """Raise DataError if there are copies that others would be called like, or an id does not fit the storage.

    Args:
        cuts: the utterances, of different ids.
        split: for messages.
        speeds: of the copies that will be made of each.
        storage: where they will lie.
    """
    advice = f"split {split} holds copies at other speeds already: set speeds: [1.0], or take them out"
    prefixes = [speed_prefix(speed) for speed in speeds]
    if set(speeds) != {1.0}:
        given = set(cuts.ids)
        for name in cuts.ids:
            match = _COPY.fullmatch(name)
            original = match and (match["before"] or match["after"])
            if original in given:
                raise DataError(f"cut {name} is a copy of {original}: {advice}")
        if cuts.perturbed:
            raise DataError(f"recording {cuts.perturbed} is made faster or slower by its manifest: {advice}")
    for name in cuts.ids:
        for prefix in prefixes:
            key = prefix + name
            storage.check_id(key)
            fault = id_fault(key)
            if fault:
                raise DataError(
                    f"the id {key!r} {fault}, which files of transcripts, 'WORDS (id)', cannot hold: rename it"
                )
