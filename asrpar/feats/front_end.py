"""Which features these are: all settings that decide their numbers, for models to keep and to compare."""

import dataclasses
from typing import Any

from asrpar.feats.config import FeatureConfig
from asrpar.feats.storages import STORAGES

# These change rounding errors at most: features with other ones go with the same model.
ROUNDING = ("dtype", "lossy")
# What the filter bank of Kaldi's own features was, nobody can tell.
KNOWN_OF_KALDI = ("num_filters", "frame_shift", "sampling_rate")


def front_end(config: FeatureConfig) -> dict[str, Any]:
    """The settings of a FEATS folder, as ``{"fbank.num_filters": 80, ..., "normalize": "global"}``.

    Defaults of Lhotse's filter bank are filled in, so that another version with other ones is noticed.
    """
    from lhotse import FbankConfig

    known = {f.name: f.default for f in dataclasses.fields(FbankConfig)}
    for name in ("num_mel_bins", "device"):  # another name for num_filters; where it was computed
        known.pop(name, None)
    fbank = known | config.fbank
    if config.from_kaldi:
        fbank = {name: fbank[name] for name in KNOWN_OF_KALDI}
    found = {f"fbank.{name}": fbank[name] for name in sorted(fbank)}
    found |= {"from_kaldi": config.from_kaldi, "normalize": config.normalize}
    storage = STORAGES.make(config)
    return found | {"dtype": storage.dtype, "lossy": storage.lossy}


def extraction(features: dict[str, Any]) -> FeatureConfig:
    """The settings with which a new recording gets the features that `front_end` describes."""
    fbank = {name.removeprefix("fbank."): v for name, v in features.items() if name.startswith("fbank.")}
    return FeatureConfig(fbank=fbank, normalize=features["normalize"], speeds=[1.0])


def changes(before: dict[str, Any], now: dict[str, Any], *, rounding: bool = True) -> list[str]:
    """What differs, as ``fbank.num_filters: 80 -> 40``; without what is only ``rounding`` if that does not matter."""
    names = [n for n in (*before, *(n for n in now if n not in before)) if rounding or n not in ROUNDING]
    return [f"{n}: {before.get(n)} -> {now.get(n)}" for n in names if before.get(n) != now.get(n)]
