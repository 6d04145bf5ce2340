"""Settings of ``asrpar train``."""

import math
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from asrpar.config import check
from asrpar.errors import ConfigError
from asrpar.feats.config import BatchConfig, InputConfig
from asrpar.nn.losses import LOSSES
from asrpar.nn.models import MODELS
from asrpar.parallel.compress import COMPRESSIONS
from asrpar.parallel.faults import FaultsConfig
from asrpar.parallel.strategies import STRATEGIES
from asrpar.rules import fraction, need, not_negative, one_of, positive
from asrpar.train.optimizers import OPTIMIZERS
from asrpar.train.schedules import SCHEDULES


@dataclass
class DataConfig:
    """Where the data are: the folders of stages 2, 3 and 4, and the names of the sets.

    Attributes:
        feats: FEATS of stage 2.
        lang: LANG of stage 3.
        train: the set to train on.
        dev: the set whose loss is told after each epoch.
        ali: ALI of stage 4, for losses that need labels of frames.
        tree: a tree (``tree.txt``, or a folder with one) whose leaves are the classes of lfmmi; empty for that of
            ``ali``, or without one for two classes of each phone: its first frame, and later ones.
    """

    feats: str = ""
    lang: str = ""
    train: str = "train"
    dev: str = "dev"
    ali: str = ""
    tree: str = ""


@dataclass
class EmaConfig:
    """Average of the model, which is the final model when enabled.

    Attributes:
        enabled: keep θ̄, and make it the final model.
        decay_epochs: time constant in epochs' worth of frames, so that it means the same for every corpus.
        warmup: the average spans no more than a ninth of the training so far, and soon forgets the first weights; for
            trainings of less than about ten time constants.
        both: when enabled, evaluate the model without the average, too, and keep it as ``unaveraged.pt``.
    """

    enabled: bool = False
    decay_epochs: float = 1.0
    warmup: bool = False
    both: bool = False

    def validate(self) -> None:
        positive(self, "decay_epochs")


@dataclass
class CheckpointConfig:
    """When to save the whole state.

    Attributes:
        every_epochs: at the end of each such epoch.
        every_steps: also after so many steps; 0 for never.
        keep: newest checkpoints kept.
        keep_epochs: models of the newest so many epochs kept in ``EXP/epochs``, for `asrpar average`; 0 for none.
    """

    every_epochs: int = 1
    every_steps: int = 0
    keep: int = 2
    keep_epochs: int = 0

    def validate(self) -> None:
        positive(self, "every_epochs", "keep")
        not_negative(self, "every_steps", "keep_epochs")


@dataclass
class TraceConfig:
    """What the time went to; totals are always kept.

    Attributes:
        enabled: write single events to ``EXP/trace/rank-R.json``, which ui.perfetto.dev opens; a resumed run begins
            its file anew.
        max_events: of a rank, some 120 bytes each; then only the totals go on.
    """

    enabled: bool = False
    max_events: int = 200000

    def validate(self) -> None:
        positive(self, "max_events")


@dataclass
class WatchdogConfig:
    """When a training that stands still is ended.

    Attributes:
        timeout_seconds: without a step, a dev batch or a checkpoint; 0 to wait for ever; None learns it from the run
            (600 until the first checkpoint; then 20 times what nearly all steps take, at least 60). Where learners do
            not step together, one that waits for the others is given that time once more.
    """

    timeout_seconds: float | None = None

    def validate(self) -> None:
        not_negative(self, "timeout_seconds")


# Settings that all models had in common.
OF_MODELS = (
    "channels", "dilations", "kernel", "bottleneck", "cells", "num_layers", "subsampling", "conv_maps", "conv_layers",
    "dropout", "init",
)  # fmt: skip


