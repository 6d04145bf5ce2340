"""The models that benchmarks train, and their batches.

Each makes a learner, and a loss for PyTorch's DDP; a batch is the same for both. A DNN of 6.7 million parameters on
single frames; the CLDNN of the AN4 recipe (bf16 autocast where that is fast) and a BLSTM, both with CTC on made-up
features.
"""

import itertools
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from asrpar.config import load_config
from asrpar.cpu import lacks_fast_bf16
from asrpar.feats import Batch
from asrpar.nn.losses import ctc
from asrpar.nn.model import ModelSettings
from asrpar.nn.models import MODELS as ACOUSTIC_MODELS
from asrpar.nn.models import build_model
from asrpar.nn.objective import Sources, Transcripts
from asrpar.parallel.learner import FlatLearner
from asrpar.train.config import TrainConfig
from asrpar.train.learner import AcousticLearner
from asrpar.train.optimizers import OPTIMIZERS, adamw, sgd

MODELS = ("dnn256", "dnn1024", "cldnn", "blstm")
REPO = Path(__file__).resolve().parents[2]
CLDNN = REPO / "egs/an4/s5/conf/train.yaml"


def frame_loss(module: nn.Module, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, int]:
    """Cross-entropy of single frames."""
    return F.cross_entropy(module(batch[0]), batch[1], reduction="sum"), len(batch[1])


class Dnn:
    """440 inputs, six layers, 1,000 classes, with layers of 1,024 6.7 million parameters; SGD with momentum."""

    def __init__(self, frames: int, width: int = 1024) -> None:
        self.frames, self.width = frames, width
        self.optimizer = sgd.Settings(lr=1e-3, momentum=0.9, weight_decay=0.0)

    def module(self) -> nn.Module:
        torch.manual_seed(0)
        widths = [440] + 6 * [self.width]
        layers = [x for a, b in itertools.pairwise(widths) for x in (nn.Linear(a, b), nn.ReLU())]
        return nn.Sequential(*layers, nn.Linear(self.width, 1000))

    def batches(self, rank: int) -> list[Any]:
        g = torch.Generator().manual_seed(rank)
        return [
            (torch.randn(self.frames, 440, generator=g), torch.randint(1000, (self.frames,), generator=g))
            for _ in range(4)
        ]

    def learner(self, zeros: Callable[[int, Tensor], Tensor]) -> FlatLearner:
        return FlatLearner(self.module(), partial(sgd.make, self.optimizer), frame_loss, zeros=zeros, max_nonfinite=1)

    def loss(self, module: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        return F.cross_entropy(module(batch[0]), batch[1])


class Numbers(Transcripts):
    """Transcripts are numbers, each with 25 tokens of its own."""

    num_tokens = 40

    def encode_variants(self, text: str) -> list[list[int]]:
        g = torch.Generator().manual_seed(int(text))
        return [torch.randint(1, self.num_tokens, (25,), generator=g).tolist()]


class Ctc:
    """An acoustic model of ours on utterances of about 300 frames; ``frames`` of them a rank and step."""

    features = 80

    def __init__(
        self, model: str, settings: ModelSettings, optimizer: adamw.Settings, autocast: bool, frames: int
    ) -> None:
        self.model, self.settings = model, settings
        self.optimizer, self.autocast, self.frames = optimizer, autocast, frames
        self.transcripts = Numbers()
        self.objective = ctc.Loss(ctc.Settings(), Sources(self.transcripts))

    def module(self) -> nn.Module:
        torch.manual_seed(0)
        return build_model(self.model, self.settings, self.features, self.objective.num_classes).train()

    def batches(self, rank: int) -> list[Batch]:
        return [self.batch(torch.Generator().manual_seed(100 * rank + i)) for i in range(4)]

    def batch(self, g: torch.Generator) -> Batch:
        lens = torch.full((max(1, self.frames // 300),), 300)
        lens -= torch.arange(len(lens)) * 4
        features = torch.randn(len(lens), 300, self.features, generator=g)
        texts = [str(int(torch.randint(1000, (1,), generator=g))) for _ in lens]
        frames = int(lens.sum())
        return Batch(features, lens, list(map(self.transcripts.encode_variants, texts)), texts, frames, frames, 0, 0)

    def learner(self, zeros: Callable[[int, Tensor], Tensor]) -> AcousticLearner:
        return AcousticLearner(
            self.module(),
            self.objective,
            partial(adamw.make, self.optimizer),
            autocast=self.autocast,
            max_nonfinite=1,
            zeros=zeros,
        )

    def loss(self, module: nn.Module, batch: Batch) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=self.autocast):
            output, lens = module(batch.features, batch.feature_lens)
        return self.objective.loss(output, lens, batch.targets)[0] / batch.num_frames


def make_model(name: str) -> Dnn | Ctc:
    if name.startswith("dnn"):
        return Dnn(*map(int, name[3:].split("x")))
    recipe = load_config(TrainConfig, [str(CLDNN)], [])
    if name == "cldnn":
        settings = ACOUSTIC_MODELS.of(recipe)
        return Ctc(recipe.model, settings, OPTIMIZERS.of(recipe), not lacks_fast_bf16(), recipe.batch.size // 2)
    settings = ACOUSTIC_MODELS.settings("blstm", {"blstm": {"conv_maps": 0}})
    return Ctc("blstm", settings, OPTIMIZERS.of(recipe), False, 1200)


def batch_frames(batch: Any) -> int:
    return batch.num_frames if isinstance(batch, Batch) else len(batch[1])
