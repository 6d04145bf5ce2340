"""The objective of a training: its loss, and what targets are made from."""

import torch

from asrpar.errors import ConfigError
from asrpar.lang.lang import Lang
from asrpar.nn.losses import LOSSES
from asrpar.nn.models import MODELS, build_model
from asrpar.nn.objective import FrameLabels, Objective, Sources, Transcripts
from asrpar.train.config import TrainConfig
from asrpar.train.labels import frame_labels, open_alignments
from asrpar.train.phone_graphs import graphs_of


class LangTranscripts(Transcripts):
    """Transcripts as tokens of a language folder."""

    def __init__(self, lang: Lang) -> None:
        self.lang, self.num_tokens = lang, lang.num_tokens
        self._sizes = _Sizes(lang)
        # Of the newest text: its words, and the units of each.
        self._newest: tuple[str, list[str], list[int | None]] = ("", [], [])

    def encode_variants(self, text: str) -> list[list[int]]:
        return self.lang.encode_variants(text)

    def unknown(self, text: str) -> set[str]:
        words, sizes = self._spelled(text)
        return {word for word, size in zip(words, sizes, strict=True) if size is None} if None in sizes else set()

    def num_units(self, text: str) -> int:
        return sum(filter(None, self._spelled(text)[1]))

    def _spelled(self, text: str) -> tuple[list[str], list[int | None]]:
        # Of millions of transcripts both questions are asked, one after the other.
        newest = self._newest
        if newest[0] != text:
            words = self.lang.split(text)
            newest = self._newest = (text, words, list(map(self._sizes.__getitem__, words)))
        return newest[1:]


class _Sizes(dict[str, int | None]):
    """How many units words have; None for those without pronunciation."""

    def __init__(self, lang: Lang) -> None:
        super().__init__()
        self.lang = lang

    def __missing__(self, word: str) -> int | None:
        units = self.lang.pronounce(word)
        self[word] = None if units is None else len(units)
        return self[word]


def subsampling(config: TrainConfig) -> int:
    """Input frames for each output frame of the model."""
    return MODELS.of(config).subsampling


def context(config: TrainConfig) -> tuple[int, int] | None:
    """Frames before and after each that the model takes spliced, too; None if it does not. See `AcousticModel`."""
    # A model without memory, whose random weights nobody draws.
    with torch.device("meta"), torch.random.fork_rng(devices=[]):
        module = build_model(config.model, MODELS.of(config), 80, 2)
    return getattr(module, "context", None)


def make_objective(config: TrainConfig, lang: Lang, labels: FrameLabels | None = None) -> Objective:
    """What the settings say that a model is trained towards.

    Args:
        config: of the training.
        lang: whose units transcripts are made of.
        labels: of frames, for losses that need them; None for those of ``data.ali``.

    Raises:
        ConfigError: settings that cannot be used, or what the loss needs is not there.
    """
    settings, kind = LOSSES.of(config), LOSSES.load(config.loss)
    if config.data.ali and not (kind.of_labels or kind.of_phones):
        raise ConfigError(f"loss is {config.loss}, which has no use for data.ali: take it out, or set loss=frame_ce")
    if config.data.tree and not kind.of_phones:
        raise ConfigError(f"loss is {config.loss}, which has no use for data.tree: take it out, or set loss=lfmmi")
    if labels is None and (found := open_alignments(config.data)):
        labels = frame_labels(found, config.data, subsampling(config))
    graphs = graphs_of(config.data, lang)
    made = kind(settings, Sources(LangTranscripts(lang), labels, subsampling(config), graphs))
    check_delay(config, made)
    return made


def check_delay(config: TrainConfig, objective: Objective) -> None:
    """Raise `ConfigError` if every label would come behind the end of its window."""
    batch, late = config.batch, objective.delay * subsampling(config)
    if batch.pieces == "windows" and late >= batch.window + batch.context[1]:
        raise ConfigError(
            f"losses.{config.loss}.label_delay is {objective.delay}, {late} input frames: windows of {batch.window} "
            f"frames end before their first label comes; raise batch.context to [{batch.context[0]}, {late}]"
        )
