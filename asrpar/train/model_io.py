"""Trained models as files: weights and the settings that rebuild the module; no pickled code."""

import dataclasses
import io
from pathlib import Path
from typing import Any

import torch
from torch import Size, Tensor, nn

from asrpar.errors import AsrparError, ConfigError, DataError
from asrpar.files.paths import check_opens, require_file
from asrpar.files.replacing import replacing
from asrpar.log import get_logger
from asrpar.nn.in_time import InTime
from asrpar.nn.model import ModelSettings
from asrpar.nn.models import MODELS, build_model
from asrpar.parallel.rank_files import load_saved
from asrpar.train.identity import Identity

log = get_logger(__name__)
# 1: without "identity". 2: "model" is one dictionary for all models, as `of_format_2` knows; the loss is CTC.
FORMAT = 3


def save_atomically(value: Any, path: Path) -> None:
    """`torch.save` under a temporary name, then rename: a reader never sees half a file."""
    packed = io.BytesIO()  # torch's own writing reports a full disk as an error of its internals
    torch.save(value, packed)
    with replacing(path) as temporary:
        temporary.write_bytes(packed.getbuffer())


def save_acoustic_model(
    path: Path,
    module: nn.Module,
    *,
    model: str,
    settings: ModelSettings,
    num_features: int,
    num_classes: int,
    loss: str = "ctc",
    blank: int | None = 0,
    label_delay: int = 0,
    log_priors: Tensor | None = None,
    notes: dict[str, Any] | None = None,
    identity: Identity | None = None,
) -> None:
    """Write the weights that ``module`` holds now.

    Args:
        path: usually ``exp/<name>/final.pt``.
        module: the acoustic model.
        model: its name.
        settings: of ``model``, that it was built from.
        num_features: C of its input.
        num_classes: classes of its output, blank included.
        loss: name of what it was trained towards.
        blank: the class that stands for no token; None if it has none.
        label_delay: output frames by which it answers late.
        log_priors: (num_classes,) what decoding takes from log-probabilities; None for nothing.
        notes: plain facts to keep beside the weights: strategy, learners, seed, frames.
        identity: what it was trained on; without, nothing can be compared when it is used.
    """
    weights = {name: tensor.detach().cpu().clone() for name, tensor in module.state_dict().items()}
    value = {
        "format": FORMAT,
        "model": model,
        "settings": dataclasses.asdict(settings),
        "loss": loss,
        "blank": blank,
        "label_delay": label_delay,
        "log_priors": log_priors,
        "num_features": num_features,
        "num_classes": num_classes,
        "weights": weights,
        "notes": notes or {},
        "identity": identity and identity.state(),
    }
    save_atomically(value, path)


def load_acoustic_model(path: str | Path, device: str = "cpu") -> tuple[nn.Module, dict[str, Any]]:
    """The module in evaluation mode, and what was saved beside the weights.

    That is "model" and "settings" (the module's), "loss" and "blank" (what it was trained towards, and the class that
    stands for no token or None), "label_delay" (output frames by which it would answer late; what is returned answers
    in time), "log_priors" ((num_classes,) float32 of the classes' frequencies, or None), "num_features", "num_classes",
    "notes", and "identity", an `Identity` or None.

    Raises:
        AsrparError: the file is missing, cut short, or not one of ours.
    """
    require_file(path, "stage 6 (asrpar train)")
    try:
        saved = load_saved(path, device)
        saved = of_format_2(saved, path) if saved["format"] < 3 else saved
        settings = MODELS.settings(saved["model"], {saved["model"]: saved["settings"]})
        module = build_model(saved["model"], settings, saved["num_features"], saved["num_classes"])
        module.load_state_dict(saved["weights"])
        # Models of format 1 do not have it.
        saved["identity"] = Identity.from_state(saved.get("identity"))
        saved.setdefault("log_priors", None)
        if saved.setdefault("label_delay", 0):
            module = InTime(module, saved["label_delay"])
    except Exception as e:
        check_opens(path)
        if isinstance(e, DataError):
            raise AsrparError(f"{e}: train again") from e
        if isinstance(e, AsrparError):
            raise
        raise AsrparError(
            f"{path} is not an acoustic model of asrpar ({type(e).__name__}), which final.pt of an experiment is: give "
            "that, or train again"
        ) from e
    return module.to(device).eval(), {k: v for k, v in saved.items() if k != "weights"}


def of_format_2(saved: dict[str, Any], path: str | Path) -> dict[str, Any]:
    """What a model file of format 1 or 2 holds, as one of format 3: one dataclass had the settings of all models."""
    old = dict(saved["model"])
    kind, cells = old["type"], old.get("lstm_cells", 0)
    if kind == "tdnnf" and cells:
        raise AsrparError(f"{path} is a TDNN-F with an LSTM layer, which versions before this one had: train again")
    if kind == "tdnn" and cells:
        kind, old["cells"] = "cldnn", cells
    if old.get("conv_maps") == 0:
        old["conv_layers"] = 0  # it did not matter
    known = {f.name for f in dataclasses.fields(MODELS.settings_class(kind))}
    settings = {key: value for key, value in old.items() if key in known}
    return saved | {"model": kind, "settings": settings, "loss": "ctc", "blank": 0}


def initial_weights(path: str | Path, shapes: list[Size], identity: Identity) -> Tensor:
    """(P,) the weights of a trained model, to begin a training with.

    Args:
        path: ``final.pt``, or the folder that it is in.
        shapes: of the parameters that the training has.
        identity: of the training. Its data may be others than the model's, its features and units not.

    Raises:
        AsrparError: the file is not a model of ours, or one of another make.
    """
    path = Path(path) / "final.pt" if Path(path).is_dir() else Path(path)
    module, facts = load_acoustic_model(path)
    before, parameters = facts["identity"], list(module.parameters())
    if before is None:
        log.warning("init_from: %s, of an earlier version, does not say which features and units it is for", path)
    elif changed := (
        before.other_features(identity.features) + before.other_inputs(identity) + before.other_classes(identity)
    ):
        raise ConfigError(
            f"init_from: {path} was trained with other features or units than these ({'; '.join(changed)}): "
            "give both the same"
        )
    if [p.shape for p in parameters] != shapes:
        there, here = sum(p.numel() for p in parameters), sum(s.numel() for s in shapes)
        raise ConfigError(
            f"init_from: {path} is a model of other layers or units ({there} parameters) than this training's "
            f"({here}): give both the same settings of the model, features and language"
        )
    return nn.utils.parameters_to_vector(parameters).detach()
