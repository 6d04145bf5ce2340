"""Utterances to align: their features, their HMMs, and batches of them."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from asrpar.errors import DataError
from asrpar.feats.store import FeatureStore, Utterance
from asrpar.graph.utterance import UtteranceHmm, UtteranceHmms
from asrpar.log import get_logger

LOG = get_logger(__name__)
_COPY = re.compile(r"sp\d+(?:\.\d+)?-(?P<original>.+)")  # asrpar.feats.audio.speed_prefix


@dataclass(frozen=True)
class Item:
    """An utterance that has a path.

    Attributes:
        index: in the store.
        utterance: what the manifest says of it.
        frames: labels that it gets, fewer than its feature frames where a model subsamples.
        hmm: of its transcript.
    """

    index: int
    utterance: Utterance
    frames: int
    hmm: UtteranceHmm


class AlignSet:
    """A set of utterances with features.

    Attributes:
        store: its features.
        items: utterances that can be aligned, in the order of the features.
        left_out: why the others cannot, by id.
    """

    def __init__(self, store: FeatureStore, hmms: UtteranceHmms, subsampling: int = 1) -> None:
        """Make the HMMs.

        Args:
            store: the set's.
            hmms: of transcripts.
            subsampling: feature frames for each label.
        """
        self.store, self.items, self.left_out = store, [], {}
        of = cache(hmms.of)  # copies at other speeds have the same text
        for index, utterance in enumerate(store.utterances):
            frames = -(-utterance.num_frames // subsampling)
            try:
                hmm = of(utterance.text)
            except DataError as e:
                self.left_out[utterance.id] = str(e)
                continue
            fewest = hmm.net.fewest_frames
            if fewest > frames:
                self.left_out[utterance.id] = f"too short: {frames} frames, its states need {fewest}"
            else:
                self.items.append(Item(index, utterance, frames, hmm))

    def originals(self) -> list[Item]:
        """Items that are no copies at another speed."""
        ids = {u.id for u in self.store.utterances}
        copies = {item.utterance.id: _COPY.fullmatch(item.utterance.id) for item in self.items}
        return [x for x in self.items if not (m := copies[x.utterance.id]) or m["original"] not in ids]

    def check(self, max_left_out: float, where: str) -> None:
        """Tell of the utterances that are left out.

        Args:
            max_left_out: fraction; 1 for sets that are not to estimate on, which may have words that nobody knows.
            where: they are listed.

        Raises:
            DataError: they are more than that, or all.
        """
        count, total = len(self.left_out), len(self.store.utterances)
        if not count:
            return
        first = next(iter(self.left_out))
        kinds = Counter(reason.partition(":")[0] for reason in self.left_out.values())
        told = (
            f"{count} of {total} utterances of {self.store.split} cannot be aligned "
            f"({', '.join(f'{n} {kind}' for kind, n in kinds.items())}; {first}: {self.left_out[first]})"
        )
        if count == total or count > max_left_out * total:
            raise DataError(f"{told}: mend transcripts or lexicon, or raise max_left_out, which is {max_left_out:g}")
        LOG.warning("%s; they are listed in %s", told, where)


def batches(items: Sequence[Item], max_frames: int) -> Iterator[list[Item]]:
    """Items of like length, longest first; a batch has at most so many feature frames with padding, or one item."""
    batch: list[Item] = []
    for item in sorted(items, key=lambda x: (-x.utterance.num_frames, x.utterance.id)):
        if batch and (len(batch) + 1) * batch[0].utterance.num_frames > max_frames:
            yield batch
            batch = []
        batch.append(item)
    if batch:
        yield batch


def equal_alignment(states: int, frames: int, utterance: str = "") -> np.ndarray:
    """(T,) the state of each frame if all states are of equal length, up to one frame.

    Raises:
        DataError: fewer frames than states; the message names the utterance.
    """
    if frames < states:
        raise DataError(f"utterance {utterance} is too short: {frames} frames, its states need {states}")
    return np.arange(frames) * states // frames


def pdfs_of(hmms: UtteranceHmms, phones: Sequence[int]) -> np.ndarray:
    """(S, 2) the classes of the first and of later frames in each state of phones without contexts."""
    return np.array([[hmms.pdf((p,), k) for k in (s.first, s.later)] for p in phones for s in hmms.states(p)])


def along(states: np.ndarray, pdfs: np.ndarray) -> np.ndarray:
    """(T,) the class of each frame, if they are in ``states`` (T,), which do not fall, of which ``pdfs`` (S, 2) are."""
    later = np.diff(states, prepend=-1) == 0
    return pdfs[states, later.astype(np.int64)]
