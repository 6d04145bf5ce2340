"""Settings of feature extraction, SpecAugment and batches."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import yaml

from asrpar.config import check, from_values, load_config
from asrpar.errors import ConfigError
from asrpar.feats.fbank import check_fbank
from asrpar.feats.storages import STORAGES
from asrpar.files.text import read_text
from asrpar.rules import at_least, fraction, need, not_negative, one_of

# Of `BatchConfig.size`.
AUTO = "auto"
NORMALISATIONS = ("none", "global", "speaker", "utterance")
# More would fill the memory: of `InputConfig.splice`, and of `BatchConfig.context`.
MOST_NEIGHBOURS, MOST_CONTEXT = 200, 10_000


@dataclass
class FeatureConfig:
    """Settings of `asrpar extract-features`; written whole to ``FEATS/feats.yaml``.

    Attributes:
        fbank: any setting of Lhotse's FbankConfig: Kaldi's names, but times in seconds, and dither and energy_floor for
            samples of -1 to 1. sampling_rate is taken from the recordings unless it is given here.
        from_kaldi: take the matrices that MANIFESTS/feats_<split>.scp (of import-kaldi) names instead of computing any.
            Of `fbank` only frame_shift and frame_length count then, to compare frames with durations; num_filters
            becomes their width.
        resample: resample recordings of another rate instead of refusing them.
        normalize: none | global | speaker | utterance: whose mean and variance are taken out when batches are made.
            Where speakers are known, speaker; see docs/features.md.
        speeds: copies of each training utterance.
        storage: how matrices lie on disk.
        storages: settings of storages by name, such as ``{shards: {dtype: float16}}``.
        min_frames: shorter utterances are dropped: no word fits, and subsampling leaves nothing of them.
        silence_range: an utterance is silent when its samples (full scale: -1 to 1) span less than this.
        clip_fraction: an utterance is clipped when more of its samples than this stick at the extremes.
        max_bad_fraction: more dropped utterances than this in one split are an error.
        seed: of dither, where fbank.dither is not 0.
    """

    MOVED: ClassVar[dict[str, str]] = {"dtype": "storages.shards.dtype"}

    fbank: dict[str, Any] = field(default_factory=lambda: {"num_filters": 80})
    from_kaldi: bool = False
    resample: bool = False
    normalize: str = "global"
    speeds: list[float] = field(default_factory=lambda: [0.9, 1.0, 1.1])
    storage: str = field(default="shards", metadata=STORAGES.chosen)
    storages: dict[str, Any] = field(default_factory=dict)
    min_frames: int = 12
    silence_range: float = 2e-4
    clip_fraction: float = 0.01
    max_bad_fraction: float = 0.1
    seed: int = 0

    def validate(self) -> None:
        one_of(self, "normalize", NORMALISATIONS)
        distinct = bool(self.speeds) and len(set(self.speeds)) == len(self.speeds)
        need(self, "speeds", distinct, "must be different numbers, for example [0.9, 1.0, 1.1]")
        # So they are called in ids.
        distinct = len({f"{speed:g}" for speed in self.speeds}) == len(self.speeds)
        need(self, "speeds", distinct, "must have numbers that differ in their first six digits, which ids are made of")
        need(self, "speeds", all(0.5 <= s <= 2.0 for s in self.speeds), "must have numbers from 0.5 to 2.0")
        if self.from_kaldi and self.speeds != [1.0]:
            raise ConfigError(
                f"from_kaldi: features that are there already have one speed: set speeds: [1.0], not {self.speeds}"
            )
        at_least(self, 1, "min_frames")
        fraction(self, "silence_range", "clip_fraction", "max_bad_fraction")
        check_fbank(self.fbank)


def read_settings(feats_dir: str | Path) -> FeatureConfig:
    """The settings that features were extracted with, of earlier versions, too.

    Raises:
        ConfigError: ``feats.yaml`` is missing or not what `asrpar extract-features` writes.
    """
    path = Path(feats_dir) / "feats.yaml"
    try:
        return load_config(FeatureConfig, path)
    except ConfigError:
        old = re.search(r"^dtype: (\w+)\n", read_text(path), re.MULTILINE) if path.is_file() else None
        if old is None:
            raise
    values = yaml.safe_load(read_text(path).replace(old[0], ""))
    values["storages"] = {"shards": {"dtype": old[1]}} if values.get("storage") == "shards" else {}
    config = from_values(FeatureConfig, values, f"{path}: ")
    check(config)
    return config


@dataclass
class AugmentConfig:
    """SpecAugment and random starts, drawn anew for each utterance of each batch.

    Attributes:
        probability: fraction of the utterances that are augmented.
        time_masks: at most so many runs of frames are blanked out.
        time_mask_frames: widest mask.
        time_mask_fraction: and never a larger part of the utterance than this.
        frequency_masks: bands of filters.
        frequency_mask_bins: widest mask.
        time_warp: farthest shift of a random frame, in frames; 0 switches warping off.
        random_start: begin an utterance at any of the frames that the model's `subsampling` makes one of; false: at
            the first.
    """

    probability: float = 1.0
    time_masks: int = 2
    time_mask_frames: int = 40
    time_mask_fraction: float = 0.2
    frequency_masks: int = 2
    frequency_mask_bins: int = 20
    time_warp: int = 0
    random_start: bool = True

    def validate(self) -> None:
        not_negative(self, "time_masks", "time_mask_frames", "frequency_masks", "frequency_mask_bins", "time_warp")
        fraction(self, "probability", "time_mask_fraction")


@dataclass
class BatchConfig:
    """How utterances are put into batches and dealt to learners.

    Attributes:
        pieces: what a batch is put together from. utterances: whole ones, of like lengths | windows: utterances are cut
            into windows without overlap, and those of many utterances are shuffled | frames: single frames of many
            utterances, each with the context that the model asks for; for feed-forward models. The last two need
            labels of frames.
        window: frames of a window.
        context: frames before and after a window that are shown with it and are in no loss, such as [10, 10].
        pool_frames: frames of utterances among which windows or frames are shuffled, the same ones on all learners. Two
            such pools may be in memory.
        unit: what `size` counts: frames (without padding) | utterances | windows.
        size: frames or utterances of a batch; see unit and per. auto: as many as fit in the memory of each learner,
            found by a few steps before the training; ``config.yaml`` has what was found.
        memory_mb: of auto: what a step may take beside weights, gradients and the optimizer's state. 0: most of what is
            free on the learner's GPU.
        per: global: `size` over all learners, whatever their number | learner: `size` for each.
        deal: equal: a share of each global batch to each learner | on_demand: the next share to whoever is ready |
            auto: on_demand where learners go at their own pace.
        max_frames_per_learner: with padding to the longest utterance; bounds memory. 0: no bound.
        num_buckets: groups of like length from which batches of utterances are drawn.
        cache_mb: normalised features kept in memory by each learner.
        prefetch: batches made ahead of the trainer.
    """

    pieces: str = "utterances"
    window: int = 21
    context: list[int] = field(default_factory=lambda: [0, 0])
    pool_frames: int = 500000
    unit: str = "frames"
    size: int | str = 20000
    memory_mb: int = 0
    per: str = "global"
    deal: str = "auto"
    max_frames_per_learner: int = 0
    num_buckets: int = 20
    cache_mb: int = 2000
    prefetch: int = 4
    augment: AugmentConfig = field(default_factory=AugmentConfig)

    def validate(self) -> None:
        one_of(self, "pieces", ("utterances", "windows", "frames"))
        one_of(self, "unit", ("frames", "utterances", "windows"))
        need(
            self, "unit", self.unit in ("frames", self.pieces), f"cannot count {self.unit} where pieces: {self.pieces}"
        )
        pair = len(self.context) == 2 and 0 <= min(self.context) <= max(self.context) <= MOST_CONTEXT
        need(self, "context", pair, f"must be two numbers of frames, before and after, of at most {MOST_CONTEXT}")
        one_of(self, "per", ("global", "learner"))
        one_of(self, "deal", ("auto", "equal", "on_demand"))
        if isinstance(self.size, str):
            need(self, "size", self.size == AUTO, f"must be a number, or {AUTO}")
        else:
            at_least(self, 1, "size")
        at_least(self, 1, "window", "pool_frames", "num_buckets", "prefetch")
        not_negative(self, "max_frames_per_learner", "memory_mb", "cache_mb")

    @property
    def piece_frames(self) -> int:
        """Frames of a window, or 1."""
        return self.window if self.pieces == "windows" else 1


@dataclass
class StreamConfig:
    """More inputs from Kaldi's archives, beside the features of stage 2.

    Attributes:
        scp: index of the archive, ``{set}`` in it stands for the name of the set. An entry is a matrix with a row for
            each frame (fMLLR), a matrix with a row for every `period` frames (online i-vectors), or a vector; it is
            called as the utterance, or else as its speaker.
        period: frames for each row of a matrix.
    """

    scp: str = ""
    period: int = 1

    def validate(self) -> None:
        need(self, "scp", bool(self.scp), "must name a file, such as exp/ivectors/{set}/ivectors.scp")
        at_least(self, 1, "period")


@dataclass
class InputConfig:
    """What a model sees of the features, in the order of Kaldi's tools: normalised, then these.

    Attributes:
        deltas: orders of differences behind the features: 1 appends their slopes, 2 those of the slopes, too.
        delta_window: frames to each side that a slope is taken over.
        streams: more inputs by name, such as ``{ivectors: {scp: exp/ivectors/{set}.scp, period: 10}}``: those with a
            row for each frame are appended behind the differences, those of many frames or of an utterance behind all.
        splice: frames before and after each that are shown with it, such as [4, 4], for models that do not do so; with
            their differences and streams of frames.
    """

    deltas: int = 0
    delta_window: int = 2
    streams: dict[str, Any] = field(default_factory=dict)
    splice: list[int] = field(default_factory=lambda: [0, 0])

    def validate(self) -> None:
        need(self, "deltas", 0 <= self.deltas <= 2, "must be 0, 1 or 2")
        at_least(self, 1, "delta_window")
        pair = len(self.splice) == 2 and 0 <= min(self.splice) <= max(self.splice) <= MOST_NEIGHBOURS
        need(self, "splice", pair, f"must be two numbers of frames, before and after, of at most {MOST_NEIGHBOURS}")
        self.of_streams()

    def of_streams(self) -> dict[str, StreamConfig]:
        """The streams by name. Raises `ConfigError` for settings that cannot be."""
        found = {}
        for name, values in self.streams.items():
            if not isinstance(values, dict):
                raise ConfigError(f"streams.{name} is {values!r}: it must have a key scp")
            found[name] = from_values(StreamConfig, values, f"streams.{name}.")
            check(found[name], f"streams.{name}.")
        return found

    @property
    def plain(self) -> bool:
        """Whether a model sees the features as they are."""
        return not (self.deltas or self.streams or any(self.splice))
