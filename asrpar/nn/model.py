"""What all acoustic models have in common: the contract, settings, how their weights begin."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from asrpar.rules import at_least, below_one, one_of


@dataclass
class ModelSettings:
    """Settings that all models share.

    Attributes:
        subsampling: input frames for each output frame.
        dropout: probability, in [0, 1).
        init: how weights begin. ``torch``: as torch draws them. ``even``: the output layer at zero, so that all classes
            are equally likely in all frames, and the front end as He et al. 2015, so that speech keeps its size in it.
            For very small corpora: see `begin_evenly`.
    """

    subsampling: int = 3
    dropout: float = 0.1
    init: str = "torch"

    def validate(self) -> None:
        at_least(self, 1, "subsampling")
        below_one(self, "dropout")
        one_of(self, "init", ("torch", "even"))


class AcousticModel(nn.Module, ABC):
    """Features to log-probabilities of classes. A page of `asrpar.nn.models` has one as ``Model``, beside ``Settings``.

    Output frame j belongs to input frame j · ``subsampling``, in training as elsewhere: what moves frames moves them
    where batches are made, so that targets move along.

    Args:
        settings: the page's ``Settings``.
        num_features: filter banks C of the input.
        num_classes: of the output.

    Attributes:
        input: the front end; `begin_evenly` draws its weights.
        output: the last layer.
        context: input frames before and after its own that an output frame is made of, where a model takes them
            spliced, too: features (N, T, (before + 1 + after) · C), the earliest frame first, give scores (N, T,
            num_classes), and nothing is subsampled. So a batch may hold single frames of many utterances, in one row.
            At an utterance's ends its first and last frame stand in for those that are missing. None for other models.
        no_bf16_on_cpus: why bfloat16 gains nothing on CPUs that have it; empty where it does.
    """

    input: nn.Module
    output: nn.Linear
    context: tuple[int, int] | None = None
    no_bf16_on_cpus: ClassVar[str] = ""

    def __init__(self, settings: ModelSettings, num_features: int, num_classes: int) -> None:
        super().__init__()
        self.subsampling = settings.subsampling

    @abstractmethod
    def scores(self, features: Tensor, lens: Tensor) -> tuple[Tensor, Tensor]:
        """Features (N, T, C), lens (N,) -> what the output layer gives (N, T', num_classes), lens' (N,).

        T' is T / ``subsampling``, rounded up, and so are lens'. What lies behind an utterance's end changes nothing.
        Scores have the type in which the layer computes, bfloat16 under autocast: with 32,000 classes a copy in float32
        costs more than the layers before it. Losses that ask for scores (`Objective.of_scores`) turn them into float32
        where they need that.
        """

    def forward(self, features: Tensor, lens: Tensor) -> tuple[Tensor, Tensor]:
        """Features (N, T, C), lens (N,) -> log-probabilities (N, T', num_classes) float32, lens' (N,).

        The log-softmax of `scores`.
        """
        scores, lens = self.scores(features, lens)
        return scores.float().log_softmax(-1), lens


def begin_evenly(model: AcousticModel) -> None:
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
