"""What a model was trained on: settings of its features, units, statistics, data. Kept with it and compared.

Without this, features or units of another kind would give words of the same model, only wrong ones.
"""

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from json.encoder import encode_basestring_ascii as quoted
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from asrpar.config import from_values
from asrpar.errors import DataError
from asrpar.feats.config import InputConfig
from asrpar.feats.front_end import changes, front_end
from asrpar.feats.stats import load_stats
from asrpar.feats.store import FeatureStore
from asrpar.feats.utterances import Utterances
from asrpar.hmm.alignments import MADE_BY, Alignments
from asrpar.lang.lang import Lang
from asrpar.train.config import DataConfig

# Statistics of the same features differ in their last bits where another processor made them.
TOLERANCE = 1e-3
BLOCK = 4096  # utterances at once


@dataclass
class Identity:
    """What a model was trained on.

    Attributes:
        features: see `front_end`.
        unit_kind: ``phones``, ``characters`` or ``sentencepiece``.
        units: the symbols of the language folder's tokens; 0 is the blank.
        pronunciations: digest of what the words of the training and dev sets are made of.
        data: utterances, frames and a digest of ids, frames, order, speakers and transcripts, by set.
        mean, std: (C,) global statistics that its features are normalised with; None if there are none.
        alignment: what its labels of frames are: digests of the tree and of the labels of each set, and the frames for
            each; empty without.
        classes: names of its classes where these are the leaves of a tree; empty if they are the units.
        tree: digest of that tree.
        inputs: what it sees of the features (`asrpar.feats.inputs.Inputs.state`); empty where that is they themselves.
    """

    features: dict[str, Any]
    unit_kind: str
    units: list[str]
    pronunciations: str
    data: dict[str, dict[str, Any]]
    mean: Tensor | None = None
    std: Tensor | None = None
    alignment: dict[str, Any] = field(default_factory=dict)
    classes: list[str] = field(default_factory=list)
    tree: str = ""
    inputs: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(
        cls, data: DataConfig, lang: Lang, stores: Sequence[FeatureStore], alignments: Alignments | None = None
    ) -> "Identity":
        """That of a training on ``data``, whose sets are ``stores``, with labels of ``alignments``, if with any."""
        feats = Path(data.feats)
        words = {word for store in stores for word in store.utterances.words}
        path = feats / "stats.pt"
        statistics = load_stats(path).get("global", {}) if path.exists() else {}
        return cls(
            front_end(stores[0].config),
            lang.config.units,
            list(lang.tokens),
            digest([word, lang.encode_variants(word)] for word in sorted(words)),
            {store.split: summary(store.utterances) for store in stores},
            statistics.get("mean"),
            statistics.get("std"),
            {} if alignments is None else labels_of(alignments, data, stores),
        )

    @classmethod
    def of_data(cls, data: DataConfig) -> "Identity":
        """That of a training on the data that are there now."""
        stores = [FeatureStore(data.feats, split) for split in dict.fromkeys((data.train, data.dev))]
        return cls.of(data, Lang.load(data.lang), stores, Alignments.open(data.ali) if data.ali else None)

    def state(self) -> dict[str, Any]:
        """Plain values and tensors."""
        return asdict(self) | {"units_digest": digest(self.units)}

    @classmethod
    def from_state(cls, state: dict[str, Any] | None) -> "Identity | None":
        """What `state` gave; None for models and checkpoints of versions that did not keep it."""
        return None if state is None else cls(**{k: v for k, v in state.items() if k != "units_digest"})

    @property
    def mean_std(self) -> tuple[Tensor, Tensor] | None:
        """The statistics; None without."""
        return None if self.mean is None or self.std is None else (self.mean, self.std)

    def digest(self) -> str:
        """Equal for trainings on the same data; the statistics, which follow from them, are left out."""
        labels = [self.alignment] if self.alignment else []
        return digest(self.features, self.unit_kind, self.units, self.pronunciations, self.data, *labels)

    @property
    def input_config(self) -> InputConfig | None:
        """The settings of `inputs`; None without."""
        return from_values(InputConfig, self.inputs["settings"], "inputs: ") if self.inputs else None

    @property
    def class_names(self) -> list[str]:
        """Of the model's classes: what the decoding graph must have, in the same order."""
        return self.classes or self.units

    def other_features(self, features: dict[str, Any]) -> list[str]:
        """How features (see `front_end`) differ from those that the model was trained with."""
        return changes(self.features, features, rounding=False)

    def other_inputs(self, now: "Identity") -> list[str]:
        """How what another training sees of the features differs; where streams lie makes no difference."""
        before, after = (one.input_config or InputConfig() for one in (self, now))
        found = [key for key in ("deltas", "delta_window", "splice") if getattr(before, key) != getattr(after, key)]
        told = [f"input.{key}: {getattr(before, key)} -> {getattr(after, key)}" for key in found]
        widths = [one.inputs.get("widths", {}) for one in (self, now)]
        return told if widths[0] == widths[1] else [*told, f"input.streams: {widths[0]} -> {widths[1]}"]

    def other_units(self, units: Sequence[str]) -> list[str]:
        """How units, or leaves of a tree, differ from the model's classes."""
        own = self.class_names
        if len(units) != len(own):
            return [f"number of units: {len(own)} -> {len(units)}"]
        moved = [i for i, (a, b) in enumerate(zip(own, units, strict=True)) if a != b]
        more = f" and {len(moved) - 1} more" if len(moved) > 1 else ""
        return [f"unit {moved[0]}: {own[moved[0]]} -> {units[moved[0]]}{more}"] if moved else []

    def other_classes(self, now: "Identity") -> list[str]:
        """How the classes of another training differ."""
        found = self.other_units(now.class_names)
        return found or (["the tree's questions or states"] if self.tree != now.tree else [])

    def other_data(self, now: "Identity") -> list[str]:
        """How the data of a training that goes on differ from those that it began with."""
        found = changes(self.features, now.features)
        # What was trained already is looked at before there is an objective, which knows the classes.
        found += (
            self.other_classes(now) if now.classes else dataclasses.replace(self, classes=[]).other_units(now.units)
        )
        for split, before in self.data.items():
            after = now.data.get(split, {})
            old, new = (f"{d.get('utterances', 0)} utterances of {d.get('frames', 0)} frames" for d in (before, after))
            if old != new:
                found.append(f"{split}: {old} -> {new}")
            elif before != after:
                found.append(f"{split}: other ids, order, speakers or transcripts")
        found += [
            f"labels: other {x}"
            for x in dict.fromkeys((*self.alignment, *now.alignment))
            if self.alignment.get(x) != now.alignment.get(x)
        ]
        if not found and self.pronunciations != now.pronunciations:
            found.append("other pronunciations")
        if not found and not self.same_statistics(now.mean, now.std):
            found.append("other values of the features")
        return found

    def same_statistics(self, mean: Tensor | None, std: Tensor | None) -> bool:
        """Whether statistics are the model's, up to rounding."""
        if self.mean is None or mean is None:
            return self.mean is mean
        scale = self.std.clamp(min=TOLERANCE)
        return all(bool((x - y).abs().div(scale).max() < TOLERANCE) for x, y in ((self.mean, mean), (self.std, std)))


