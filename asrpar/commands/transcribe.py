"""``asrpar transcribe``: recordings of one's own."""

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from asrpar.config import choosing, config_options, load_config
from asrpar.errors import ConfigError, DataError

if TYPE_CHECKING:
    from asrpar.decode.config import GivenConfig
    from asrpar.decode.decoder import Decoder
    from asrpar.decode.scales import SearchPoint
    from asrpar.train.identity import Identity

FORMATS = ("text", "trn", "ctm", "srt", "json")


@click.command("transcribe")
@config_options
@click.argument("audio", nargs=-1, required=True, metavar="AUDIO...")
@click.option("--exp", required=True, metavar="DIR", help="Experiment with the model; nothing is written there.")
@click.option(
    "--graph", metavar="DIR", help="Decoding graph of stage 5; without, the best unit of each frame is taken."
)
@click.option("--lang", metavar="DIR", help="Language folder of stage 3: its lexicon makes word times exact.")
@click.option("--engine", metavar="NAME", help="Engine; the same as --set engine=NAME.")
@click.option(
    "--jobs",
    type=click.IntRange(0),
    help="Processes of an engine that has them; 0: one for each core.",
)
@click.option("--model", default="final.pt", show_default=True, help="Model, within the experiment or a path.")
@click.option(
    "--channel", type=click.IntRange(0), help="Channel of recordings that have several, from 0; else their mean."
)
@click.option(
    "--max-seconds",
    type=click.FloatRange(1),
    default=30.0,
    show_default=True,
    help="What is recognised as a whole; longer recordings are cut in pauses.",
)
@click.option(
    "--min-pause",
    type=click.FloatRange(0.1),
    default=0.3,
    show_default=True,
    help="Seconds of a pause in which these are cut.",
)
@click.option("--format", "form", type=click.Choice(FORMATS), default="text", show_default=True, help="Of the output.")
@click.option("--output", metavar="FILE", help="Where the words go, instead of stdout.")
@click.option("--output-dir", metavar="DIR", help="A file for each recording there: NAME.txt, NAME.srt and so on.")
def command(
    config_path: Any,
    overrides: tuple[str, ...],
    audio: tuple[str, ...],
    exp: str,
    graph: str | None,
    lang: str | None,
    engine: str | None,
    jobs: int | None,
    model: str,
    channel: int | None,
    max_seconds: float,
    min_pause: float,
    form: str,
    output: str | None,
    output_dir: str | None,
) -> None:
    """Recognise recordings of any length: any files that libsndfile reads (wav, flac, mp3, ogg and opus, Sphere).

    Other sampling rates are resampled, of several channels the mean is taken, and longer recordings are cut in pauses.
    Features, their statistics and the units are those that the model knows; LM scale, beam and penalties those that
    were chosen on dev when the experiment was decoded with this graph, but for what --set or --config give. Prints
    NAME, a tab and the words, one line for each recording; formats are also trn, ctm (NIST's, with times), srt
    (subtitles) and json (an object a line).
    """
    from asrpar.decode.config import GivenConfig
    from asrpar.decode.engines import ENGINES, jobs_of_engines
    from asrpar.score.folders import model_file

    paths = [Path(a) for a in audio]
    _spare(paths, output)
    if math.isnan(max_seconds + min_pause):
        raise ConfigError("--max-seconds and --min-pause are numbers of seconds")
    if output and output_dir:
        raise ConfigError("--output is one file for all, --output-dir one for each: give one of them")
    if form == "srt" and len(paths) > 1 and not output_dir:
        raise ConfigError("subtitles are of one recording: give --output-dir for a file each")
    overrides = choosing(overrides, "engine", engine)
    named = [item.removeprefix("engine=") for item in overrides if item.startswith("engine=")]
    if graph is None and named and ENGINES.load(named[-1]).needs_graph:
        raise ConfigError(f"the {named[-1]} engine needs --graph")
    wanted = overrides if graph or named else choosing(overrides, "engine", "greedy")
    given = load_config(GivenConfig, config_path, (*wanted, *jobs_of_engines(jobs)))
    checkpoint = model_file(Path(exp), model)

    from asrpar.decode.acoustic import device_of, likelihoods
    from asrpar.decode.decoder import make_decoder
    from asrpar.decode.engine import Symbols
    from asrpar.decode.inputs import from_features
    from asrpar.decode.match import check_engine, check_units
    from asrpar.decode.transcribe import names_of, transcribe
    from asrpar.decode.transcript import write_all
    from asrpar.feats.recording import Cutting, FrontEnd
    from asrpar.log import setup_logging
    from asrpar.score.origin import origin
    from asrpar.train.model_io import load_acoustic_model

    log = setup_logging()
    names = names_of(paths, one_field=form in ("trn", "ctm"), by_stem=bool(output_dir))
    device = device_of(given.device)
    module, facts = load_acoustic_model(checkpoint)
    scored = likelihoods(module, facts, given.prior_scale)
    config = given.filled(facts["log_priors"] is not None)
    identity = _known(facts["identity"], checkpoint)
    searched = from_features(scored, identity).to(device)
    front_end = FrontEnd(identity.features, identity.mean_std, Cutting(channel, max_seconds, min_pause))
    if identity.features["normalize"] == "speaker":
        log.info("features are normalised by speaker: each recording is taken for one of a speaker of its own")
    seconds = front_end.extractor.frame_shift * module.subsampling
    units = None if graph else Symbols(identity.units, checkpoint)
    language = Path(lang) if lang else None
    folder = Path(graph) if graph else None
    check_engine(identity, checkpoint, config.engine)
    with make_decoder(config, folder, seconds, language, device, units, facts["blank"]) as decoder:
        check_units(identity, checkpoint, decoder.symbols)
        priors = {"prior_scale": given.prior_scale} if scored is not module else {}
        point, why = _point(given, decoder, {**origin(checkpoint, Path(exp)), **priors}, Path(exp), folder)
        log.info("%s: %s", why, ", ".join(f"{axis} {getattr(point, axis):g}" for axis in decoder.axes))
        if decoder.unit != "words":
            log.warning("the units are phones, and so is what is printed: words need --graph")
        found = transcribe(searched, front_end, decoder, point, dict(zip(names, paths, strict=True)), device)
        write_all(found, form, Path(output) if output else None, Path(output_dir) if output_dir else None)


def _known(identity: "Identity | None", model: Path) -> "Identity":
    if identity is None:
        raise DataError(
            f"{model}, of an earlier version, does not know its features and units: train again, or extract features "
            "and use asrpar decode"
        )
    return identity


def _spare(audio: list[Path], output: str | None) -> None:
    """Raise `ConfigError` if the words would be written over a recording."""
    if output is not None and Path(output).exists():
        over = next((path for path in audio if path.exists() and path.samefile(output)), None)
        if over is not None:
            raise ConfigError(f"--output {output} is the recording {over}: give another file")


def _point(
    given: "GivenConfig", decoder: "Decoder", model: Mapping[str, Any], exp: Path, graph: Path | None
) -> tuple["SearchPoint", str]:
    """LM scale, beam and penalties, and where they come from.

    One value of a setting is taken; of several the one that was chosen on dev, which must be among them.
    """
    from asrpar.decode.earlier import earlier_choice, made_with
    from asrpar.decode.sweep import LISTS, grid

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