@dataclass
class TrainConfig:
    """A training run.

    Attributes:
        exp: folder of the experiment.
        seed: of all random numbers.
        model: name of the acoustic model.
        models: settings of models by name, such as ``{cldnn: {cells: 256}}``; their keys are checked.
        loss: name of what the model is trained towards.
        losses: settings of losses by name, such as ``{ctc: {implementation: k2}}``; their keys are checked.
        optimizer: what each learner steps with: ``adamw`` or ``sgd``.
        optimizers: settings of optimizers by name, such as ``{adamw: {lr: 0.002}}``.
        schedule: learning rate against frames seen by all learners, and for some of them the dev loss.
        schedules: settings of schedules by name, such as ``{one_cycle: {warmup: 0.3}}``.
        strategy: name of the parallel algorithm.
        strategies: settings of strategies by name, such as ``{bmuf: {sync_steps: 8}}``; their keys are checked.
        compression: of what learners send.
        compressions: settings of compressions by name, such as ``{topk: {density: 0.001}}``.
        init_from: a model (``final.pt``, or its folder) whose weights the training begins with; empty for random ones.
        warm_start_epochs: of these, the first ones, which the first learner trains alone while the others wait; all go
            on with its weights and its optimizer's state. Nothing to a learner that is alone.
        epochs: passes over the training set.
        autocast: ``none`` (fp32), ``bf16``, or ``auto``: bf16 where all learners gain by it (GPUs that have it and CPUs
            with AMX unless ``blstm``), else none. ``config.yaml`` has what was chosen.
        compile: train with the model as torch.compile makes it, for the first eight shapes of batches; others, and the
            dev set, go on without. For windows and frames, which have few shapes; measure whether it gains.
        device: ``auto``, ``cpu`` or ``cuda``.
        transport: ``mpi`` (tensors of GPUs travel through host memory), ``nccl`` (collectives between GPUs, one for
            each learner), ``windows`` (as ``nccl``, and gossip straight into the other GPU's memory; has never run on
            GPUs) or ``gloo`` (the same code as for ``nccl``, on hosts). Nothing to a learner that is alone.
        threads: torch threads of each learner; 0 leaves the launcher's choice.
        dev_every_steps: dev loss also between epochs; 0 for epochs only.
        tensorboard_every_steps: rank 0's loss, gradient norm, learning rate and frames/s as a point of TensorBoard's
            curves; 0 for the points of epochs only.
        dev_max_frames: padded frames of a dev batch.
        max_nonfinite: stop after so many gradients that were not finite.
        max_misfit_fraction: refuse a training or dev set of which more utterances than this fraction are in no loss, as
            their transcripts need more frames than they have, or their frames have no labels.
        time_limit_minutes: save and stop after that; 0 for none.
        stop_after_epochs: end after so many epochs although the schedule is laid out for ``epochs``; 0 for none.
        record: write the order of events into EXP/record, for `asrpar simulate --replay`.
    """

    MOVED: ClassVar[dict[str, str]] = {
        "model.type": "model",
        "model.lstm_cells": "models.cldnn.cells",
        "model.jitter": "batch.augment.random_start",
        **{f"model.{key}": f"models.NAME.{key}" for key in OF_MODELS},
        "loss.implementation": "losses.ctc.implementation",
        "optimizer.name": "optimizer",
        **{f"optimizer.{key}": f"optimizers.NAME.{key}" for key in ("lr", "weight_decay", "clip_norm")},
        **{f"optimizer.{key}": f"optimizers.sgd.{key}" for key in ("momentum", "nesterov")},
        **{f"optimizer.{key}": f"optimizers.adamw.{key}" for key in ("betas", "eps")},
        "schedule.name": "schedule",
        **{f"schedule.{key}": f"schedules.NAME.{key}" for key in ("warmup", "start")},
        "schedule.final": "schedules.one_cycle.final",
        "schedule.decay": "schedules.exponential.decay",
        "compression.method": "compression",
        "compression.warmup_frames": "compressions.NAME.warmup_frames",
        "compression.block": "compressions.onebit.block",
        "compression.threshold": "compressions.threshold.threshold",
        "compression.density": "compressions.topk.density",
        "compression.momentum": "compressions.topk.momentum",
        "compression.rank": "compressions.powersgd.rank",
        "compression.seed": "compressions.powersgd.seed",
    }

    exp: str = ""
    seed: int = 0
    data: DataConfig = field(default_factory=DataConfig)
    input: InputConfig = field(default_factory=InputConfig)
    model: str = field(default="tdnn", metadata=MODELS.chosen)
    models: dict[str, Any] = field(default_factory=dict)
    loss: str = field(default="ctc", metadata=LOSSES.chosen)
    losses: dict[str, Any] = field(default_factory=dict)
    batch: BatchConfig = field(default_factory=BatchConfig)
    optimizer: str = field(default="adamw", metadata=OPTIMIZERS.chosen)
    optimizers: dict[str, Any] = field(default_factory=dict)
    schedule: str = field(default="one_cycle", metadata=SCHEDULES.chosen)
    schedules: dict[str, Any] = field(default_factory=dict)
    strategy: str = field(default="single", metadata=STRATEGIES.chosen)
    strategies: dict[str, Any] = field(default_factory=dict)
    compression: str = field(default="none", metadata=COMPRESSIONS.chosen)
    compressions: dict[str, Any] = field(default_factory=dict)
    ema: EmaConfig = field(default_factory=EmaConfig)
    checkpoint: CheckpointConfig = field(default_factory=CheckpointConfig)
    trace: TraceConfig = field(default_factory=TraceConfig)
    watchdog: WatchdogConfig = field(default_factory=WatchdogConfig)
    faults: FaultsConfig = field(default_factory=FaultsConfig)
    record: bool = False
    init_from: str = ""
    warm_start_epochs: int = 0
    epochs: int = 10
    autocast: str = "auto"
    compile: bool = False
    device: str = "auto"
    transport: str = "mpi"
    threads: int = 0
    dev_every_steps: int = 0
    tensorboard_every_steps: int = 20
    dev_max_frames: int = 20000
    max_nonfinite: int = 20
    max_misfit_fraction: float = 0.1
    time_limit_minutes: float = 0.0
    stop_after_epochs: int = 0

    def validate(self) -> None:
        one_of(self, "autocast", ("auto", "none", "bf16"))
        one_of(self, "device", ("auto", "cpu", "cuda"))
        one_of(self, "transport", ("mpi", "nccl", "windows", "gloo"))
        positive(self, "epochs", "dev_max_frames", "max_nonfinite")
        not_negative(self, "seed", "threads", "tensorboard_every_steps", "dev_every_steps")
        not_negative(self, "time_limit_minutes", "stop_after_epochs", "warm_start_epochs")
        fraction(self, "max_misfit_fraction")
        need(self, "warm_start_epochs", self.warm_start_epochs < self.epochs, f"must be below epochs ({self.epochs})")
        need(self, "seed", self.seed < 2**31, "must be less than 2147483648")
        self._check_momenta()

    def _check_momenta(self) -> None:
        """Refuse algorithms that do not go together with the local optimizer."""
        plain = OPTIMIZERS.of(self).plain()
        if getattr(COMPRESSIONS.of(self), "momentum", 0) and not plain:
            raise ConfigError(
                f"compressions.{self.compression}.momentum takes the place of the optimizer's: set optimizer=sgd and "
                "optimizers.sgd.momentum=0"
            )
        if getattr(STRATEGIES.of(self), "delay_compensation", 0) and not plain:
            raise ConfigError(
                f"strategies.{self.strategy}.delay_compensation holds for steps of plain SGD: set optimizer=sgd and "
                "optimizers.sgd.momentum=0, or delay_compensation=0"
            )


