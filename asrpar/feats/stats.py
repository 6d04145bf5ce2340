"""Mean and variance of features: counted at extraction, applied when batches are made."""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from asrpar.errors import DataError
from asrpar.files.paths import check_opens, require_file
from asrpar.files.replacing import replacing

# Features are log energies with deviations of 1 to 5: a smaller one means a constant, which must not be blown up.
STD_FLOOR = 1e-2

# Mean and deviation, (C,) each.
MeanStd = tuple[torch.Tensor, torch.Tensor]


@dataclass
class Moments:
    """Count, sum and sum of squares (C,) in float64."""

    frames: int
    total: np.ndarray
    squares: np.ndarray

    @staticmethod
    def of(features: np.ndarray) -> "Moments":
        """The moments of one matrix (T, C)."""
        wide = features.astype(np.float64)
        return Moments(len(wide), wide.sum(axis=0), np.square(wide).sum(axis=0))

    def __add__(self, other: "Moments") -> "Moments":
        return Moments(self.frames + other.frames, self.total + other.total, self.squares + other.squares)

    def tensors(self) -> dict[str, torch.Tensor]:
        """``mean`` and ``std`` (C,) float32, and ``frames``, a scalar."""
        mean = self.total / self.frames
        std = np.sqrt(np.maximum(self.squares / self.frames - mean**2, 0.0))
        return {
            "mean": torch.from_numpy(mean.astype(np.float32)),
            "std": torch.from_numpy(np.maximum(std, STD_FLOOR).astype(np.float32)),
            "frames": torch.tensor(self.frames),
        }


def save_stats(path: Path, split: str, speakers: dict[str, Moments]) -> None:
    """Put a split's statistics into stats.pt beside those of the other splits.

    The file holds ``{"global": {mean, std, frames}, "speakers": {split: {speaker: {mean, std, frames}}}}``. "global"
    is that of the split ``train``.
    """
    stats = load_stats(path) if path.exists() else {"speakers": {}}
    stats["speakers"][split] = {speaker: moments.tensors() for speaker, moments in sorted(speakers.items())}
    if split == "train":
        ordered = [speakers[s] for s in sorted(speakers)]
        stats["global"] = sum(ordered[1:], start=ordered[0]).tensors()
    stats["speakers"] = dict(sorted(stats["speakers"].items()))
    packed = io.BytesIO()  # torch's own writing reports a full disk as an error of its internals
    torch.save(stats, packed)
    with replacing(path) as temporary:
        temporary.write_bytes(packed.getbuffer())


def load_stats(path: Path) -> dict:
    """Read stats.pt. Raises DataError if it is damaged."""
    try:
        return torch.load(path, weights_only=True)
    except Exception as e:  # torch raises many kinds for a damaged file
        check_opens(path)
        raise DataError(f"{path} is damaged ({type(e).__name__}): run asrpar extract-features again") from e


class Normalizer:
    """Subtracts means and divides by deviations, for one split of a FEATS folder."""

    def __init__(self, feats_dir: Path, split: str, kind: str, mean_std: MeanStd | None = None) -> None:
        """Read the statistics that are needed, unless the global ones are given as ``mean_std``."""
        self._kind = kind
        self._scales: dict[str | None, tuple[np.ndarray, np.ndarray]] = {}
        self._split = split
        if kind not in ("global", "speaker"):
            return
        if kind == "global" and mean_std is not None:
            self._scales[None] = self._scale(dict(zip(("mean", "std"), mean_std, strict=True)))
            return
        path = feats_dir / "stats.pt"
        require_file(path, "stage 2 (asrpar extract-features)")
        stats = load_stats(path)
        if kind == "global":
            if "global" not in stats:
                raise DataError(f"{path} has no global statistics: extract the features of the split train")
            self._scales[None] = self._scale(stats["global"])
        else:
            self._scales |= {s: self._scale(x) for s, x in stats["speakers"].get(split, {}).items()}

    @staticmethod
    def _scale(stats: dict[str, torch.Tensor]) -> tuple[np.ndarray, np.ndarray]:
        return stats["mean"].numpy(), 1.0 / stats["std"].numpy()

    def __call__(self, features: np.ndarray, speaker: str | None) -> np.ndarray:
        """A new float32 matrix (T, C), normalised; ``features`` (T, C) is left as it is."""
        if self._kind == "none":
            return np.array(features, dtype=np.float32)
        if self._kind == "utterance":
            mean = features.mean(axis=0, dtype=np.float32)
            out = features - mean
            out *= 1.0 / np.maximum(np.sqrt(np.mean(np.square(out), axis=0)), STD_FLOOR)
            return out.astype(np.float32, copy=False)
        key = None if self._kind == "global" else speaker
        if key not in self._scales:
            raise DataError(f"no statistics of speaker {speaker} for the split {self._split}: extract features again")
        mean, scale = self._scales[key]
        out = np.subtract(features, mean, dtype=np.float32)
        out *= scale
        return out
