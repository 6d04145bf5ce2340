"""Labels of frames from an ALI folder, and whether they are labels of what a training is on."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, islice

import numpy as np

from asrpar.errors import DataError
from asrpar.feats.config import FeatureConfig, read_settings
from asrpar.feats.store import FeatureStore
from asrpar.hmm.alignments import MADE_BY, Alignments
from asrpar.lang.lang import Lang
from asrpar.log import get_logger
from asrpar.nn.objective import FrameLabels
from asrpar.train.config import DataConfig
from asrpar.train.identity import aligned_sets, summary

LOG = get_logger(__name__)
# Utterances of which the lengths of phones are looked at, and the share of short ones that is worth a line.
LOOKED_AT, SHORT_PHONES = 2000, 0.05


def open_alignments(data: DataConfig) -> Alignments | None:
    """The ALI folder of the settings; None if they name none. Raises `AsrparError` where it is none."""
    return Alignments.open(data.ali) if data.ali else None


def frame_labels(found: Alignments, data: DataConfig, subsampling: int) -> FrameLabels:
    """Labels for the training and dev sets.

    Args:
        found: the ALI folder.
        data: where all is.
        subsampling: input frames for each output frame of the model.

    Raises:
        DataError: labels of other frames, or of other sets.
    """
    tree, sets = found.tree, aligned_sets(found, data)
    check_frames(found, data, read_settings(data.feats), subsampling)
    warn_of_short_phones(found, data.train, subsampling)
    silences = tuple(i for i in range(tree.num_pdfs) if all(tree.phones.is_silence(p) for p, _ in tree.phones_of(i)))
    labels = LabelsOfSets([found.labels(split) for split in sets])

    def lengths(ids: Sequence[str]) -> np.ndarray:
        counts = found.label_counts(sets[0], ids)
        for split in sets[1:]:
            # Of millions of utterances most are in the first set.
            lacking = np.flatnonzero(counts <= 0).tolist()
            counts[lacking] = found.label_counts(split, [ids[i] for i in lacking])
        return counts

    counts = found.counts(data.train)
    return FrameLabels(tree.num_pdfs, labels, tuple(tree.names), counts, silences, tree.digest, lengths)


class LabelsOfSets(Mapping[str, np.ndarray]):
    """Labels of several sets; those of the first that has an utterance.

    As a `ChainMap`, which would read them twice, once to know whether they are there.
    """

    def __init__(self, sets: Sequence[Mapping[str, np.ndarray]]) -> None:
        self._sets = sets

    def __getitem__(self, utterance: str) -> np.ndarray:
        for labels in self._sets:
            with contextlib.suppress(KeyError):
                return labels[utterance]
        raise KeyError(utterance)

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(chain.from_iterable(self._sets)))

    def __len__(self) -> int:
        return len(set(self))


def frame_shift(features: FeatureConfig) -> float:
    """Seconds between two feature frames."""
    # 0.01 s is Lhotse's default, which a configuration may leave out.
    return float(features.fbank.get("frame_shift", 0.01))


def check_frames(found: Alignments, data: DataConfig, features: FeatureConfig, subsampling: int) -> None:
    """Raise `DataError` unless labels are one for each feature frame, or for each output frame of the model."""
    shift = frame_shift(features)
    if abs(found.frame_shift - shift) > 1e-6:
        raise DataError(
            f"{data.ali} has labels of features every {found.frame_shift:g} s, but those in {data.feats} come every "
            f"{shift:g} s: run {MADE_BY} on these features"
        )
    if found.subsampling not in (1, subsampling):
        raise DataError(
            f"{data.ali} has a label for every {found.subsampling} frames, but the model gives an output for every "
            f"{subsampling}: set the model's subsampling to {found.subsampling}, or align frame by frame"
        )


def warn_of_short_phones(found: Alignments, split: str, subsampling: int) -> None:
    """Tell of a model with fewer output frames than phones have states: nothing refuses it, and words get lost."""
    segments = found.segments(split) if subsampling > found.subsampling else None
    if segments is None:
        return
    states = np.array([0, *(len(found.tree.states(phone)) for phone in found.tree.phones.ids)])
    looked_at = [segments[name] for name in islice(segments, LOOKED_AT)]
    phones, lengths = (np.concatenate([getattr(s, of) for s in looked_at]) for of in ("phones", "lengths"))
    share = (lengths * found.subsampling < states[phones] * subsampling).mean()
    if share > SHORT_PHONES:
        LOG.warning(
            "%.0f %% of the phones in %s are shorter than their states with an output of the model every %d frames: "
            "decoding will not find them. Set models.NAME.subsampling to %d, or align with --set topology=one_state",
            100 * share, found.folder, subsampling, found.subsampling,
        )  # fmt: skip


def check_alignments(found: Alignments, data: DataConfig, lang: Lang, stores: Sequence[FeatureStore]) -> None:
    """Raise `DataError` unless the utterances of ``stores`` and the units of ``lang`` are those that were aligned."""
    for store in stores:
        found.check(store.split, frame_shift(store.config), summary(store.utterances))
    units, phones = list(lang.tokens[1:]), list(found.tree.phones.names)
    # Of imported alignments nobody knows the language folder.
    if found.info.lang and phones[: len(units)] != units:
        raise DataError(f"{data.ali} has other phones than {data.lang}: run {MADE_BY} with this language folder")