# These may change between the runs of one training. They do not change what is computed; another device, number
# of threads or transport may change the order of sums, and so the last bits: the trainer warns of that.
FREE_ON_RESUME = (
    "exp", "time_limit_minutes", "stop_after_epochs", "checkpoint", "device", "transport", "threads",
    "dev_max_frames", "dev_every_steps", "max_nonfinite", "max_misfit_fraction", "batch.cache_mb", "batch.prefetch",
    "trace", "watchdog", "faults", "record", "ema.both", "tensorboard_every_steps", "batch.memory_mb",
)  # fmt: skip


def check_config(config: TrainConfig) -> None:
    """Refuse what cannot be trained with here.

    Raises:
        ConfigError: with the key and what it may be.
    """
    check(config)
    if config.threads > (os.cpu_count() or math.inf):
        raise ConfigError(f"threads is {config.threads}, but this machine has {os.cpu_count()} cores")
    for key in ("exp", "data.feats", "data.lang"):
        if not (getattr(config.data, key[5:]) if key.startswith("data.") else config.exp):
            raise ConfigError(f"{key} is not set: give --set {key}=FOLDER or write it into the configuration")
    for key in ("data.feats", "data.lang", "data.ali"):
        folder = getattr(config.data, key[5:])
        if folder and Path(folder).resolve() == Path(config.exp).resolve():
            raise ConfigError(f"exp and {key} are one folder, {config.exp}: give the experiment one of its own")
