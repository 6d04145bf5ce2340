"""Stage 7 from its folders: the model of an experiment, the features, the graph, and whether they belong together."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from asrpar.decode.acoustic import device_of, likelihoods
from asrpar.decode.config import DecodeConfig
from asrpar.decode.decoder import check_num_classes, make_decoder
from asrpar.decode.match import check_engine, check_features, check_units
from asrpar.decode.parts import Part
from asrpar.decode.references import count_errors, reference_of
from asrpar.decode.run import Job, decode_sets
from asrpar.decode.sets import batches, feature_settings
from asrpar.files.lock import reading
from asrpar.score.origin import origin
from asrpar.train.model_io import load_acoustic_model


@dataclass(frozen=True)
class Inputs:
    """What is decoded, and with what.

    Attributes:
        exp: experiment folder, which gets the results.
        model: the file of the acoustic model.
        feats: FEATS folder.
        graph: folder of the decoding graph; None for an engine without one.
        lang: language folder, if any.
    """

    exp: Path
    model: Path
    feats: Path
    graph: Path | None
    lang: Path | None


def decode_experiment(
    config: DecodeConfig,
    given: Inputs,
    dev: str | None,
    sets: Sequence[str],
    suffix: str = "",
    part: Part | None = None,
) -> None:
    """Decode ``sets``, ``dev`` included, on which the choice is made, or a ``part`` of them; see `decode_sets`.

    Raises:
        DataError: model, features and graph that do not belong together.
    """
    device = device_of(config.device)
    module, facts = load_acoustic_model(given.model)
    priors = facts["log_priors"] is not None
    config = config.of_model(priors)
    searched = likelihoods(module, facts, config.prior_scale).to(device)
    identity, settings = facts["identity"], feature_settings(given.feats)
    check_engine(identity, given.model, config.engine)
    check_features(identity, given.model, given.feats, settings)
    mean_std = identity.mean_std if identity is not None else None
    inputs = identity.input_config if identity is not None else None
    # 0.01 s is Lhotse's default, which a configuration may leave out.
    shift = float(settings.fbank.get("frame_shift", 0.01))
    seconds = shift * module.subsampling
    which = (part.number - 1, part.of) if part and part.number else (0, 1)
    with (
        reading(given.feats),
        make_decoder(config, given.graph, seconds, given.lang, device, blank=facts["blank"]) as decoder,
    ):
        symbols = decoder.symbols
        if "num_classes" in facts:
            check_num_classes(facts["num_classes"], symbols.classes, symbols.where)
        check_units(identity, given.model, symbols)
        job = Job(
            given.exp,
            searched,
            device,
            lambda name: batches(given.feats, name, config.max_frames, facts["num_features"], mean_std, inputs, which),
            reference_of(decoder.unit, given.lang),
            shift,
            {
                "model": str(given.model),
                **origin(given.model, given.exp),
                "device": device,
                **({"prior_scale": config.prior_scale} if priors else {}),
            },
            given.graph,
            given.feats,
            suffix,
            part,
        )
        decode_sets(job, decoder, config, dev, sets, count_errors)
