"""Log-probabilities of a set from the acoustic model."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from asrpar.errors import ConfigError, DataError


@dataclass
class AcousticOutput:
    """What the model says about one set, utterances sorted by id.

    Attributes:
        log_probs: pairs of id and (T', C) float32.
        texts: reference text of each utterance.
        input_frames: feature frames of the set, without padding.
        seconds: wall time of the model, reading of features not included.
        unusable: ids whose output had NaN; their log-probabilities are empty (0, C).
    """

    log_probs: list[tuple[str, np.ndarray]] = field(default_factory=list)
    texts: dict[str, str] = field(default_factory=dict)
    input_frames: int = 0
    seconds: float = 0.0
    unusable: list[str] = field(default_factory=list)


class Likelihoods(torch.nn.Module):
    """A model whose log-probabilities are divided by the classes' priors: scaled likelihoods, up to a factor a frame.

    Args:
        module: gives log-probabilities.
        log_priors: (C,) of its classes.
        scale: how much of them is taken off.
    """

    def __init__(self, module: torch.nn.Module, log_priors: torch.Tensor, scale: float) -> None:
        super().__init__()
        self.module = module
        self.register_buffer("taken", scale * log_priors.float())

    def forward(self, features: torch.Tensor, lens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """As the model's own."""
        log_probs, lens = self.module(features, lens)
        return log_probs.float() - self.taken, lens


def likelihoods(module: torch.nn.Module, facts: Mapping[str, Any], scale: float) -> torch.nn.Module:
    """What is to be searched: the model itself, or without the priors that ``facts`` of its file have.

    Raises:
        ConfigError: a scale for priors that there are not.
    """
    priors = facts.get("log_priors")
    if priors is None and scale not in (0.0, 1.0):
        raise ConfigError(
            f"prior_scale is {scale:g}, but this model has no priors, as those of frame_ce have: leave it out"
        )
    return module if priors is None else Likelihoods(module, priors, scale).eval()


def run_model(
    module: torch.nn.Module, batches: Iterable[Any], device: str = "cpu", *, may_be_empty: bool = False
) -> AcousticOutput:
    """Run the model over ``batches`` (`asrpar.feats.Batch`; its targets are transcripts).

    Args:
        module: ``module(features, lens) -> (log_probs (N, T', C'), lens')``, in evaluation mode.
        batches: each utterance once.
        device: where the module is.
        may_be_empty: there may be no utterance, as in a part of a small set.

    Raises:
        DataError: an id comes twice, or no output can be used at all.
    """
    out = AcousticOutput()
    for batch in batches:
        if not batch.ids:
            continue
        start = time.perf_counter()
        with torch.inference_mode():
            log_probs, lens = module(batch.features.to(device), batch.feature_lens.to(device))
        rows = log_probs.float().cpu().numpy()
        out.seconds += time.perf_counter() - start
        out.input_frames += int(batch.feature_lens.sum())
        for i, (utt_id, length) in enumerate(zip(batch.ids, lens.tolist(), strict=True)):
            if utt_id in out.texts:
                raise DataError(f"utterance {utt_id} comes twice in the features")
            row = rows[i, :length].copy()
            if np.isnan(row).any():
                out.unusable.append(utt_id)
                row = row[:0]
            out.log_probs.append((utt_id, row))
            out.texts[utt_id] = batch.targets[i]
    if not out.log_probs and may_be_empty:
        return out
    if not out.log_probs:
        raise DataError("there is no utterance to decode")
    if len(out.unusable) == len(out.log_probs):
        raise DataError("the model's output is NaN for every utterance: its training has diverged")
    out.log_probs.sort(key=lambda pair: pair[0])
    return out


def device_of(name: str) -> str:
    """The device that the setting ``device`` means here. Raises `ConfigError` if there is none."""
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError("device: cuda was asked for, but torch sees no CUDA device here")
    return ("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name
