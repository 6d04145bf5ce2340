"""Settings of feature extraction, SpecAugment and batches."""

from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from asrpar.errors import ConfigError
from asrpar.feats.fbank import check_fbank

NORMALISATIONS = ("none", "global", "speaker", "utterance")
STORAGES = ("shards", "numpy_files", "lilcom_chunky", "kaldi")


@dataclass
class FeatureConfig:
    """Settings of `asrpar extract-features`; written whole to ``FEATS/feats.yaml``."""

    # Any setting of Lhotse's FbankConfig: Kaldi's names, but times in seconds, and dither and energy_floor for samples
    # of -1 to 1. sampling_rate is taken from the recordings unless it is given here.
    fbank: dict[str, Any] = field(default_factory=lambda: {"num_filters": 80})
    # Take the matrices that MANIFESTS/feats_<split>.scp (of import-kaldi) names instead of computing any. Of `fbank`
    # only frame_shift and frame_length count then, to compare frames with durations; num_filters becomes their width.
    from_kaldi: bool = False
    resample: bool = False  # resample recordings of another rate instead of refusing them
    # none | global | speaker | utterance: whose mean and variance are taken out when batches are made. Where speakers
    # are known, speaker; see docs/features.md.
    normalize: str = "global"
    speeds: list[float] = field(default_factory=lambda: [0.9, 1.0, 1.1])  # copies of each training utterance
    storage: str = "shards"  # shards | numpy_files | lilcom_chunky (lossy, needs lilcom) | kaldi
    dtype: str = "float32"  # of storage `shards`: float32, or float16 for half the disk space
    min_frames: int = 12  # shorter utterances are dropped: no word fits, and subsampling leaves nothing of them
    silence_range: float = 2e-4  # an utterance is silent when its samples (full scale: -1 to 1) span less than this
    clip_fraction: float = 0.01  # an utterance is clipped when more of its samples than this stick at the extremes
    max_bad_fraction: float = 0.1  # more dropped utterances than this in one split are an error
    seed: int = 0  # of dither, where fbank.dither is not 0

    def validate(self) -> None:
        """Raise ConfigError for values that cannot be used."""
        _choice("normalize", self.normalize, NORMALISATIONS)
        _choice("storage", self.storage, STORAGES)
        _choice("dtype", self.dtype, ("float32", "float16"))
        if self.dtype != "float32" and self.storage != "shards":
            raise ConfigError(f"dtype {self.dtype} needs storage: shards, not {self.storage}")
        if not self.speeds or len(set(self.speeds)) != len(self.speeds):
            raise ConfigError(f"speeds must be different numbers, for example [0.9, 1.0, 1.1], not {self.speeds}")
        if len({f"{speed:g}" for speed in self.speeds}) != len(self.speeds):  # so they are called in ids
            raise ConfigError(f"speeds must differ in their first six digits, which ids are made of, not {self.speeds}")
        if not all(0.5 <= speed <= 2.0 for speed in self.speeds):
            raise ConfigError(f"speeds must lie between 0.5 and 2.0, not {self.speeds}")
        if self.from_kaldi and self.speeds != [1.0]:
            raise ConfigError(
                f"from_kaldi: features that are there already have one speed: set speeds: [1.0], not {self.speeds}"
            )
        if self.min_frames < 1:
            raise ConfigError(f"min_frames must be at least 1, not {self.min_frames}")
        for name in ("silence_range", "clip_fraction", "max_bad_fraction"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name} must lie between 0 and 1, not {getattr(self, name)}")
        check_fbank(self.fbank)


@dataclass
class AugmentConfig:
    """SpecAugment, drawn anew for each utterance of each batch."""

    probability: float = 1.0  # fraction of the utterances that are augmented
    time_masks: int = 2  # at most so many runs of frames are blanked out
    time_mask_frames: int = 40  # widest mask
    time_mask_fraction: float = 0.2  # and never a larger part of the utterance than this
    frequency_masks: int = 2  # bands of filters
    frequency_mask_bins: int = 20  # widest mask
    time_warp: int = 0  # farthest shift of a random frame, in frames; 0 switches warping off

    def validate(self) -> None:
        """Raise ConfigError for values that cannot be used."""
        for name in ("time_masks", "time_mask_frames", "frequency_masks", "frequency_mask_bins", "time_warp"):
            if getattr(self, name) < 0:
                raise ConfigError(f"batch.augment.{name} must not be negative, not {getattr(self, name)}")
        for name in ("probability", "time_mask_fraction"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"batch.augment.{name} must lie between 0 and 1, not {getattr(self, name)}")


@dataclass
class BatchConfig:
    """How utterances are put into batches and dealt to learners."""

    unit: str = "frames"  # what `size` counts: frames (without padding) | utterances
    size: int = 20000  # frames or utterances of a batch; see unit and per
    per: str = "global"  # global: `size` over all learners, whatever their number | learner: `size` for each
    # equal: a share of each global batch to each learner | on_demand: the next share to whoever is ready | auto:
    # on_demand where learners go at their own pace
    deal: str = "auto"
    max_frames_per_learner: int = 0  # with padding to the longest utterance; bounds memory. 0: no bound
    num_buckets: int = 20  # groups of like length from which batches are drawn
    cache_mb: int = 2000  # normalised features kept in memory by each learner
    prefetch: int = 4  # batches made ahead of the trainer
    augment: AugmentConfig = field(default_factory=AugmentConfig)

    def validate(self) -> None:
        """Raise ConfigError for values that cannot be used."""
        _choice("batch.unit", self.unit, ("frames", "utterances"))
        _choice("batch.per", self.per, ("global", "learner"))
        _choice("batch.deal", self.deal, ("auto", "equal", "on_demand"))
        for name in ("size", "num_buckets", "prefetch"):
            if getattr(self, name) < 1:
                raise ConfigError(f"batch.{name} must be at least 1, not {getattr(self, name)}")
        for name in ("max_frames_per_learner", "cache_mb"):
            if getattr(self, name) < 0:
                raise ConfigError(f"batch.{name} must not be negative, not {getattr(self, name)}")
        self.augment.validate()


def _choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        near = get_close_matches(value, choices, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"one of {', '.join(choices)} is possible"
        raise ConfigError(f"{name}: '{value}' is not known; {hint}")
