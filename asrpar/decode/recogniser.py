"""A trained model, its features and its decoder, put together to recognise recordings."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from asrpar.decode.acoustic import device_of, likelihoods
from asrpar.decode.config import GivenConfig
from asrpar.decode.decoder import Decoder, make_decoder
from asrpar.decode.earlier import earlier_choice, made_with
from asrpar.decode.engine import Symbols
from asrpar.decode.inputs import from_features
from asrpar.decode.match import check_engine, check_units
from asrpar.decode.scales import SearchPoint
from asrpar.decode.sweep import LISTS, grid
from asrpar.decode.transcribe import Transcript, transcribe
from asrpar.errors import ConfigError, DataError
from asrpar.feats.recording import Cutting, FrontEnd
from asrpar.log import get_logger
from asrpar.score.origin import origin
from asrpar.train.identity import Identity
from asrpar.train.model_io import load_acoustic_model

LOG = get_logger(__name__)


@dataclass(frozen=True)
class Recogniser:
    """What `recogniser` puts together.

    Attributes:
        module: the model, from features to (scaled) log-probabilities.
        front_end: its features.
        decoder: its search.
        point: LM scale, beam and penalties.
        device: of the model.
    """

    module: torch.nn.Module
    front_end: FrontEnd
    decoder: Decoder
    point: SearchPoint
    device: str

    @property
    def unit(self) -> str:
        """What is recognised: words, or without a graph the model's units."""
        return self.decoder.unit

    def recognise(self, recordings: Mapping[str, Path]) -> Iterator[Transcript]:
        """What is said in the recordings, by name, in the order given; headers of all are looked at before the first.

        Raises:
            DataError: a recording cannot be taken.
        """
        return transcribe(self.module, self.front_end, self.decoder, self.point, recordings, self.device)


@contextmanager
def recogniser(
    given: GivenConfig,
    exp: Path,
    checkpoint: Path,
    graph: Path | None = None,
    lang: Path | None = None,
    cutting: Cutting | None = None,
) -> Iterator[Recogniser]:
    """Recognise with the features and units that a model knows.

    Args:
        given: settings; what has several values or none is taken from the experiment's choice on dev.
        exp: the experiment.
        checkpoint: its model.
        graph: folder of the decoding graph; without, the best unit of each frame is taken.
        lang: language folder, whose lexicon makes word times exact.
        cutting: how recordings are taken.

    Raises:
        ConfigError: there is no choice, or the engine does not suit.
        DataError: the model does not know its features and units, or the graph is not for it.
    """
    device = device_of(given.device)
    module, facts = load_acoustic_model(checkpoint)
    scored = likelihoods(module, facts, given.prior_scale)
    config = given.filled(facts["log_priors"] is not None)
    identity = _known(facts["identity"], checkpoint)
    searched = from_features(scored, identity).to(device)
    front_end = FrontEnd(identity.features, identity.mean_std, cutting or Cutting())
    if identity.features["normalize"] == "speaker":
        LOG.info("features are normalised by speaker: each recording is taken for one of a speaker of its own")
    seconds = front_end.extractor.frame_shift * module.subsampling
    units = None if graph else Symbols(identity.units, checkpoint)
    check_engine(identity, checkpoint, config.engine)
    with make_decoder(config, graph, seconds, lang, device, units, facts["blank"]) as decoder:
        check_units(identity, checkpoint, decoder.symbols)
        priors = {"prior_scale": given.prior_scale} if scored is not module else {}
        point, why = _point(given, decoder, {**origin(checkpoint, exp), **priors}, exp, graph)
        LOG.info("%s: %s", why, ", ".join(f"{axis} {getattr(point, axis):g}" for axis in decoder.axes))
        yield Recogniser(searched, front_end, decoder, point, device)


def _known(identity: Identity | None, model: Path) -> Identity:
    if identity is None:
        raise DataError(
            f"{model}, of an earlier version, does not know its features and units: train again, or extract features "
            "and use asrpar decode"
        )
    return identity


def _point(
    given: GivenConfig, decoder: Decoder, model: Mapping[str, Any], exp: Path, graph: Path | None
) -> tuple[SearchPoint, str]:
    """LM scale, beam and penalties, and where they come from.

    One value of a setting is taken; of several the one that was chosen on dev, which must be among them.
    """
    lists = {axis: getattr(given, LISTS[axis]) for axis in decoder.axes}
    one = {name: values[0] for name, values in lists.items() if len(set(values)) == 1}
    several = {name: values for name, values in lists.items() if len(set(values)) > 1}
    facts = {**model, **made_with(decoder, graph)}
    choice = None
    if len(one) < len(lists):
        choice = earlier_choice(exp, facts, lambda p: all(getattr(p, name) in v for name, v in several.items()))
    if choice is not None:
        but = " but for what is set" if one else ""
        return replace(choice.point, **one), f"as chosen on {choice.dev} in {choice.folder}{but}"
    points = grid(given.filled(), decoder.axes)
    if len(points) == 1:
        return points[0], "as set"
    raise ConfigError(
        f"{exp} has no choice on dev for this model, graph and engine"
        + (" among the values given" if several else "")
        + ": run asrpar decode, or give one value of each, such as --set lm_scales=[1.0]"
    )
