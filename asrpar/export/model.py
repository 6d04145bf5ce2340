"""What is exported: a trained model with its normalisation of features as one module."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from asrpar.errors import ConfigError, DataError
from asrpar.feats.stats import STD_FLOOR, MeanStd
from asrpar.nn.frontend import frame_mask
from asrpar.train.identity import Identity
from asrpar.train.model_io import load_acoustic_model


class GlobalNorm(nn.Module):
    """Features as a training with ``normalize: global`` has them.

    Args:
        mean_std: (C,) each.
    """

    def __init__(self, mean_std: MeanStd) -> None:
        super().__init__()
        self.register_buffer("mean", mean_std[0])
        self.register_buffer("scale", 1.0 / mean_std[1])

    def forward(self, x: Tensor, lens: Tensor) -> Tensor:
        """(N, T, C), (N,) -> (N, T, C)."""
        return (x - self.mean) * self.scale


class UtteranceNorm(nn.Module):
    """Features as ``normalize: utterance`` has them: mean and deviation of each utterance itself."""

    def forward(self, x: Tensor, lens: Tensor) -> Tensor:
        """(N, T, C), (N,) -> (N, T, C), zero at padding."""
        mask = frame_mask(lens, x.shape[1])[:, :, None].to(x.dtype)
        count = lens[:, None, None].to(x.dtype)
        centred = (x - (x * mask).sum(1, keepdim=True) / count) * mask
        deviation = ((centred * centred).sum(1, keepdim=True) / count).sqrt()
        return centred / deviation.clamp(min=STD_FLOOR)


class FromFilterBanks(nn.Module):
    """The acoustic model behind its normalisation.

    Args:
        model: acoustic model in evaluation mode.
        norm: `GlobalNorm` or `UtteranceNorm`; None for none.
    """

    def __init__(self, model: nn.Module, norm: nn.Module | None) -> None:
        super().__init__()
        self.model, self.norm = model, norm
        self.train(model.training)  # exporters set what is inside to what is outside

    def forward(self, features: Tensor, lens: Tensor) -> tuple[Tensor, Tensor]:
        """Filter banks (N, T, C), lens (N,) -> log-probabilities (N, T', classes), lens' (N,)."""
        x = features if self.norm is None else self.norm(features, lens)
        # Other programs pad with what they like, batches of ours with zeros.
        return self.model(x * frame_mask(lens, x.shape[1])[:, :, None].to(x.dtype), lens)


@dataclass
class Trained:
    """A model that is to be exported.

    Attributes:
        path: of its file.
        module: from features as `normalize` says.
        facts: that its file has beside the weights.
        identity: what it was trained on.
        normalize: what whoever computes features has to do with them: ``none`` where the module does it, or
            ``speaker``.
    """

    path: Path
    module: nn.Module
    facts: dict[str, Any]
    identity: Identity
    normalize: str

    @property
    def subsampling(self) -> int:
        """Input frames for each output frame."""
        return self.module.model.subsampling

    @property
    def features(self) -> dict[str, Any]:
        """See `asrpar.feats.front_end.front_end`."""
        return self.identity.features


def load_trained(path: Path, normalize: str | None = None) -> Trained:
    """A model that knows its features and classes.

    Args:
        path: such as ``EXP/final.pt``.
        normalize: how features are normalised, in place of what the model was trained with: ``utterance`` for models
            of features normalised by speaker, which takes each recording for one of a speaker of its own.

    Raises:
        DataError: a model of an early version, or of features that Kaldi made.
        ConfigError: another ``normalize``, or a model that sees more than features.
    """
    module, facts = load_acoustic_model(path)
    identity = facts["identity"]
    if identity is None:
        raise DataError(f"{path}, of an earlier version, does not know its features and units: train again")
    if identity.inputs:
        raise ConfigError(
            f"{path} was trained with input settings (differences, streams or neighbours), which an exported model "
            "would not make: train without them"
        )
    kind = identity.features["normalize"]
    if normalize is not None and (normalize, kind) not in (("utterance", "speaker"), (kind, kind)):
        raise ConfigError(
            f"--normalize {normalize}: {path} was trained with features normalised by '{kind}'; only for 'speaker' may "
            "another be given, utterance"
        )
    kind = normalize or kind
    norm: nn.Module | None = None
    if kind == "global":
        if identity.mean_std is None:
            raise DataError(f"{path} does not know the statistics of its features: train again")
        norm = GlobalNorm(identity.mean_std)
    elif kind == "utterance":
        norm = UtteranceNorm()
    return Trained(path, FromFilterBanks(module, norm), facts, identity, "speaker" if kind == "speaker" else "none")