def other_data(exp: Path, changed: list[str]) -> str:
    """Why a training cannot go on in ``exp``, which holds one on data that differ by what has ``changed``."""
    more = " ..." if len(changed) > 5 else ""
    return (
        f"{exp} holds a training on other data ({'; '.join(changed[:5])}{more}): choose another exp folder, "
        "or remove this one"
    )


def summary(utterances: Utterances) -> dict[str, Any]:
    """How much a set is, and a digest of what it consists of: `digest` of id, frames, speaker and text of each."""
    frames = int(utterances.num_frames.sum(dtype=np.int64))
    return {"utterances": len(utterances), "frames": frames, "digest": utterances.digest}


def aligned_sets(found: Alignments, data: DataConfig) -> list[str]:
    """The sets of a training, each once. Raises `DataError` for one that is not aligned."""
    wanted = list(dict.fromkeys((data.train, data.dev)))
    absent = [split for split in wanted if split not in found.sets]
    if absent:
        raise DataError(
            f"{data.ali} has no alignment of the set '{absent[0]}' (but of {', '.join(found.sets) or 'none'}): run "
            f"{MADE_BY} on it, too"
        )
    return wanted


def labels_of(found: Alignments, data: DataConfig, stores: Sequence[FeatureStore]) -> dict[str, Any]:
    """What labels of frames are: of which tree, for how many frames each, and a digest of those of each set."""
    facts: dict[str, Any] = {"tree": found.tree.digest, "subsampling": found.subsampling}
    aligned_sets(found, data)
    for store in stores:
        facts[store.split] = _of_labels(found, store)
    return facts


def _of_labels(found: Alignments, store: FeatureStore) -> str:
    """`digest` of [id, fingerprint of its labels] of each utterance, without a json.dumps for each."""
    ids, digested = store.utterances.ids, hashlib.sha256()
    pairs = zip(ids, found.fingerprints(store.split, ids), strict=True)
    while block := "".join(f'[{quoted(name)}, "{labels}"]\n' for name, labels in islice(pairs, BLOCK)):
        digested.update(block.encode())
    digested.update(b"\0")
    return digested.hexdigest()


def digest(*values: Any) -> str:
    """SHA-256 of plain values, those of a generator one after the other."""
    found = hashlib.sha256()
    for value in values:
        for item in value if isinstance(value, Iterable) and not isinstance(value, str | dict) else [value]:
            found.update(json.dumps(item, sort_keys=True).encode() + b"\n")
        found.update(b"\0")
    return found.hexdigest()
