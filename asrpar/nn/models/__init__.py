"""The models by name, and the settings that describe one."""

from collections.abc import Callable
from dataclasses import dataclass, field

from torch import nn

from asrpar.errors import ConfigError


@dataclass
class ModelConfig:
    """An acoustic model.

    Attributes:
        type: ``tdnn`` (plain), ``tdnnf`` (factored) or ``blstm``.
        channels: width of a TDNN's layers.
        dilations: one TDNN layer for each entry, in subsampled frames.
        kernel: frames seen by a TDNN layer.
        bottleneck: rank of factored layers; for a BLSTM the linear layer before the softmax (0: none).
        cells: LSTM cells of each direction, of a BLSTM.
        lstm_cells: of a recurrent layer behind a TDNN's others; 0 for none.
        num_layers: BLSTM depth.
        subsampling: input frames for each output frame.
        conv_maps: feature maps of a convolutional front end (layers over time and frequency); 0 for a linear one.
        conv_layers: convolutions in it after the first two.
        jitter: begin at any of the first ``subsampling`` frames in training.
        dropout: probability.
        init: how weights begin. ``torch``: as torch draws them. ``even``: the output layer at zero, so that all units
            are equally likely in all frames, and the front end as He et al. 2015, so that speech keeps its size in it.
            For very small corpora: see `begin_evenly`.
    """

    type: str = "tdnn"
    channels: int = 384
    dilations: list[int] = field(default_factory=lambda: [1, 2, 4])
    kernel: int = 3
    bottleneck: int = 0
    cells: int = 256
    lstm_cells: int = 0
    num_layers: int = 3
    subsampling: int = 3
    conv_maps: int = 32
    conv_layers: int = 0
    jitter: bool = True
    dropout: float = 0.1
    init: str = "torch"


def _tdnn(c: ModelConfig, num_features: int, num_classes: int) -> nn.Module:
    from asrpar.nn.models.tdnn import Tdnn

    if c.type == "tdnnf" and not c.bottleneck:
        raise ConfigError("model.type is tdnnf: give model.bottleneck, the rank of its factored layers, such as 128")
    return Tdnn(
        num_features,
        num_classes,
        channels=c.channels,
        dilations=list(c.dilations),
        kernel=c.kernel,
        bottleneck=c.bottleneck if c.type == "tdnnf" else 0,
        subsampling=c.subsampling,
        conv_maps=c.conv_maps,
        conv_layers=c.conv_layers,
        cells=c.lstm_cells,
        dropout=c.dropout,
    )


def _blstm(c: ModelConfig, num_features: int, num_classes: int) -> nn.Module:
    from asrpar.nn.models.blstm import Blstm

    return Blstm(
        num_features,
        num_classes,
        cells=c.cells,
        num_layers=c.num_layers,
        bottleneck=c.bottleneck,
        subsampling=c.subsampling,
        conv_maps=c.conv_maps,
        conv_layers=c.conv_layers,
        dropout=c.dropout,
    )


MODELS: dict[str, Callable[[ModelConfig, int, int], nn.Module]] = {"tdnn": _tdnn, "tdnnf": _tdnn, "blstm": _blstm}


def begin_evenly(model: nn.Module) -> None:
    """Draw the front end's weights with He's variance (ReLU), its biases at zero; the output layer all at zero.

    Torch's own draw shrinks the signal by sqrt(6) in each ReLU layer, until biases and the edges of a recording
    outweigh what was said, and a random output layer prefers some unit to the blank between words. CTC pays nothing for
    a unit that lasts, so that unit can stay there as a filler, and with few recordings the rest is learnt by heart.
    """
    for layer in model.input.modules():
        if isinstance(layer, nn.Conv1d | nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)
    nn.init.zeros_(model.output.weight)
    nn.init.zeros_(model.output.bias)


def build_model(config: ModelConfig, num_features: int, num_classes: int) -> nn.Module:
    """A module ``(features (N, T, C), lens (N,)) -> (log-probabilities (N, T', num_classes), lens')``.

    Raises:
        ConfigError: unknown type or impossible settings.
    """
    if config.type not in MODELS:
        raise ConfigError(f"model.type is '{config.type}'; known: {', '.join(MODELS)}")
    for name in ("channels", "kernel", "cells", "num_layers", "subsampling"):
        if getattr(config, name) < 1:
            raise ConfigError(f"model.{name} is {getattr(config, name)}: it must be at least 1")
    for name in ("conv_maps", "conv_layers", "lstm_cells"):
        if getattr(config, name) < 0:
            raise ConfigError(f"model.{name} is {getattr(config, name)}: it must not be negative")
    if config.init not in ("torch", "even"):
        raise ConfigError(f"model.init is '{config.init}'; known: torch, even")
    if config.bottleneck < 0 or any(d < 1 for d in config.dilations):
        raise ConfigError("model.bottleneck must not be negative, and each of model.dilations at least 1")
    if not 0 <= config.dropout < 1:
        raise ConfigError(f"model.dropout is {config.dropout}: it must be in [0, 1)")
    model = MODELS[config.type](config, num_features, num_classes)
    model.input.jitter = config.jitter
    if config.init == "even":
        begin_evenly(model)
    return model
